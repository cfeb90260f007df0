"""The last entry of a session on its ticket: who, why, by whose consent, how long, and how many commands.

Written shortly after the end, when the recording is closed, from the rows of the recording's database.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select

from orchestrator.accounts.actor import SYSTEM
from orchestrator.core.db import WriteUnit
from orchestrator.core.i18n import _
from orchestrator.search.index import touch
from sessions.lifecycle.models import ChannelRow, RemoteSession
from sessions.lifecycle.queries import find_last_consent, list_requests
from sessions.lifecycle.reasons import SENTENCES, EndReason
from sessions.lifecycle.steps import record_event, write_line
from sessions.ports import SessionServices
from sessions.recording.models import CommandRow

WAIT_FOR_CHANNELS = timedelta(seconds=60)
SUMMARY = _(
    "Remote session on %(endpoint)s by %(technician)s: %(reason)s after %(duration)s. Approved by %(approver)s (%(method)s, link sent to "
    "%(sent_to)s). %(commands)s commands, %(failed)s of them failed. Everything is recorded.")
_WITH_WORDS = SUMMARY + " %(summary)s"


def write_summary(unit: WriteUnit, session: RemoteSession, services: SessionServices) -> bool:
    """Write the summary unless a channel is still being closed (waited for at most a minute); returns whether it is written."""
    open_channels = unit.db.scalar(select(func.count()).select_from(ChannelRow).where(
        ChannelRow.session_id == session.id, ChannelRow.closed_at.is_(None))) or 0
    if open_channels and session.ended_at is not None and unit.now < session.ended_at + WAIT_FOR_CHANNELS:
        return False
    commands, failed = count_commands(services, session.id)
    found = find_last_consent(unit, session)
    requests = list_requests(unit, session)
    seconds = int((session.ended_at - session.started_at).total_seconds()) if session.ended_at and session.started_at else 0
    values: dict[str, object] = {
        "endpoint": services.keys.read_request(requests[0].request_jws).endpoint_name, "technician": session.technician_name,
        "reason": SENTENCES[EndReason(session.end_reason)], "duration": write_duration(seconds),
        "approver": found[1].approver_name if found else session.contact_name, "method": found[1].method if found else "link",
        "sent_to": found[0].sent_to if found else requests[0].sent_to, "commands": commands, "failed": failed, "summary": session.summary,
    }
    session.summary_written = True
    touch(unit, "command", session.id)
    record_event(unit, SYSTEM, session, "session.summarised", {"commands": commands, "failed": failed, "seconds": seconds})
    write_line(unit, SYSTEM, session, "summary", _WITH_WORDS if session.summary else SUMMARY, values)
    return True


def count_commands(services: SessionServices, session_id: str) -> tuple[int, int]:
    """Count the recorded commands of a session, and those that failed."""
    with services.record_database.read() as records:
        row = records.db.execute(select(
            func.count(), func.count().filter(CommandRow.exit_status.is_not(None), CommandRow.exit_status != 0),
        ).select_from(CommandRow).where(CommandRow.session_id == session_id, CommandRow.source != "unmarked")).one()
    return int(row[0]), int(row[1])


def write_duration(seconds: int) -> str:
    """Write a duration as H:MM:SS."""
    hours, rest = divmod(max(seconds, 0), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
