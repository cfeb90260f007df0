"""Bytes to text: declared charsets, wrong ones, missing ones.

Here: decoding with a guess where the label is missing or wrong, and cleaning text of what no database or page can hold.
Not here: transfer encodings (`transfer.py`) and encoded words in headers (`words.py`). The only module that touches
charset_normalizer.
"""

import codecs
import re
from dataclasses import dataclass

from charset_normalizer import from_bytes

_ALIASES = {
    "ansi": "cp1252",
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "iso8859-1": "cp1252",
    "iso-8859-8-i": "iso8859-8",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "utf8mb4": "utf-8",
    "unicode-1-1-utf-7": "utf-7",
    "unicode-1-1-utf-8": "utf-8",
    "windows-874": "cp874",
    "macintosh": "mac_roman",
    "ibm850": "cp850",
    "cp-850": "cp850",
}
"""Labels that mail uses and Python lacks, and labels that are used for more than they mean (as browsers read them)."""

_ALLOWED = frozenset(
    """
    utf-8 utf-8-sig utf-7 utf-16 utf-16-le utf-16-be utf-32 utf-32-le utf-32-be cp1250 cp1251 cp1252 cp1253 cp1254 cp1255
    cp1256 cp1257 cp1258 cp437 cp850 cp852 cp855 cp858 cp862 cp864 cp866 cp874 cp932 cp949 cp950 big5 big5hkscs gb18030 hz
    euc_jp euc_jis_2004 iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_jp_3 iso2022_kr johab koi8-r koi8-u mac-roman mac-
    cyrillic mac-latin2 mac-greek mac-turkish iso8859-1 iso8859-2 iso8859-3 iso8859-4 iso8859-5 iso8859-6 iso8859-7
    iso8859-8 iso8859-9 iso8859-10 iso8859-11 iso8859-13 iso8859-14 iso8859-15 iso8859-16 tis-620
    """.split()  # words read better than a list of strings
)
"""Codecs whose work is linear in the input; Python knows others (punycode, unicode_escape) that are no charsets of mail."""

_GERMAN_BYTES_CP850 = frozenset("äöüÄÖÜß".encode("cp850"))
_NOT_WESTERN_BYTES = frozenset("łŁąĄśŚźŹżŻťŤžŽšŠľĽ".encode("cp1250")) | frozenset(b"\x81\x8d\x8f\x90\x9d")
"""Frequent letters of Central European languages that are rare signs in Western European text."""

_GUESS_CODECS = ["cp1251", "koi8_r", "cp1250", "iso8859_7", "cp932", "euc_jp", "gb18030", "big5", "cp949", "cp1254"]
_SAMPLE_BYTES = 4096
_CONTROLS = re.compile(r"[\x01-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class DecodedText:
    """Hold decoded text, the codec that gave it, and whether the label was missing (`guessed`) or did not fit (`wrong`)."""

    text: str
    codec: str
    guessed: bool = False
    wrong: bool = False


def find_codec(label: str) -> str | None:
    """Give Python's codec for a charset label, or None when the label is no charset that mail may use."""
    label = label.strip().strip("\"'").lower()
    if not label or len(label) > 40 or not label.isascii():
        return None
    label = _ALIASES.get(label, label)
    try:
        name = codecs.lookup(label).name
    except (LookupError, ValueError):
        return None
    return name if name in _ALLOWED else None


def decode_text(data: bytes, label: str | None) -> DecodedText:
    """Decode bytes to text, by the label when it fits, else by a guess. Never raises."""
    codec = find_codec(label) if label else None
    if data[:3] == codecs.BOM_UTF8:
        codec = "utf-8-sig"
    elif data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) and codec in (None, "utf-16"):
        codec = "utf-16"
    if codec == "cp1252" and data.isascii():
        codec = "ascii"
    if codec is not None:
        try:
            text = data.decode(codec)
        except (UnicodeError, ValueError):
            pass
        else:
            # Text that is labelled Latin-1 but valid UTF-8 with several bytes a letter is UTF-8 in practice.
            if codec == "cp1252" and (better := _as_utf8(data)) is not None:
                return DecodedText(better, "utf-8", wrong=True)
            return DecodedText(text, codec)
    guess = guess_text(data)
    declared_ascii = data.isascii()
    labelled = bool(label and label.strip())
    if declared_ascii and (not labelled or codec is None):
        return DecodedText(guess.text, guess.codec, wrong=labelled)
    return DecodedText(guess.text, guess.codec, guessed=not labelled, wrong=labelled)


def guess_text(data: bytes) -> DecodedText:
    """Decode bytes of unknown charset: UTF-8, Western European, DOS, then a statistical guess on a sample."""
    if (text := _as_utf8(data)) is not None:
        return DecodedText(text, "utf-8")
    if data.isascii():
        return DecodedText(data.decode("ascii"), "ascii")
    high = {byte for byte in data if byte >= 0x80}
    if high <= _GERMAN_BYTES_CP850:
        return DecodedText(data.decode("cp850"), "cp850", guessed=True)
    if not high & _NOT_WESTERN_BYTES and _is_mostly_ascii(data):
        return DecodedText(data.decode("cp1252", "replace"), "cp1252", guessed=True)
    best = from_bytes(_sample(data), cp_isolation=_GUESS_CODECS, threshold=0.2).best()
    codec = best.encoding if best is not None else "cp1252"
    return DecodedText(data.decode(codec, "replace"), codec, guessed=True)


def clean_text(text: str) -> str:
    """Give text with line feeds only, without NUL, control characters and lone surrogates."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    text = text.replace("\x0c", "\n").replace("\x85", "\n")
    text = _CONTROLS.sub("", text)
    return _SURROGATES.sub("\ufffd", text)


def _as_utf8(data: bytes) -> str | None:
    if data.isascii():
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _is_mostly_ascii(data: bytes) -> bool:
    """Tell whether fewer than a quarter of the bytes around the first odd one are odd: so in Western languages."""
    sample = _sample(data)
    return 4 * sum(byte >= 0x80 for byte in sample) < len(sample)


def _sample(data: bytes) -> bytes:
    """Give the neighbourhood of the first byte that is not ASCII: the start of a mail is often plain ASCII."""
    first = next((index for index, byte in enumerate(data) if byte >= 0x80), 0)
    start = max(0, first - _SAMPLE_BYTES // 2)
    return data[start : start + _SAMPLE_BYTES]
