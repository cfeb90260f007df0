"""Replay: the recording in a player, with the list of commands that jumps. Every opening of the page is an audit event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.audit.service import record_audit
from orchestrator.core.errors import NotFound
from sessions.endpoints.models import Endpoint
from sessions.lifecycle.models import RemoteSession
from sessions.lifecycle.policy import SessionAction
from sessions.lifecycle.queries import get_session, list_channels, require_action
from web.auth import CurrentUser
from web.deps import Parts, Writing
from web.htmx import page
from web.middleware import CSP_TERMINAL
from web.pages.session_views import ChannelView, CommandView, short_name, view_channels, view_commands

router = APIRouter(prefix="/sessions", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class ReplayPage:
    """``channel`` is the one that is played; None when nothing was recorded."""

    session: RemoteSession
    name: str
    endpoint_name: str
    channels: Sequence[ChannelView]
    channel: ChannelView | None
    commands: Sequence[CommandView]


@router.get("/{session_id}/replay", name="sessions:replay")
def show_replay(request: Request, unit: Writing, actor: CurrentUser, services: Parts, session_id: str, channel: str = "") -> Response:
    """Show a session's recording; the first channel unless one is named."""
    session = get_session(unit, actor, session_id)
    require_action(unit, actor, session, SessionAction.REPLAY)
    channels = [one for one in view_channels(request, unit, session) if one.has_record]
    chosen = next((one for one in channels if one.id == channel), None)
    if channel and chosen is None:
        raise NotFound()
    chosen = chosen or (channels[0] if channels else None)
    commands = view_commands(services.record_database, session.id, list_channels(unit, session)) if chosen else []
    record_audit(unit, actor, "session.replayed", subject=f"session {session.id}", ticket_number=session.ticket_number,
                 summary=f"{actor.name} opened the replay", details={"channel": chosen.id if chosen else None})
    shown = ReplayPage(session, short_name(session.id), unit.db.get_one(Endpoint, session.endpoint_id).name, channels, chosen,
                       [one for one in commands if chosen is not None and one.channel_id == chosen.id])
    return page(request, "sessions/replay.html", shown, headers={"Content-Security-Policy": CSP_TERMINAL})
