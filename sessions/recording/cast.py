"""Export of a recording as asciicast version 2 (a JSON header line, then one JSON array for each event).

An asciicast holds text, a recording holds bytes. Output is decoded as UTF-8 across events; a byte that belongs to no
character becomes U+FFFD, and a character cut by the end of an event appears with the next one. So a cast is for looking
at; the recording is the evidence. Shell marks are taken out: their nonce is a secret while the channel lives.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from datetime import datetime

from orchestrator.core.db import ReadUnit
from sessions.recording.events import EventKind, decode_size
from sessions.recording.replay import iterate_visible


def iterate_cast(
    unit: ReadUnit, channel_id: str, *, nonce: str | None, columns: int, rows: int, started_at: datetime, title: str = ""
) -> Iterator[str]:
    """Write the lines of a cast, each ending in a line feed; ``columns`` and ``rows`` are the size at the start."""
    header = {"version": 2, "width": columns, "height": rows, "timestamp": int(started_at.timestamp()), "env": {"TERM": "xterm-256color"}}
    if title:
        header["title"] = title
    yield json.dumps(header) + "\n"
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    seconds = 0.0
    for placed in iterate_visible(unit, channel_id, nonce=nonce):
        event = placed.event
        seconds = event.seconds
        if event.kind is EventKind.OUTPUT:
            text = decoder.decode(event.data)
            if text:
                yield _line(seconds, "o", text)
        elif event.kind is EventKind.RESIZE:
            width, height = decode_size(event.data)
            yield _line(seconds, "r", f"{width}x{height}")
    rest = decoder.decode(b"", final=True)
    if rest:
        yield _line(seconds, "o", rest)


def _line(seconds: float, code: str, data: str) -> str:
    return json.dumps([round(seconds, 6), code, data]) + "\n"
