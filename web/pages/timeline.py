"""What a ticket's timeline shows: entries worded in the reader's language, the steps of a session gathered into one card.

Here: pure building of `ShownItem`s, and the reading that they need. Not here: the entries (tickets), sessions and
commands themselves (sessions), how it looks (`templates/macros/timeline.html`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import select

from orchestrator.accounts.actor import Actor, Right
from orchestrator.core.db import Database, ReadUnit
from orchestrator.core.i18n import Translator
from orchestrator.notifications.models import OutgoingMail
from orchestrator.tickets.models import Attachment, Entry, EntryKind, Ticket
from orchestrator.tickets.notices import sentence_of
from orchestrator.tickets.queries import TimelineItem
from sessions.endpoints.models import Endpoint
from sessions.lifecycle.models import RemoteSession
from sessions.lifecycle.policy import SessionAction, may
from sessions.lifecycle.queries import facts_of, list_sessions_of_ticket
from sessions.recording.models import CommandRow
from sessions.recording.queries import list_commands
from web import labels
from web.moments import find_zone, write_moment

SHOWN_COMMANDS = 50
"""A card lists this many commands; the rest is in the replay."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a session, worded."""

    entry: Entry
    text: str


@dataclass(frozen=True, slots=True)
class SessionCard:
    """A remote session with what was done in it; `may_*` say what the reader may open."""

    session: RemoteSession
    short_name: str
    endpoint_name: str
    steps: Sequence[Step]
    commands: Sequence[CommandRow]
    commands_total: int
    may_open: bool
    may_replay: bool
    may_draft: bool
    has_recording: bool


