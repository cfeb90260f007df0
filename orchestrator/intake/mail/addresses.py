"""Address headers to addresses, however written; message ids.

Here: names, comments, groups, quoting, what Outlook and fax gateways make of them. Not here: whether an address exists.
"""

import re

from orchestrator.intake.mail.charsets import guess_text
from orchestrator.intake.mail.parsed import MailAddress
from orchestrator.intake.mail.words import collapse_spaces, decode_words

_SEPARATORS = re.compile(r"[\s<>()\[\]\",;:]")
_IDS = re.compile(r"<([^<>\s]{1,900})>")
_ID_SEPARATORS = re.compile(r"[\s<>,;]")
_MAX_ADDRESS = 320
_MAX_NAME = 200
_UNSAFE = re.compile(r"[\u202a-\u202e\u2066-\u2069\u200b\u200e\u200f\ufeff]")


def parse_addresses(raw_values: list[bytes], *, limit: int) -> tuple[MailAddress, ...]:
    """Parse the values of an address header. Never raises; text without any address becomes one with a name only."""
    found: list[MailAddress] = []
    for raw in raw_values:
        try:
            text = raw.decode("ascii")
        except UnicodeDecodeError:
            text = guess_text(raw).text
        for chunk in _split(text):
            if len(found) >= limit:
                return tuple(found)
            address = _read_one(chunk)
            if address is not None:
                found.append(address)
    return tuple(found)


def parse_ids(raw_values: list[bytes], *, limit: int) -> tuple[str, ...]:
    """Give the message ids of a header without angle brackets, in order; of too many the first and the newest ones."""
    found: dict[str, None] = {}
    for raw in raw_values:
        text = re.sub(r"[\r\n]", "", raw.decode("utf-8", "replace"))
        ids = _IDS.findall(text) or [word for word in _ID_SEPARATORS.split(text) if word.find("@") > 0 and len(word) <= 900]
        for message_id in ids:
            found.setdefault(_UNSAFE.sub("", message_id.replace("\x00", "")))
    ids = list(found)
    return tuple(ids) if len(ids) <= limit else (ids[0], *ids[-(limit - 1) :])


def normalise_address(address: str) -> str:
    """Give an address with its domain in lower case and without what only hides it."""
    address = collapse_spaces(_UNSAFE.sub("", address)).strip(" .<>'\"")
    if address.lower().startswith("mailto:"):
        address = address[7:]
    local, at, domain = address.rpartition("@")
    return (f"{local}@{domain.lower()}" if at else address)[:_MAX_ADDRESS]


def _split(text: str) -> list[str]:
    """Split at commas and semicolons outside quotes, comments and angle brackets; each character is looked at once."""
    chunks: list[str] = []
    current: list[str] = []
    depth = 0
    quoted = escaped = angled = has_at = False
    for character in text:
        has_at = has_at or character == "@"
        if escaped:
            escaped = False
        elif character == "\\" and (quoted or depth):
            escaped = True
        elif character == '"' and not depth:
            quoted = not quoted
        elif not quoted and character == "(":
            depth += 1
        elif not quoted and character == ")" and depth:
            depth -= 1
        elif not quoted and not depth and character == "<":
            angled = True
        elif not quoted and not depth and character == ">":
            angled = False
        elif character in ",;" and not quoted and not depth and not angled:
            chunks.append("".join(current))
            current = []
            has_at = False
            continue
        elif character == ":" and not quoted and not depth and not angled and not has_at:
            # The name of a group ("undisclosed-recipients:"); its members follow.
            word = "".join(current).strip().lower()
            current = [*current, character] if word.endswith(("mailto", "smtp", "fax")) else []
            continue
        current.append(character)
    chunks.append("".join(current))
    return [chunk for chunk in chunks if chunk.strip()]


def _read_one(chunk: str) -> MailAddress | None:
    opening = chunk.rfind("<")
    if opening >= 0:
        closing = chunk.find(">", opening)
        inside = chunk[opening + 1 : closing if closing >= 0 else len(chunk)]
        name = chunk[:opening] or chunk[closing + 1 :] if closing >= 0 else chunk[:opening]
        address = _drop_comment(inside)[0]
        if "@" not in address and (bare := _find_bare(_drop_comment(name)[0])):
            return MailAddress(_clean_name(address), normalise_address(bare))
        if ":" in address and "@" in address.partition(":")[2]:
            address = address.rpartition(":")[2]  # A source route or a scheme before the address.
        return _make(name, address)
    text, comment = _drop_comment(chunk)
    bare = _find_bare(text)
    if bare is None:
        name = _clean_name(text)
        return MailAddress(name, "") if name else None
    rest = text.replace(bare, "", 1)
    return _make(rest.replace("[mailto", "").strip(" []'\":") or comment, bare)


def _find_bare(text: str) -> str | None:
    """Find an address that stands without angle brackets."""
    return next((word for word in _SEPARATORS.split(text) if 0 < word.find("@") < len(word) - 1), None)


def _make(name: str, address: str) -> MailAddress | None:
    clean = normalise_address(decode_words(address) if "=?" in address else address)
    name = _clean_name(name)
    return MailAddress(name, clean) if clean or name else None


def _clean_name(name: str) -> str:
    name = name.strip()
    if len(name) >= 2 and name[0] == name[-1] == '"':
        name = name[1:-1]
    name = re.sub(r'\\(["\\])', r"\1", name)
    name = _UNSAFE.sub("", collapse_spaces(decode_words(name)))
    if len(name) >= 2 and name[0] == name[-1] and name[0] in "'\"":
        name = name[1:-1]
    return name.strip(" <>")[:_MAX_NAME]


def _drop_comment(text: str) -> tuple[str, str]:
    """Give the text outside and inside of parentheses."""
    outside: list[str] = []
    inside: list[str] = []
    depth = 0
    for character in text:
        if character == "(":
            depth += 1
        elif character == ")" and depth:
            depth -= 1
        else:
            (inside if depth else outside).append(character)
    return "".join(outside), "".join(inside).strip()
