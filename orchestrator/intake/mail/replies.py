"""The text of a mail cut into what is new, what is quoted and what is signature.

Here: the cut, line by line, in the forms that German and English clients write. Nothing is dropped: all sections joined
give the text exactly. Not here: HTML (`html.py` marks its quotes with `>` first).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.intake.mail.parsed import SectionKind, TextSection

_MAX_LINES = 5000
_LOOK_AHEAD = 3
_ATTRIBUTION_LENGTH = 400
_MAX_SIGNATURE_LINES = 30

_ATTRIBUTION_START = re.compile(
    r"^\s{0,4}[*_]{0,2}(?:on|am|le|el|il|op|den|a|w dniu|em|på)\s|^\s{0,4}\S.{0,120}[<(]?[^\s@]{1,64}@|"
    r"^\s{0,4}\d{1,4}[./-]\d{1,2}[./-]",
    re.IGNORECASE,
)
_ATTRIBUTION_END = re.compile(
    r"(?:wrote|writes|schrieb|schrieben|hat geschrieben|geschrieben|a écrit|escribió|ha scritto|schreef|skrev|napisał\(a\)|napisał|"
    r"написала?|пишет|пише)\s{0,3}(?:[^:\n]{0,60})?:\s{0,3}[*_]{0,2}$",
    re.IGNORECASE,
)
_HAS_DATE_OR_ADDRESS = re.compile(r"\d{1,2}[./: ]|@")
_DATED_COLON = re.compile(r"\b(?:19|20)\d\d\b|\b\d{1,2}:\d\d\b")
_SEPARATOR = re.compile(
    r"^\s{0,4}[-_*=]{2,20}\s{0,3}(?:original message|original appointment|ursprüngliche nachricht|originalnachricht|"
    r"original-nachricht|urspr\.? nachricht|ursprünglicher termin|forwarded message|weitergeleitete nachricht|weitergeleitet|"
    r"reply message|message d'origine|mensaje original|messaggio originale|oorspronkelijk bericht)\s{0,3}[-_*=]{2,20}\s{0,3}$",
    re.IGNORECASE,
)
_BEGIN_FORWARD = re.compile(
    r"^\s{0,4}(?:begin forwarded message|anfang der weitergeleiteten (?:nachricht|e-mail)|"
    r"beginn der weitergeleiteten nachricht)\s?:\s{0,3}$",
    re.IGNORECASE,
)
_HEADER_NAMES = {
    "from": frozenset(("from", "von", "de", "от")),
    "date": frozenset(("sent", "gesendet", "date", "datum", "envoyé", "отправлено", "дата")),
    "to": frozenset(("to", "an", "à", "кому", "subject", "betreff", "objet", "тема")),
    "other": frozenset(("cc", "kopie", "reply-to", "antwort an", "organisation", "priorität")),
}
_HEADER_LINE = re.compile(
    r"^[\s>*_]{0,6}(" + "|".join(name for names in _HEADER_NAMES.values() for name in names) + r")\s?[*_]{0,2}\s?:",
    re.IGNORECASE,
)
_RULE = re.compile(r"^\s{0,4}_{20,80}\s{0,3}$")
_SIGNATURE_MARK = re.compile(r"^--[ \t\xa0]{0,2}$")
_DEVICE_LINE = re.compile(
    r"^\s{0,4}(?:sent from my |sent from mail for |sent via |get outlook for |von meinem .{1,40} gesendet|von .{1,20}phone gesendet|"
    r"gesendet von |gesendet mit |diese nachricht wurde von meinem |sent with |envoyé de )",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"^\s{0,4}(?:(?:mit )?(?:den )?(?:freundlich|herzlich|best|lieb|viel|schön|sonnig)(?:e|en|er|em|st|sten|ste)? ?(?:\w{1,15} )?"
    r"gr(?:ü|ue)(?:ß|ss)(?:e|en)?|mfg|m\.f\.g\.|vg|lg|bg|hochachtungsvoll|gru(?:ß|ss)|gr(?:ü|ue)(?:ß|ss)e|best regards|kind regards|"
    r"warm regards|regards|many thanks|yours sincerely|yours faithfully|sincerely|cheers|best wishes|thanks and regards)\b.{0,60}$",
    re.IGNORECASE,
)
_CONTACT_DATA = re.compile(
    r"\b(?:tel|telefon|phone|fon|fax|mobil|mobile|handy|cell)\b|\+\d{2}|@|www\.|https?://|"
    r"\bgmbh\b|\bhrb\b|amtsgericht|geschäftsführ|ust-?id|\bag\b|\be\.k\.|\bkg\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Line:
    """Hold what one line is by itself; every pattern looks at every line once."""

    text: str
    is_blank: bool
    is_quoted: bool
    header_name: str | None
    is_separator: bool
    is_rule: bool
    starts_signature: bool
    is_device_line: bool
    is_closing: bool
    has_contact_data: bool


def split_sections(text: str) -> tuple[TextSection, ...]:
    """Cut a text into sections. The work is linear in its length; of a very long text only the first lines are looked
    at, the others belong to what the last of these is."""
    if not text:
        return ()
    lines = text.splitlines(keepends=True) if "\n" in text else [text]
    kinds = _mark_lines([_read_line(line) for line in lines[:_MAX_LINES]])
    kinds += [kinds[-1]] * (len(lines) - len(kinds))
    return _merge(lines, kinds)


def _read_line(line: str) -> _Line:
    text = line.rstrip("\n")
    bare = text.strip()
    short = text if len(text) <= _ATTRIBUTION_LENGTH else ""
    header = _HEADER_LINE.match(short[:60]) if ":" in short[:60] else None
    return _Line(
        text=text,
        is_blank=not bare,
        is_quoted=bare.startswith(">") and not bare.startswith(">From "),
        header_name=header.group(1).lower() if header else None,
        is_separator=bool(_SEPARATOR.match(short) or _BEGIN_FORWARD.match(short)),
        is_rule=_RULE.match(short) is not None,
        starts_signature=_SIGNATURE_MARK.match(text) is not None,
        is_device_line=_DEVICE_LINE.match(short) is not None,
        is_closing=_CLOSING.match(short) is not None,
        has_contact_data=_CONTACT_DATA.search(text[:300]) is not None,
    )


def _mark_lines(lines: Sequence[_Line]) -> list[SectionKind]:
    rest_starts = [_starts_quoted_rest(lines, position) for position in range(len(lines))]
    attributions = [_attribution_length(lines, position) for position in range(len(lines))]
    ends = [line.is_quoted or rest or attribution > 0 for line, rest, attribution in zip(lines, rest_starts, attributions, strict=True)]
    kinds: list[SectionKind] = []
    position = 0
    in_signature = False
    while position < len(lines):
        if lines[position].is_quoted:
            kinds.append(SectionKind.QUOTED)
            position += 1
            continue
        attribution = attributions[position]
        if rest_starts[position] or (attribution and not _quote_follows(lines, position + attribution)):
            kinds += [SectionKind.QUOTED] * (len(lines) - position)
            break
        if attribution:
            kinds += [SectionKind.QUOTED] * attribution
            position += attribution
            continue
        in_signature = in_signature or _starts_signature(lines, ends, position)
        kinds.append(SectionKind.SIGNATURE if in_signature else SectionKind.NEW)
        position += 1
    return kinds[: len(lines)]


def _starts_quoted_rest(lines: Sequence[_Line], position: int) -> bool:
    """Tell whether from this line on everything is the older mail, without any mark on its lines."""
    line = lines[position]
    if line.is_rule:
        following = next((index for index in range(position + 1, min(position + 4, len(lines))) if not lines[index].is_blank), None)
        return following is not None and _is_header_block(lines, following)
    return line.is_separator or _is_header_block(lines, position)


def _is_header_block(lines: Sequence[_Line], position: int) -> bool:
    """Tell whether a block From / Sent / To / Subject begins here, in the order and language of any client."""
    if lines[position].header_name is None:
        return False
    names: set[str] = set()
    blank = 0
    for line in lines[position : position + 9]:
        if line.header_name is not None:
            names.add(line.header_name)
        elif line.is_blank:
            blank += 1
            if blank > 1:
                break
    return all(names & _HEADER_NAMES[kind] for kind in ("from", "date", "to"))


def _attribution_length(lines: Sequence[_Line], position: int) -> int:
    """Give how many lines from here form "On … wrote:", 0 when none do; clients fold it over up to three lines."""
    first = lines[position].text.strip()
    if not first or len(first) > _ATTRIBUTION_LENGTH:
        return 0
    if first.endswith(":") and _DATED_COLON.search(first) and _quote_follows(lines, position + 1):
        return 1
    if not _ATTRIBUTION_START.match(first):
        return 0
    joined = ""
    for count, line in enumerate(lines[position : position + _LOOK_AHEAD], start=1):
        part = line.text.strip()
        if not part or len(joined) + len(part) > _ATTRIBUTION_LENGTH:
            return 0
        joined = f"{joined} {part}".strip()
        if _ATTRIBUTION_END.search(joined):
            return count if _HAS_DATE_OR_ADDRESS.search(joined) else 0
    return 0


def _quote_follows(lines: Sequence[_Line], position: int) -> bool:
    return next((line.is_quoted for line in lines[position : position + 5] if not line.is_blank), False)


def _starts_signature(lines: Sequence[_Line], ends: Sequence[bool], position: int) -> bool:
    """Tell whether a signature begins: the standard mark, a device's advertisement as last line, or a closing phrase
    with contact data below it."""
    line = lines[position]
    if line.starts_signature:
        return True
    if not line.is_device_line and not line.is_closing:
        return False
    filled: list[_Line] = []
    for index in range(position + 1, min(len(lines), position + 3 * _MAX_SIGNATURE_LINES)):
        if ends[index]:
            break
        if not lines[index].is_blank:
            filled.append(lines[index])
    if line.is_device_line:
        return len(filled) <= 2
    if not 1 <= len(filled) <= _MAX_SIGNATURE_LINES:
        return False
    return len(filled) <= 2 or any(following.has_contact_data for following in filled)


def _merge(lines: Sequence[str], kinds: Sequence[SectionKind]) -> tuple[TextSection, ...]:
    """Join equal neighbours; blank lines between two stretches go with the one before."""
    sections: list[TextSection] = []
    current: list[str] = []
    current_kind = kinds[0]
    for line, kind in zip(lines, kinds, strict=True):
        if kind is not current_kind and (line.strip() or kind is SectionKind.SIGNATURE):
            sections.append(TextSection(current_kind, "".join(current)))
            current = []
            current_kind = kind
        current.append(line)
    sections.append(TextSection(current_kind, "".join(current)))
    return tuple(sections)
