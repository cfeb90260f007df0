"""Rows of channels: asked for, begun, closed, continued after a restart, and the agent's word. Blocking; never on the loop.

What happens on sockets is in ``relay.py``; ``hub.py`` calls these functions in worker threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from agents.protocol.channel_messages import ChannelResume
from agents.protocol.errors import ProtocolError
from agents.protocol.signatures import PublicKey, hash_document
from agents.protocol.words import read_word
from orchestrator.accounts.actor import SYSTEM, Actor, ActorKind
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import Conflict, InvalidInput, NotFound
from orchestrator.core.events import Event
from orchestrator.core.i18n import _
from orchestrator.core.ids import new_id, parse_id
from sessions.endpoints.models import Endpoint
from sessions.lifecycle.models import ChannelRow, RemoteSession, SessionState
from sessions.lifecycle.policy import check_channel
from sessions.lifecycle.queries import RUNNING, facts_of, find_consent_in_force, get_session
from sessions.lifecycle.service import begin_session
from sessions.lifecycle.steps import lock_session, record_event, write_line
from sessions.live.errors import AgentAway
from sessions.recording.interface import ChannelOpening, RecordingHead

CHANNELS_PER_SESSION = 16
OPEN_STATES = ("opening", "live", "away", "exited")

GAP = _("The recording of a channel ends after %(bytes)s bytes without the end of the process: %(cause)s")
DIFFERS = _("The machine's signed account of a channel differs from the recording: %(told)s bytes told, %(recorded)s recorded")


@dataclass(frozen=True, slots=True)
class ChannelAsked(Event):
    """A channel's row is there; the agent must be asked to open it. ``actor`` is the leading technician."""

    channel_id: str
    session_id: str
    endpoint_id: str
    actor: Actor


@dataclass(frozen=True, slots=True)
class OpeningFacts:
    """What opening a channel at the agent needs. ``request_token`` is the signed request whose consent is in force."""

    channel_id: str
    session_id: str
    endpoint_id: str
    kind: str
    columns: int
    rows: int
    state: SessionState
    request_token: str


def open_channel(unit: WriteUnit, actor: Actor, session_id: str, *, kind: str = "shell", columns: int = 80, rows: int = 24,
                 label: str = "0") -> ChannelRow:
    """Ask for a channel of a session the actor leads. The opening itself follows after the commit, its progress is told on the
    console's socket, which may be connected at once.

    Raises NotFound, Forbidden, ScopeMissing, InvalidInput, Conflict, AgentAway.
    """
    session = lock_session(unit, get_session(unit, actor, session_id).id)
    if not 1 <= columns <= 2000 or not 1 <= rows <= 2000:
        raise InvalidInput("A terminal has 1 to 2000 columns and rows.", field="columns")
    check_channel(actor, facts_of(unit, session), kind)
    endpoint = unit.db.get_one(Endpoint, session.endpoint_id)
    if not endpoint.online:
        raise AgentAway()
    if (unit.db.scalar(select(func.count()).select_from(ChannelRow).where(
            ChannelRow.session_id == session.id, ChannelRow.state.in_(OPEN_STATES))) or 0) >= CHANNELS_PER_SESSION:
        raise Conflict("This session has {most} channels open already.", most=CHANNELS_PER_SESSION)
    row = ChannelRow(id=new_id(), session_id=session.id, kind=kind, state="opening", os_user=session.os_user, label=label,
                     columns=columns, rows=rows, opened_at=unit.now)
    unit.db.add(row)
    unit.db.flush()
    unit.emit(ChannelAsked(row.id, session.id, session.endpoint_id, actor))
    return row


def get_channel(unit: ReadUnit, session: RemoteSession, channel_id: str) -> ChannelRow:
    """Return a channel of a session that the caller got by ``get_session``. Raises NotFound."""
    row = unit.db.get(ChannelRow, parse_id(channel_id))
    if row is None or row.session_id != session.id:
        raise NotFound()
    return row


def read_opening(unit: ReadUnit, channel_id: str) -> OpeningFacts:
    """Read what opening needs, afresh. Raises Conflict when it is no longer allowed."""
    row = unit.db.get_one(ChannelRow, channel_id)
    session = unit.db.get_one(RemoteSession, row.session_id)
    if row.state != "opening" or session.state not in (SessionState.APPROVED, SessionState.LIVE):
        raise Conflict("The session is {state}; no channel can be opened now.", state=str(session.state))
    return OpeningFacts(row.id, session.id, session.endpoint_id, row.kind, row.columns, row.rows, SessionState(session.state),
                        read_request_token(unit, session.id))


def read_request_token(unit: ReadUnit, session_id: str) -> str:
    """Return the signed request whose consent is in force. Raises Conflict without one."""
    found = find_consent_in_force(unit, unit.db.get_one(RemoteSession, session_id))
    if found is None:
        raise Conflict("There is no consent that this session could use.")
    return found[0].request_jws


