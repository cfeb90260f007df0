"""Drafting an article from a session: choose commands, and it is written with names and hosts replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Right
from orchestrator.core.db import Database, ReadUnit
from orchestrator.core.errors import InvalidInput
from orchestrator.core.i18n import translator
from orchestrator.customers.models import Contact, Organisation
from orchestrator.knowledge.service import write_article
from orchestrator.tickets.models import Ticket
from orchestrator.tickets.queries import get_ticket
from sessions.endpoints.models import Endpoint
from sessions.lifecycle.models import RemoteSession
from sessions.lifecycle.policy import SessionAction
from sessions.lifecycle.queries import get_session, list_channels, require_action
from sessions.recording.replay import iterate_raw, show_raw
from sessions.recording.shown import plain_text
from sessions.runbooks.drafts import DraftStep, replace_names, write_draft
from web.auth import CurrentUser
from web.deps import Parts, Reading, Writing
from web.forms import field_errors, status_for
from web.htmx import language_of, page, redirect
from web.pages.session_views import CommandView, short_name, view_commands

router = APIRouter(prefix="/sessions/{session_id}/draft", include_in_schema=False)

MOST_OUTPUT_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class DraftPage:
    session: RemoteSession
    name: str
    ticket: Ticket
    commands: Sequence[CommandView]
    chosen: frozenset[str]
    title: str
    with_output: bool
    errors: dict[str, str] = field(default_factory=dict)


@router.get("", name="sessions:draft")
def show_form(request: Request, unit: Reading, actor: CurrentUser, services: Parts, session_id: str) -> Response:
    """Choose what goes into the draft: everything that ended well, to begin with."""
    actor.require(Right.ARTICLES_WRITE)
    session, ticket = _get(unit, actor, session_id)
    commands = _commands(services.record_database, unit, session)
    chosen = frozenset(one.key for one in commands if one.exit_status == 0)
    title = replace_names(ticket.subject, _names(unit, session, ticket))
    return page(request, "sessions/draft.html", DraftPage(session, short_name(session.id), ticket, commands, chosen, title, False))


@router.post("", name="sessions:write-draft")
def write(request: Request, unit: Writing, actor: CurrentUser, services: Parts, session_id: str,
          title: Annotated[str, Form(max_length=300)] = "", command: Annotated[list[str] | None, Form(max_length=1000)] = None,
          output: Annotated[str, Form(max_length=10)] = "") -> Response:
    """Write the draft and go on in the editor."""
    actor.require(Right.ARTICLES_WRITE)
    session, ticket = _get(unit, actor, session_id)
    commands = _commands(services.record_database, unit, session)
    chosen = frozenset(command or ())
    try:
        picked = [one for one in commands if one.key in chosen and one.line is not None]
        if not picked:
            raise InvalidInput("Choose at least one command.", field="command")
        names = _names(unit, session, ticket)
        steps = _steps(services.record_database, unit, session, picked, with_output=output == "yes")
        language = language_of(request)
        with unit.db.begin_nested():
            article = write_article(
                unit, actor, title=title, problem=replace_names(ticket.subject, names), body=write_draft(steps, names, translator(language)),
                language=str(language), internal=True, from_session_id=session.id, from_ticket_id=ticket.id)
    except InvalidInput as error:
        shown = DraftPage(session, short_name(session.id), ticket, commands, chosen, title, output == "yes", field_errors(request, error))
        return page(request, "sessions/draft.html", shown, status=status_for(error))
    return redirect(request, request.app.url_path_for("articles:show", article_id=article.id),
                    flash="The draft is written. Read it before you publish it.")


def _get(unit: ReadUnit, actor: CurrentUser, session_id: str) -> tuple[RemoteSession, Ticket]:
    session = get_session(unit, actor, session_id)
    require_action(unit, actor, session, SessionAction.REPLAY)
    return session, get_ticket(unit, actor, session.ticket_id)


def _commands(records: Database, unit: ReadUnit, session: RemoteSession) -> list[CommandView]:
    return [one for one in view_commands(records, session.id, list_channels(unit, session)) if one.line]


def _steps(records: Database, unit: ReadUnit, session: RemoteSession, picked: Sequence[CommandView], *, with_output: bool) -> list[DraftStep]:
    nonces = {channel.id: channel.marks_nonce or None for channel in list_channels(unit, session)}
    if not with_output:
        return [DraftStep(one.line or "", one.exit_status) for one in picked]
    with records.read() as recorded:
        return [DraftStep(one.line or "", one.exit_status, _output_of(recorded, one, nonces.get(one.channel_id))) for one in picked]


def _output_of(recorded: ReadUnit, command: CommandView, nonce: str | None) -> str:
    """Read the start of what a command wrote. Its offsets lie at its marks, so outside of any."""
    wanted = min(MOST_OUTPUT_BYTES, (command.offset_end or command.offset_start) - command.offset_start)
    if wanted <= 0:
        return ""
    raw = bytearray()
    for piece in iterate_raw(recorded, command.channel_id, from_offset=command.offset_start):
        raw += piece
        if len(raw) >= wanted:
            break
    return plain_text(show_raw(bytes(raw[:wanted]), offset=command.offset_start, nonce=nonce).visible).strip("\n")


def _names(unit: ReadUnit, session: RemoteSession, ticket: Ticket) -> dict[str, str]:
    """What we know of the case and must not stand in an article, with what stands for it."""
    endpoint = unit.db.get_one(Endpoint, session.endpoint_id)
    contact = unit.db.get_one(Contact, session.contact_id)
    organisation = unit.db.get_one(Organisation, session.organisation_id)
    inventory = endpoint.inventory or {}
    host_name = str(inventory.get("host_name", ""))
    names = {endpoint.name: "HOST", host_name: "HOST", host_name.partition(".")[0]: "HOST", session.os_user: "USER", organisation.name: "CUSTOMER",
             contact.name: "CONTACT", contact.email or "": "CONTACT@CUSTOMER", session.technician_name: "TECHNICIAN", ticket.number: "TICKET"}
    names |= {str(address).partition("/")[0]: "ADDRESS" for address in inventory.get("addresses", [])}
    names |= {part: "CONTACT" for part in contact.name.split() if len(part) > 3}
    return {name: stand_in for name, stand_in in names.items() if name and name not in ("root", "localhost", "127.0.0.1", "::1")}
