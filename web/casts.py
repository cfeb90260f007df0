"""A channel's recording as a download: an asciicast streamed from the recordings' database. Who may read it is decided before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from starlette.responses import StreamingResponse

from orchestrator.core.db import Database
from orchestrator.core.errors import NotFound
from sessions.lifecycle.models import ChannelRow, RemoteSession
from sessions.recording.cast import iterate_cast


def find_channel(channels: Sequence[ChannelRow], channel_id: str) -> ChannelRow:
    """Pick a channel of a session's list. Raises NotFound."""
    for channel in channels:
        if channel.id == channel_id:
            return channel
    raise NotFound()


def cast_response(record_database: Database, session: RemoteSession, channel: ChannelRow) -> StreamingResponse:
    """Stream the cast; the record is read in a unit of its own while it is sent."""
    opened_at, columns, rows, nonce, channel_id = channel.opened_at, channel.columns, channel.rows, channel.marks_nonce or None, channel.id
    title = f"{session.ticket_number} · {session.os_user}"

    def lines() -> Iterator[str]:
        with record_database.read() as records:
            yield from iterate_cast(records, channel_id, nonce=nonce, columns=columns, rows=rows, started_at=opened_at, title=title)

    return StreamingResponse(lines(), media_type="application/x-asciicast", headers={
        "Content-Disposition": f'attachment; filename="{session.ticket_number}-{channel_id}.cast"', "Cache-Control": "private, no-store"})