@dataclass(frozen=True, slots=True)
class ShownItem:
    """One item as it is shown. `session` is set on the first shown step of a session and gathers the others."""

    entry: Entry
    text: str
    attachments: Sequence[Attachment] = ()
    recipients: str = ""
    entered_by: str = ""
    explanation: str = ""
    marks: Sequence[tuple[str, str]] = ()
    session: SessionCard | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: language, zone and time decide the wording."""

    actor: Actor
    words: Translator
    now: datetime = field(compare=False)

    def write(self, moment: datetime) -> str:
        """Write a moment for this reader."""
        return write_moment(moment, now=self.now, zone=find_zone(self.actor.time_zone), language=self.words.language)


def build_timeline(unit: ReadUnit, records: Database, reader: Reader, ticket: Ticket, items: Sequence[TimelineItem]) -> list[ShownItem]:
    """Return what is shown for a part of the timeline, in the same order."""
    cards = _build_cards(unit, records, reader, ticket, [item.entry for item in items])
    shown: list[ShownItem] = []
    placed: set[str] = set()
    for item in items:
        entry = item.entry
        session_id = str(entry.data.get("session_id", "")) if entry.kind == EntryKind.SESSION else ""
        if session_id in cards:
            if session_id not in placed:
                placed.add(session_id)
                shown.append(ShownItem(entry, "", session=cards[session_id]))
            continue
        shown.append(ShownItem(
            entry, word_entry(entry, reader), attachments=item.attachments, recipients=_recipients(entry),
            entered_by=str(entry.data.get("entered_by", "")),
            explanation=_explanation(entry, reader), marks=marks_of(item, reader)))
    return shown


def word_entry(entry: Entry, reader: Reader) -> str:
    """Return an entry's text in the reader's language; what people wrote stays as it is."""
    match entry.kind:
        case EntryKind.CHANGE:
            text = _fill(entry, reader, *sentence_of(entry))
            return f"{text} ({entry.text})" if entry.text else text
        case EntryKind.NOTICE:
            return _fill(entry, reader, *sentence_of(entry))
        case EntryKind.SESSION:
            sentence, values = entry.data.get("sentence"), entry.data.get("values")
            return _fill(entry, reader, sentence, values) if isinstance(sentence, str) and isinstance(values, dict) else entry.text
        case _:
            return entry.text


_WORDS_OF: Mapping[str, Mapping[str, str]] = {
    "status": labels.STATUS, "kind": labels.KIND, "link": labels.RELATION, "linked_from": labels.RELATION,
}
_SENTENCES = frozenset({"reason", "via"})
"""Values that are sentences of ours. All others come from people and stay as they are."""


def _fill(entry: Entry, reader: Reader, sentence: str, values: Mapping[str, object]) -> str:
    table = _WORDS_OF.get(str(entry.data.get("what")), {})
    wording = reader.words.gettext(sentence)
    filled = {name: _value(name, value, table, reader) for name, value in values.items()}
    if "scopes" in values:
        filled["scopes"] = _scopes(values["scopes"], reader)
    moment = _stored_moment(values.get("until"))
    if moment is not None:
        wording = wording.replace("%(until)s UTC", "%(until)s")
        filled["until"] = reader.write(moment)
    try:
        return wording % filled
    except (KeyError, TypeError, ValueError):  # an old entry whose sentence has changed since
        return entry.text


def _stored_moment(value: object) -> datetime | None:
    """Read a moment as the steps of sessions store it ("2026-11-23 13:55", UTC)."""
    try:
        return datetime.strptime(str(value), "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    except ValueError:
        return None


def _scopes(value: object, reader: Reader) -> str:
    return ", ".join(reader.words.gettext(labels.SCOPE.get(scope, scope)) for scope in str(value).split(", "))


def _value(name: str, value: object, table: Mapping[str, str], reader: Reader) -> object:
    """Word a value: a word of a closed set, a moment to wait until, a sentence of ours; anything else as it is."""
    if not isinstance(value, str) or not value:
        return value
    if value in table:
        return reader.words.gettext(table[value])
    word, _space, moment = value.partition(" ")
    if word in table and moment:
        try:
            return f"{reader.words.gettext(table[word])} {reader.write(datetime.fromisoformat(moment))}"
        except ValueError:
            return value
    return reader.words.gettext(value) if name in _SENTENCES else value


def _recipients(entry: Entry) -> str:
    if entry.kind != EntryKind.MESSAGE or entry.data.get("direction") == "in" or entry.author_kind == "contact":
        return ""
    people = [entry.data.get("to"), *(entry.data.get("cc") or [])]
    return ", ".join(str(person) for person in people if person)


def _explanation(entry: Entry, reader: Reader) -> str:
    """Say why an incoming mail landed in this ticket, as intake stored it."""
    decision = entry.data.get("decision")
    if isinstance(decision, Mapping):
        sentence, values = decision.get("sentence"), decision.get("values")
        if isinstance(sentence, str):
            return _fill(entry, reader, sentence, values if isinstance(values, Mapping) else {})
    return ""


def marks_of(item: TimelineItem, reader: Reader) -> Sequence[tuple[str, str]]:
    """Say what a technician must know about an entry before he believes it, each with its tone."""
    marks: list[tuple[str, str]] = []
    if item.mail is not None and item.entry.kind == EntryKind.MESSAGE:
        marks.extend(_mail_mark(item.mail, reader))
    data, words = item.entry.data, reader.words
    if data.get("sender_verified") == "fail":
        marks.append((words("sender could not be verified"), "bad"))
    if data.get("automatic", "none") != "none":
        marks.append((words("written by a program"), ""))
    protection = str(data.get("protection", "none"))
    if protection.startswith("encrypted"):
        marks.append((words("encrypted, kept whole"), "warn"))
    elif protection.startswith("signed"):
        marks.append((words("signed, kept whole"), ""))
    if data.get("left_in_raw_mail"):
        marks.append((words("more attachments are in the stored mail"), "warn"))
    return marks


def _mail_mark(mail: OutgoingMail, reader: Reader) -> Sequence[tuple[str, str]]:
    match mail.state:
        case "sent":
            return ((reader.words("sent"), "ok"),)
        case "failed":
            return ((reader.words("not delivered"), "bad"),)
        case _:
            return ((reader.words("waits to be sent"), "warn"),)


def _build_cards(unit: ReadUnit, records: Database, reader: Reader, ticket: Ticket, entries: Sequence[Entry]) -> dict[str, SessionCard]:
    steps: dict[str, list[Step]] = {}
    for entry in entries:
        if entry.kind == EntryKind.SESSION and entry.data.get("session_id"):
            steps.setdefault(str(entry.data["session_id"]), []).append(Step(entry, word_entry(entry, reader)))
    if not steps or not reader.actor.may(Right.SESSIONS_READ):
        return {}
    sessions = [session for session in list_sessions_of_ticket(unit, reader.actor, ticket) if session.id in steps]
    names = {row.id: row.name for row in unit.db.execute(
        select(Endpoint.id, Endpoint.name).where(Endpoint.id.in_([session.endpoint_id for session in sessions])))}
    with records.read() as recorded:
        return {session.id: _build_card(unit, recorded, reader, session, names.get(session.endpoint_id, ""), steps[session.id])
                for session in sessions}


def _build_card(unit: ReadUnit, recorded: ReadUnit, reader: Reader, session: RemoteSession, endpoint_name: str,
                steps: Sequence[Step]) -> SessionCard:
    facts, started = facts_of(unit, session), session.started_at is not None
    commands = list_commands(recorded, session_id=session.id) if started else []
    return SessionCard(
        session=session, short_name=short_name(session.id), endpoint_name=endpoint_name, steps=steps,
        commands=commands[:SHOWN_COMMANDS], commands_total=len(commands), may_open=True,
        may_replay=may(reader.actor, SessionAction.REPLAY, facts), has_recording=started,
        may_draft=started and session.ended_at is not None and reader.actor.may(Right.ARTICLES_WRITE))


def short_name(session_id: str) -> str:
    """Return the four characters by which people call a session; the end of its id, where the random bits are."""
    return session_id[-4:].upper()
