"""Field types of messages and signed documents: what may stand in them, with ranges. Reading them is in codec.py."""

import re
from dataclasses import dataclass
from typing import Annotated

from agents.protocol import limits


@dataclass(frozen=True, slots=True)
class Text:
    """A string between two lengths (characters); without `pattern`, printable characters and, if allowed, newlines
    and tabs."""

    longest: int
    shortest: int = 0
    pattern: re.Pattern[str] | None = None
    many_lines: bool = False


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number between two bounds, both included."""

    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class Items:
    """A list of at most so many items."""

    most: int


Identifier = Annotated[str, Text(64, 1, re.compile(r"[A-Za-z0-9_-]+"))]
OptionalIdentifier = Annotated[str, Text(64, 0, re.compile(r"[A-Za-z0-9_-]*"))]
Label = Annotated[str, Text(32, 1, re.compile(r"[a-z0-9][a-z0-9-]*"))]
Secret = Annotated[str, Text(128, 16, re.compile(r"[A-Za-z0-9_-]+"))]
Nonce = Annotated[str, Text(64, 22, re.compile(r"[A-Za-z0-9_-]+"))]
KeyText = Annotated[str, Text(43, 43, re.compile(r"[A-Za-z0-9_-]+"))]
SignatureText = Annotated[str, Text(86, 86, re.compile(r"[A-Za-z0-9_-]+"))]
Fingerprint = Annotated[str, Text(50, 50, re.compile(r"SHA256:[A-Za-z0-9+/]{43}"))]
Digest = Annotated[str, Text(64, 64, re.compile(r"[0-9a-f]+"))]
OptionalDigest = Annotated[str, Text(64, 0, re.compile(r"(?:[0-9a-f]{64})?"))]
Document = Annotated[str, Text(limits.DOCUMENT_BYTES, 5, re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"))]
OptionalDocument = Annotated[str, Text(limits.DOCUMENT_BYTES, 0, re.compile(r"(?:[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)?"))]
MarksNonce = Annotated[str, Text(128, 16, re.compile(r"[0-9a-f]+"))]
ScopeText = Annotated[str, Text(1024, 1)]
UserName = Annotated[str, Text(64, 1, re.compile(r"[A-Za-z0-9._@+$-]+"))]
Line = Annotated[str, Text(500)]
ShortLine = Annotated[str, Text(200)]
Prose = Annotated[str, Text(4000, many_lines=True)]

Offset = Annotated[int, Whole(0, limits.HIGHEST_OFFSET)]
Counter = Annotated[int, Whole(0, 2**31 - 1)]
Epoch = Annotated[int, Whole(1, 2**31 - 1)]
Columns = Annotated[int, Whole(1, 2000)]
Rows = Annotated[int, Whole(1, 2000)]
ExitStatus = Annotated[int, Whole(-255, 2**32 - 1)]
Seconds = Annotated[int, Whole(0, 7 * 86400)]
