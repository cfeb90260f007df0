"""Files inside Outlook's winmail.dat (TNEF, MS-OXTNEF).

Here: names and bytes of the attached files. The winmail.dat itself stays an attachment, so nothing is lost when a
variant is not understood.
"""

import struct
from dataclasses import dataclass

from orchestrator.intake.mail.charsets import decode_text

_SIGNATURE = 0x223E9F78
_ATTACH_START = 0x9002
_ATTACH_TITLE = 0x8010
_ATTACH_DATA = 0x800F
_ATTACH_PROPERTIES = 0x9005
_LONG_NAME = 0x3707
_MAX_FILES = 100


@dataclass(frozen=True, slots=True)
class PackedFile:
    """Hold one file of a winmail.dat."""

    name: str
    data: bytes


def unpack_tnef(data: bytes) -> tuple[PackedFile, ...]:
    """Give the files of a winmail.dat; empty when it is none or is cut off before the first file. Never raises."""
    if len(data) < 6 or struct.unpack_from("<I", data)[0] != _SIGNATURE:
        return ()
    files: list[PackedFile] = []
    name = ""
    content: bytes | None = None
    position = 6
    while position + 9 <= len(data) and len(files) < _MAX_FILES:
        attribute, length = struct.unpack_from("<xHxxI", data, position)
        start = position + 9
        value = data[start : start + length]
        position = start + length + 2
        if attribute == _ATTACH_START:
            if content is not None:
                files.append(PackedFile(name, content))
            name, content = "", None
        elif attribute == _ATTACH_TITLE and not name:
            name = decode_text(value.split(b"\0", 1)[0], None).text
        elif attribute == _ATTACH_DATA:
            content = value
        elif attribute == _ATTACH_PROPERTIES:
            name = _find_long_name(value) or name
    if content is not None and len(files) < _MAX_FILES:
        files.append(PackedFile(name, content))
    return tuple(files)


def _find_long_name(properties: bytes) -> str:
    """Find the long file name among the MAPI properties of an attachment; it is UTF-16 or 8-bit text."""
    for kind, encoding in ((0x001F, "utf-16-le"), (0x001E, None)):
        found = properties.find(struct.pack("<HH", kind, _LONG_NAME))
        if found < 0 or found + 12 > len(properties):
            continue
        count, length = struct.unpack_from("<II", properties, found + 4)
        text = properties[found + 12 : found + 12 + min(length, 1024)]
        if count != 1:
            continue
        if encoding:
            return text.decode(encoding, "replace").split("\0", 1)[0]
        return decode_text(text.split(b"\0", 1)[0], None).text
    return ""