def begin_channel(unit: WriteUnit, actor: Actor, channel_id: str, resume: ChannelResume) -> None:
    """The agent's first socket of a channel stands: the row is live, and with the first channel the session.

    Raises Conflict when the session is not open any more; the channel must be closed then.
    """
    row = _lock(unit, channel_id)
    session = lock_session(unit, row.session_id)
    if row.state != "opening":
        raise Conflict("This channel was opened before.")
    if len(resume.marks_nonce) > 64:
        raise Conflict("The machine's shell marks are of a form that is not known.")
    if session.state == SessionState.APPROVED:
        session = begin_session(unit, actor, session)
    elif session.state not in (SessionState.LIVE, SessionState.SUSPENDED):
        raise Conflict("The session is {state}; no channel can be opened now.", state=str(session.state))
    row.state, row.agent_instance, row.connection = "live", resume.instance, resume.conn
    row.shell, row.marked = resume.shell[:100], resume.marked
    row.marks_nonce = resume.marks_nonce if resume.marked else ""
    unit.db.flush()
    record_event(unit, actor, session, "channel.opened", {
        "channel": row.id, "kind": row.kind, "user": row.os_user, "shell": row.shell, "marked": row.marked})


def opening_of(row: ChannelRow, *, nonce: str | None, shell: str) -> ChannelOpening:
    """Say what the recorder must know of a channel."""
    return ChannelOpening(channel_id=row.id, session_id=row.session_id, kind=row.kind, shell=shell, marks_nonce=nonce,
                          columns=row.columns, rows=row.rows, started_at=row.opened_at)


def read_channel(unit: ReadUnit, channel_id: str) -> ChannelRow:
    """Read a channel's row; for the live side itself, without a permission check."""
    return unit.db.get_one(ChannelRow, channel_id)


def close_channel(unit: WriteUnit, channel_id: str, *, state: str, exit_status: int | None, reason: str, head: RecordingHead | None,
                  complete: bool, received: int) -> None:
    """Close the row and put the recording's head into the session's event chain, in one transaction. Safe to repeat.

    ``complete`` False: the end of the process was not seen. ``received`` bytes are on record then, and a gap stands on the ticket.
    """
    row = _lock(unit, channel_id)
    if row.closed_at is not None:
        return
    session = lock_session(unit, row.session_id)
    was_live = row.state != "opening"
    row.state, row.exit_status, row.close_reason, row.closed_at = state, exit_status, reason[:60], unit.now
    facts: dict[str, object] = {"channel": row.id, "state": state, "exit_status": exit_status, "reason": reason}
    if head is not None:
        row.output_bytes, row.output_sha256 = head.total_bytes, head.sha256_hex
        row.record_head, row.record_count = head.chain_head, head.links
        facts |= {"record_head": head.chain_head, "links": head.links, "bytes": head.total_bytes, "sha256": head.sha256_hex}
    unit.db.flush()
    record_event(unit, SYSTEM, session, "channel.closed", facts)
    if was_live and not complete:
        record_event(unit, SYSTEM, session, "recording.gap", {"channel": row.id, "from_offset": received, "cause": reason})
        write_line(unit, SYSTEM, session, "gap", GAP, {"bytes": received, "cause": reason})


def store_word(unit: WriteUnit, endpoint_id: str, channel_id: str, token: str) -> bool:
    """Keep the agent's signed word about a closed channel, and say so when it differs from the record.

    Returns False while the channel is not closed yet. Raises Conflict for a word that is not of this agent and channel.
    """
    row = unit.db.scalars(select(ChannelRow).where(ChannelRow.id == channel_id).with_for_update()).one_or_none()
    session = lock_session(unit, row.session_id) if row is not None else None
    if row is None or session is None or session.endpoint_id != endpoint_id:
        raise Conflict("There is no such channel of this machine.")
    endpoint = unit.db.get_one(Endpoint, endpoint_id)
    try:
        word = read_word(token, PublicKey.from_text(endpoint.public_key))
    except ProtocolError as exc:
        raise Conflict("The machine's word about a channel cannot be verified: {reason}", reason=str(exc)) from exc
    if (word.endpoint_id, word.session_id, word.channel_id) != (endpoint_id, session.id, channel_id):
        raise Conflict("The machine's word is about another channel.")
    if row.word:
        return True
    if row.closed_at is None:
        return False
    row.word = token
    row.word_differs = (word.output_bytes, word.output_sha256) != (row.output_bytes, row.output_sha256)
    unit.db.flush()
    agent = Actor(kind=ActorKind.AGENT, id=endpoint_id, name=endpoint.name)
    record_event(unit, agent, session, "channel.word", {
        "channel": row.id, "word_sha256": hash_document(token), "differs": row.word_differs, "bytes": word.output_bytes,
        "sha256": word.output_sha256, "cause": word.cause})
    if row.word_differs:
        write_line(unit, agent, session, "word-differs", DIFFERS, {"told": word.output_bytes, "recorded": row.output_bytes})
    return True


def list_unclosed(unit: ReadUnit, *, label: str) -> Sequence[tuple[ChannelRow, str, bool]]:
    """Channels of this process that its earlier life left open: row, endpoint, and whether the session still runs."""
    rows = unit.db.execute(select(ChannelRow, RemoteSession.endpoint_id, RemoteSession.state).join(
        RemoteSession, RemoteSession.id == ChannelRow.session_id).where(
        ChannelRow.closed_at.is_(None), ChannelRow.label == label).order_by(ChannelRow.opened_at)).all()
    return [(row, endpoint_id, state in RUNNING) for row, endpoint_id, state in rows]


def _lock(unit: WriteUnit, channel_id: str) -> ChannelRow:
    return unit.db.scalars(select(ChannelRow).where(ChannelRow.id == channel_id).with_for_update().execution_options(
        populate_existing=True)).one()
