"""What the pages of remote sessions show of a session: commands, channels, names. Reading only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request

from orchestrator.core.db import Database, ReadUnit
from sessions.lifecycle.models import ChannelRow, RemoteSession
from sessions.lifecycle.queries import list_channels
from sessions.recording.queries import list_commands
from sessions.recording.shown import show_line


@dataclass(frozen=True, slots=True)
class CommandView:
    """One command line, fit to be shown. ``line`` None: the shell did not say. ``seconds_in`` counts from its channel's start."""

    key: str
    channel_id: str
    number: int
    line: str | None
    directory: str
    exit_status: int | None
    is_running: bool
    started_at: datetime
    seconds: float | None
    seconds_in: float
    source: str
    offset_start: int
    offset_end: int | None


@dataclass(frozen=True, slots=True)
class ChannelView:
    """One channel with the addresses that the scripts need. ``differs``: the agent's signed account is another than ours."""

    id: str
    number: int
    kind: str
    state: str
    is_open: bool
    columns: int
    rows: int
    shell: str
    marked: bool
    opened_at: datetime
    closed_at: datetime | None
    exit_status: int | None
    close_reason: str
    has_record: bool
    has_word: bool
    differs: bool
    console_path: str
    watch_path: str
    cast_path: str


def short_name(session_id: str) -> str:
    """The four characters by which people call a session: the end of its id, where the random bits are."""
    return session_id[-4:].upper()


def view_commands(records: Database, session_id: str, channels: Sequence[ChannelRow]) -> list[CommandView]:
    """Read a session's command rows, in the order they started."""
    started = {channel.id: channel.opened_at for channel in channels}
    with records.read() as unit:
        rows = list_commands(unit, session_id=session_id)
    return [
        CommandView(
            key=f"{row.channel_id}-{row.seq}", channel_id=row.channel_id, number=row.seq, line=show_line(row.line) if row.line is not None else None,
            directory=show_line(row.directory or ""), exit_status=row.exit_status, is_running=row.seconds is None and row.offset_end is None,
            started_at=row.started_at, seconds=row.seconds, source=row.source, offset_start=row.offset_start, offset_end=row.offset_end,
            seconds_in=max(0.0, (row.started_at - started[row.channel_id]).total_seconds()) if row.channel_id in started else 0.0,
        )
        for row in rows
        if row.started_at is not None
    ]


def view_channels(request: Request, unit: ReadUnit, session: RemoteSession) -> list[ChannelView]:
    """Read a session's channels, in the order of their opening."""
    path = request.app.url_path_for
    return [
        ChannelView(
            id=row.id, number=number, kind=row.kind, state=row.state, is_open=row.closed_at is None, columns=row.columns, rows=row.rows,
            shell=row.shell, marked=row.marked, opened_at=row.opened_at, closed_at=row.closed_at, exit_status=row.exit_status,
            close_reason=row.close_reason, has_record=bool(row.record_head) or row.state not in ("opening", "failed"), has_word=bool(row.word),
            differs=row.word_differs, console_path=str(path("sockets:console", label=row.label, session_id=session.id, channel_id=row.id)),
            watch_path=str(path("sockets:watch", label=row.label, session_id=session.id, channel_id=row.id)),
            cast_path=str(path("api:session-cast", session_id=session.id, channel_id=row.id)),
        )
        for number, row in enumerate(list_channels(unit, session), start=1)
    ]
