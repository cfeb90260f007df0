"""Text analysis for search: words, stems of German and English, and the parts of a snippet. Pure.

A document's words become one sequence of stems in its language, or both sequences where the language is unknown. The
German stemmer treats ``ä`` and ``ae``, ``ß`` and ``ss`` alike, so umlauts are found both ways.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from dataclasses import dataclass

import Stemmer

MAX_WORDS = 20_000
"""A document is indexed up to this many words; what follows is stored but not searched."""

WORD = re.compile(r"[^\W_]+(?:[.\-_@][^\W_]+)*", re.UNICODE)
_PART = re.compile(r"[^\W_]+", re.UNICODE)
_LOCAL = threading.local()

STOP_WORDS = frozenset(
    """a an and are as at be but by can do for from had has have he her his i if in is it its me my no not of on or our she so that the
    their them then there they this to was we were what when which who will with you your since does
    ab aber alle als also am an auch auf aus bei beim bin bis da das dass dem den denn der des die dies diese dieser doch du durch ein eine
    einem einen einer eines er es für gegen geht habe haben hat hatte hier ich ihr ihre im in ins ist ja kann kein keine mehr mein meine mich mir
    mit nach nicht noch nun nur ob oder ohne sehr sein seine seit seitdem sich sie sind so um und uns unser unter vom von vor war was weil wenn
    wer wie wieder wir wird wo wurde zu zum zur hallo guten tag morgen danke grüße gruß freundlichen mfg bitte dear hello hi regards thanks
    please kind""".split()
)


def _stemmer(language: str) -> Stemmer.Stemmer:
    """Stemmers are not safe to share between threads."""
    found: Stemmer.Stemmer | None = getattr(_LOCAL, language, None)
    if found is None:
        found = Stemmer.Stemmer(language)
        setattr(_LOCAL, language, found)
    return found


def words_of(text: str) -> list[str]:
    """Split a text into lower-case words; a joined word (``srv-print-01``, ``a@b.example``) also gives its parts."""
    found: list[str] = []
    for match in WORD.finditer(unicodedata.normalize("NFKC", text).lower()):
        word = match.group()[:100]
        parts = _PART.findall(word)
        if len(parts) > 1:
            found.extend(part[:100] for part in parts)
        else:
            found.append(word)
        if len(found) >= MAX_WORDS:
            break
    return found[:MAX_WORDS]


def stem_words(words: list[str], language: str | None) -> list[str]:
    """Stem words in ``de`` or ``en``; with None in German."""
    return _stemmer("english" if language == "en" else "german").stemWords(words)


def stems_of_document(text: str, language: str | None) -> str:
    """The stems of a text in order, as the index stores them."""
    words = words_of(text)
    if language in ("de", "en"):
        return " ".join(stem_words(words, language))
    return " ".join([*stem_words(words, "de"), "\n", *stem_words(words, "en")])


def stems_of_word(word: str) -> frozenset[str]:
    """Both stems of a word from a query, whose language nobody knows."""
    return frozenset(stem_words([word], "de") + stem_words([word], "en"))


def telling_stems(text: str, *, limit: int = 16) -> list[frozenset[str]]:
    """The words of a text that say what it is about, longest first: no stop words, no numbers, none shorter than three."""
    seen: dict[frozenset[str], int] = {}
    for word in words_of(text)[:400]:
        if len(word) < 3 or word in STOP_WORDS or word.isdigit():
            continue
        stems = stems_of_word(word)
        seen[stems] = max(seen.get(stems, 0), len(word))
    return sorted(seen, key=lambda stems: -seen[stems])[:limit]


@dataclass(frozen=True, slots=True)
class SnippetPart:
    """A piece of a snippet; ``hit`` says that it is one of the words searched for."""

    text: str
    hit: bool


def cut_snippet(text: str, wanted: frozenset[str], *, width: int = 220) -> list[SnippetPart]:
    """Cut a piece of about ``width`` characters around the first hit and mark all hits in it."""
    text = " ".join(text.split())
    hits: list[tuple[int, int]] = []
    for match in _PART.finditer(text[:50_000]):
        word = match.group().lower()
        if any(stem in wanted or any(stem.startswith(want[:-1]) for want in wanted if want.endswith("*")) for stem in stems_of_word(word)):
            hits.append(match.span())
            if len(hits) > 40:
                break
    start = max(0, hits[0][0] - width // 3) if hits else 0
    if start:
        space = text.find(" ", start)
        start = space + 1 if 0 <= space < start + 30 else start
    end = min(len(text), start + width)
    parts: list[SnippetPart] = [SnippetPart("… ", False)] if start else []
    at = start
    for left, right in hits:
        if left < at or right > end:
            continue
        if left > at:
            parts.append(SnippetPart(text[at:left], False))
        parts.append(SnippetPart(text[left:right], True))
        at = right
    if at < end:
        parts.append(SnippetPart(text[at:end], False))
    if end < len(text):
        parts.append(SnippetPart(" …", False))
    return parts
