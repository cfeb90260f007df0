"""Drafting an article from a finished session: the problem, the commands that were chosen, the solution.

Names and hosts of this customer are replaced; no output of commands is taken over. The draft is internal until somebody
reads and publishes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import select

from orchestrator.accounts.actor import Actor
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import InvalidInput
from orchestrator.core.i18n import translator
from orchestrator.customers.models import Contact, Organisation, OrganisationDomain
from orchestrator.knowledge.models import Article
from orchestrator.knowledge.service import write_article
from orchestrator.tickets.models import Ticket
from sessions.endpoints.models import Endpoint
from sessions.lifecycle.models import RemoteSession
from sessions.lifecycle.policy import SessionAction
from sessions.lifecycle.queries import require_action
from sessions.ports import SessionServices
from sessions.recording.models import CommandRow
from sessions.recording.queries import list_commands

MOST_COMMANDS = 200
_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,253}")
_IPV4 = re.compile(r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9.])")
_IPV6 = re.compile(r"(?<![0-9A-Fa-f:])(?=[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:)[0-9A-Fa-f:]{4,39}(?![0-9A-Fa-f:])")
_CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}:[0-9]{2}")


def draft_article(unit: WriteUnit, actor: Actor, session: RemoteSession, *, commands: Sequence[tuple[str, int]], solution: str = "",
                  services: SessionServices) -> Article:
    """Write a draft from a session; ``commands`` are (channel id, number) of the rows to take over, in any order.

    Raises Forbidden for those who may not see the recording or write articles, InvalidInput for commands of another session.
    """
    require_action(unit, actor, session, SessionAction.REPLAY)
    if len(commands) > MOST_COMMANDS:
        raise InvalidInput("Choose at most {most} commands.", field="commands", most=MOST_COMMANDS)
    rows = _chosen(services, session.id, commands)
    ticket = unit.db.get_one(Ticket, session.ticket_id)
    names = names_to_replace(unit, session)
    words = translator(ticket.language)
    problem = "\n\n".join(part for part in (replace_names(ticket.subject, names), replace_names(session.purpose, names)) if part)
    parts: list[str] = []
    if rows:
        parts += [f"## {words('Steps')}", fence(replace_names(clean_line(row.line or ""), names) for row in rows)]
    parts += [f"## {words('Solution')}", replace_names(solution.strip() or session.summary or words("(what solved it)"), names)]
    return write_article(
        unit, actor, title=replace_names(ticket.subject, names) or words("Solved in a remote session"), problem=problem,
        body="\n\n".join(parts) + "\n", language="de" if ticket.language == "de" else "en", internal=True, from_session_id=session.id,
        from_ticket_id=ticket.id)


def _chosen(services: SessionServices, session_id: str, commands: Sequence[tuple[str, int]]) -> list[CommandRow]:
    wanted = set(commands)
    with services.record_database.read() as records:
        rows = [row for row in list_commands(records, session_id=session_id) if (row.channel_id, row.seq) in wanted and row.line]
    if len(rows) != len(wanted):
        raise InvalidInput("These are not commands of this session.", field="commands")
    return rows


def names_to_replace(unit: ReadUnit, session: RemoteSession) -> dict[str, str]:
    """Collect what names this customer and this machine, with the placeholder for each."""
    endpoint = unit.db.get_one(Endpoint, session.endpoint_id)
    organisation = unit.db.get_one(Organisation, session.organisation_id)
    contact = unit.db.get_one(Contact, session.contact_id)
    host = str((endpoint.inventory or {}).get("host_name", ""))
    names: dict[str, str] = {}
    for text, placeholder in (
        (endpoint.name, "<host>"), (host, "<host>"), (host.partition(".")[0], "<host>"), (organisation.name, "<organisation>"),
        (contact.name, "<contact>"), (contact.email or "", "<mail>"), (session.technician_name, "<technician>"),
        *((address, "<address>") for address in (endpoint.inventory or {}).get("addresses", [])),
        *((domain, "<domain>") for domain in unit.db.scalars(select(OrganisationDomain.domain).where(
            OrganisationDomain.organisation_id == organisation.id))),
        *((part, "<contact>") for part in contact.name.split() if len(part) > 3),
    ):
        if len(str(text).strip()) > 2:
            names.setdefault(str(text).strip(), placeholder)
    return names


def replace_names(text: str, names: Mapping[str, str]) -> str:
    """Put placeholders for the names, the longest first, and for every mail and network address."""
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<![\w]){re.escape(name)}(?![\w])", lambda _, name=name: names[name], text, flags=re.IGNORECASE)
    text = _MAIL.sub("<mail>", text)
    text = _IPV4.sub("<address>", text)
    return _IPV6.sub(lambda found: found[0] if _CLOCK.fullmatch(found[0]) else "<address>", text)


def clean_line(line: str) -> str:
    """Show control and direction characters as escapes, so that a command reads as what it is."""
    return "".join(character if character.isprintable() else character.encode("unicode_escape").decode("ascii") for character in line)


def fence(lines: Iterable[str]) -> str:
    """Put lines into a code block whose fence no line can end."""
    text = "\n".join(lines)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}sh\n{text}\n{marks}"
