"""Who acts: an ``Actor`` travels through every service call and decides what may be done and what is written down.

Rights follow the table of roles; they add up over roles and an API token narrows them. What an actor may see of one
thing (own queues, own organisation) is decided by the room of that thing, not here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from orchestrator.core.errors import Forbidden


class Role(StrEnum):
    TECHNICIAN = "technician"
    LEAD = "lead"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"


class ActorKind(StrEnum):
    USER = "user"            # a technician, lead, administrator or auditor; ``id`` is users.id
    CONTACT = "contact"      # a customer's person; ``id`` is contacts.id
    LINK = "link"            # the holder of a consent link, known by nothing else
    AGENT = "agent"          # an endpoint; ``id`` is endpoints.id
    SYSTEM = "system"        # the program itself: intake, clocks


class Right(StrEnum):
    TICKETS_READ = "tickets:read"
    TICKETS_WRITE = "tickets:write"
    CUSTOMERS_READ = "customers:read"
    CUSTOMERS_WRITE = "customers:write"
    APPROVERS_WRITE = "approvers:write"
    QUEUES_WRITE = "queues:write"
    ENDPOINTS_READ = "endpoints:read"
    ENDPOINTS_ENROL = "endpoints:enrol"
    ENDPOINTS_ACCEPT = "endpoints:accept"
    SESSIONS_READ = "sessions:read"
    SESSIONS_REQUEST = "sessions:request"
    SESSIONS_END = "sessions:end"
    SESSIONS_END_ANY = "sessions:end-any"
    CHANNELS_OPEN = "channels:open"
    RECORDINGS_READ = "recordings:read"
    RECORDINGS_READ_ALL = "recordings:read-all"
    WATCH_ALL = "sessions:watch-all"
    ARTICLES_READ = "articles:read"
    ARTICLES_WRITE = "articles:write"
    AUDIT_READ = "audit:read"
    ACCOUNTS_WRITE = "accounts:write"
    ALL_QUEUES = "queues:all"


_TECHNICIAN = frozenset({
    Right.TICKETS_READ, Right.TICKETS_WRITE, Right.CUSTOMERS_READ, Right.CUSTOMERS_WRITE, Right.ENDPOINTS_READ,
    Right.ENDPOINTS_ENROL, Right.SESSIONS_READ, Right.SESSIONS_REQUEST, Right.SESSIONS_END, Right.CHANNELS_OPEN,
    Right.RECORDINGS_READ, Right.ARTICLES_READ, Right.ARTICLES_WRITE,
})
ROLE_RIGHTS: dict[Role, frozenset[Right]] = {
    Role.TECHNICIAN: _TECHNICIAN,
    Role.LEAD: _TECHNICIAN | {
        Right.APPROVERS_WRITE, Right.QUEUES_WRITE, Right.ENDPOINTS_ACCEPT, Right.SESSIONS_END_ANY,
        Right.RECORDINGS_READ_ALL, Right.WATCH_ALL, Right.AUDIT_READ, Right.ALL_QUEUES,
    },
    Role.ADMINISTRATOR: frozenset({
        Right.SESSIONS_READ, Right.SESSIONS_END, Right.SESSIONS_END_ANY, Right.ACCOUNTS_WRITE, Right.APPROVERS_WRITE,
        Right.QUEUES_WRITE, Right.AUDIT_READ,
    }),
    Role.AUDITOR: frozenset({
        Right.TICKETS_READ, Right.CUSTOMERS_READ, Right.ENDPOINTS_READ, Right.SESSIONS_READ, Right.RECORDINGS_READ,
        Right.RECORDINGS_READ_ALL, Right.ARTICLES_READ, Right.AUDIT_READ, Right.ALL_QUEUES,
    }),
}


def rights_of(roles: frozenset[Role]) -> frozenset[Right]:
    """Add up what the roles give."""
    return frozenset().union(*(ROLE_RIGHTS[role] for role in roles))


@dataclass(frozen=True, slots=True)
class Actor:
    """``queue_ids`` are the queues a user is a member of; ``proved_at`` is when the second factor was last shown
    (None for tokens and others); ``login_id`` or ``token_id`` says by which key the user came in."""

    kind: ActorKind
    id: str | None
    name: str
    roles: frozenset[Role] = frozenset()
    rights: frozenset[Right] = frozenset()
    queue_ids: frozenset[str] = frozenset()
    organisation_id: str | None = None
    login_id: str | None = None
    token_id: str | None = None
    proved_at: datetime | None = None
    address: str | None = None
    language: str = field(default="en")
    time_zone: str = field(default="Europe/Berlin")

    def may(self, right: Right) -> bool:
        return right in self.rights

    def require(self, right: Right) -> None:
        """Raise ``Forbidden`` without the right."""
        if right not in self.rights:
            raise Forbidden()

    @property
    def user_id(self) -> str | None:
        return self.id if self.kind is ActorKind.USER else None


SYSTEM = Actor(kind=ActorKind.SYSTEM, id=None, name="Fernwart", rights=frozenset(Right))
