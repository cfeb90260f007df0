"""Is a text German or English? A vote of frequent small words; nothing else is asked of it.

Here: the vote. Not here: which language a contact is written to in (`orchestrator/customers`, `intake/receive.py`).
"""

import re

_WORD = re.compile(r"[a-zäöüß']{1,20}", re.IGNORECASE)
_SAMPLE_CHARACTERS = 4000
_MIN_VOTES = 3

_GERMAN = frozenset(
    """
    aber alle als am an auch auf aus bei beim bin bis bitte da damit danke dann das dass daß dem den denn der des die dies
    diese dieser dieses doch drucker durch ein eine einem einen einer eines er es etwas für geht gibt grüße grüßen guten
    habe haben hallo hat herr heute hier ich ihm ihn ihnen ihr ihre im immer ist ja jetzt kann kein keine können leider
    mal man mehr mein meine mich mir mit mfg morgen nach nicht nichts noch nun nur oder ohne rechner schon sehr seit sich
    sie sind so über um und uns unser unsere unter vielen vom von vor war warum was wenn werden wie wieder wir wird wurde
    zu zum zur
    """.split()  # words read better than a list of strings
)
_ENGLISH = frozenset(
    """
    a about after all also am an and any are as at be been before but by can cannot could dear did do does doesn't don't
    for from get had has have he hello help hi how i i'm if in is isn't it its just know me my need no not now of on one
    or our out please regards since so some thank thanks that the their them there they this to today up us was we were
    what when where which who why will with would yes you your
    """.split()  # words read better than a list of strings
)


def detect_language(text: str) -> str | None:
    """Give "de" or "en", or None when the text is too short or speaks neither clearly."""
    german = english = 0
    for word in _WORD.findall(text[:_SAMPLE_CHARACTERS]):
        word = word.lower()
        in_german, in_english = word in _GERMAN, word in _ENGLISH
        if in_german != in_english:
            german += in_german
            english += in_english
        elif not in_german and any(letter in word for letter in "äöüß"):
            german += 1
    if max(german, english) < _MIN_VOTES:
        return None
    if german >= 2 * english:
        return "de"
    return "en" if english >= 2 * german else None
