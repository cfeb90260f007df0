"""The text control between a channel and its viewers (browsers and API clients). Binary frames are visible bytes.

    viewer → attach                 where it stands; without it, a client that just reads and writes is served as well
    server → attached, reset?, bytes, caught_up, then bytes and news (live, away, stalled, unstalled, size, command, exit …)
    server → input{at, generation}  the keyboard is open: the controller answers `rebase{generation}` and sends bytes from `at`
    viewer → ack{raw}               everything below is on the screen;  server → input_ack{applied}

Offsets are raw bytes. Where stripped shell marks make a frame shorter than what it stands for, `upto{raw}` comes before the
frame and `at{raw}` after it. A client that never sends `attach` as its first message needs to send no control at all: what its
socket takes counts as shown, and its bytes count as soon as the keyboard is open.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from agents.protocol.codec import parse_strict_json
from agents.protocol.errors import MalformedMessage

TEXT_BYTES = 4 * 1024
_HIGHEST = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Attach:
    """``client`` names the page, so that one that reconnects keeps the keyboard; ``take``: I want it even from another page.

    ``generation``, ``input_low`` and ``input_high`` say which input the page still holds.
    """

    client: str
    have: int | None = None
    take: bool = True
    generation: int = 0
    input_low: int = 0
    input_high: int = 0


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything below ``raw`` is on the screen."""

    raw: int


@dataclass(frozen=True, slots=True)
class Rebased:
    """From here on my bytes belong to this generation."""

    generation: int


@dataclass(frozen=True, slots=True)
class NewSize:
    columns: int
    rows: int


@dataclass(frozen=True, slots=True)
class Take:
    """Give me the keyboard."""


ViewerMessage = Attach | Shown | Rebased | NewSize | Take


def read_viewer_message(text: str) -> ViewerMessage | None:
    """Read one message; None for a type that is not known (newer pages may say more). Raises MalformedMessage."""
    value = parse_strict_json(text, longest_bytes=TEXT_BYTES)
    match value.get("type"):
        case "attach":
            client = value.get("client")
            if not isinstance(client, str) or not 1 <= len(client) <= 64 or not client.isascii():
                raise MalformedMessage("client is not a short name")
            return Attach(
                client=client, have=None if value.get("have") is None else _whole(value, "have"), take=value.get("take", True) is not False,
                generation=_whole(value, "generation", default=0), input_low=_whole(value, "input_low", default=0),
                input_high=_whole(value, "input_high", default=0),
            )
        case "ack":
            return Shown(_whole(value, "raw"))
        case "rebase":
            return Rebased(_whole(value, "generation"))
        case "resize":
            return NewSize(_whole(value, "columns", lowest=1, highest=2000), _whole(value, "rows", lowest=1, highest=2000))
        case "take":
            return Take()
        case str():
            return None
        case _:
            raise MalformedMessage("type is missing")


def _whole(value: dict[str, Any], name: str, *, default: int | None = None, lowest: int = 0, highest: int = _HIGHEST) -> int:
    found = value.get(name, default)
    if isinstance(found, bool) or not isinstance(found, int) or not lowest <= found <= highest:
        raise MalformedMessage(f"{name} is not a whole number in its range")
    return found


def write_message(kind: str, **fields: object) -> str:
    """Write one message to a viewer."""
    return json.dumps({"type": kind, **fields}, separators=(",", ":"), ensure_ascii=False)


HEARTBEAT = write_message("heartbeat")
