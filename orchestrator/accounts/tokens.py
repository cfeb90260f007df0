"""API tokens: ``fwt_`` and a random secret, shown once, stored as SHA-256.

A token names rights out of a fixed list. What it may do is that list and what its owner may do *now*: it never has more
than its owner, neither when it is made nor when it is used. ``all`` leaves out the rights that reach machines; those must be
named, and such a token lives at most 24 hours. A token stands in for the step-up; the audit says that it was one.
"""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import select, update

from orchestrator.accounts.actor import Actor, ActorKind, Right
from orchestrator.accounts.events import TokenRevoked
from orchestrator.accounts.logins import hash_secret
from orchestrator.accounts.models import APIToken, User
from orchestrator.accounts.queries import actor_for_user, get_own_user
from orchestrator.audit.service import record_audit
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import Forbidden, InvalidInput, NotFound
from orchestrator.core.i18n import _
from orchestrator.core.ids import new_secret, parse_id

PREFIX = "fwt_"
ALL = "all"
DEFAULT_HOURS = 90 * 24
MAX_HOURS = 366 * 24
NAMED_MAX_HOURS = 24
SEEN_INTERVAL = timedelta(minutes=5)

NAMED_RIGHTS = frozenset({Right.SESSIONS_REQUEST, Right.CHANNELS_OPEN})
"""Rights that ``all`` does not include: they lead to a customer's machine."""

TOKEN_RIGHTS: dict[Right, frozenset[Right]] = {
    Right.TICKETS_READ: frozenset(),
    Right.TICKETS_WRITE: frozenset(),
    Right.CUSTOMERS_READ: frozenset(),
    Right.CUSTOMERS_WRITE: frozenset({Right.APPROVERS_WRITE}),
    Right.ENDPOINTS_READ: frozenset(),
    Right.ENDPOINTS_ENROL: frozenset(),
    Right.ENDPOINTS_ACCEPT: frozenset(),
    Right.SESSIONS_READ: frozenset({Right.WATCH_ALL}),
    Right.SESSIONS_REQUEST: frozenset(),
    Right.SESSIONS_END: frozenset({Right.SESSIONS_END_ANY}),
    Right.CHANNELS_OPEN: frozenset(),
    Right.RECORDINGS_READ: frozenset({Right.RECORDINGS_READ_ALL}),
    Right.ARTICLES_READ: frozenset(),
    Right.ARTICLES_WRITE: frozenset(),
    Right.AUDIT_READ: frozenset(),
}
"""What a token may name (interface.md), and what the name brings along if the owner has it. Accounts, settings and queues
cannot be reached by any token."""


def create_token(unit: WriteUnit, actor: Actor, *, user: User, rights: list[str], address: str | None = None,
                 hours: int | None = None, name: str = "") -> str:
    """Make a token for ``user`` (oneself, or anybody from the command line) and return its text, once.

    ``rights`` are words of ``TOKEN_RIGHTS`` and ``all``; ``address`` is an address or network it may be used from.

    Raises:
        Forbidden: for somebody else, by a token, for a disabled user, or with a right the owner does not have.
        InvalidInput: an unknown right, a network that is none, or a time that is not allowed.
    """
    if actor.kind is not ActorKind.SYSTEM and get_own_user(unit, actor).id != user.id:
        raise Forbidden()
    if user.disabled_at is not None:
        raise Forbidden()
    wanted = _read_rights(rights, owned=actor_for_user(unit, user).rights)
    allowed_hours = _read_hours(hours, named=bool(wanted & NAMED_RIGHTS))
    secret = PREFIX + new_secret()
    token = APIToken(
        user_id=user.id, name=name.strip()[:200], secret_hash=hash_secret(secret), rights=sorted(wanted), address=_read_network(address),
        created_at=unit.now, expires_at=unit.now + timedelta(hours=allowed_hours), last_used_at=None, revoked_at=None,
    )
    unit.db.add(token)
    unit.db.flush()
    record_audit(
        unit, actor, "token.created", subject=f"user {user.id}", summary=f"Made an API token for {user.name}: {', '.join(token.rights)}.",
        details={"token": token.id, "rights": token.rights, "network": token.address, "expires_at": token.expires_at.isoformat()},
    )
    return secret


def _read_rights(words: list[str], *, owned: frozenset[Right]) -> frozenset[Right]:
    known = {right.value: right for right in TOKEN_RIGHTS}
    wanted: set[Right] = set()
    for word in words:
        if word == ALL:
            wanted |= {right for right in TOKEN_RIGHTS if right in owned} - NAMED_RIGHTS
        elif word not in known:
            raise InvalidInput(_("There is no right called {right}."), field="rights", right=word)
        elif known[word] not in owned:
            raise Forbidden(_("A token cannot have the right {right}, which its owner does not have."), right=word)
        else:
            wanted.add(known[word])
    if not wanted:
        raise InvalidInput(_("Name at least one right."), field="rights")
    return frozenset(wanted)


def _read_hours(hours: int | None, *, named: bool) -> int:
    limit = NAMED_MAX_HOURS if named else MAX_HOURS
    chosen = hours if hours is not None else min(DEFAULT_HOURS, limit)
    if not 1 <= chosen <= limit:
        raise InvalidInput(_("A token with these rights lives between 1 and {limit} hours."), field="hours", limit=limit)
    return chosen


def _read_network(text: str | None) -> str | None:
    if not text or not text.strip():
        return None
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError as exc:
        raise InvalidInput(_("This is not an address or a network: {text}"), field="address", text=text.strip()[:60]) from exc


def actor_for_token(unit: ReadUnit, bearer: str, address: str | None) -> Actor | None:
    """Return who a bearer token stands for; None unless it lives, is used from where it may be, and its owner is enabled.

    The rights are what the token names and the owner has now. Agents' credentials are never found here.
    """
    if not bearer.startswith(PREFIX):
        return None
    token = unit.db.scalar(select(APIToken).where(APIToken.secret_hash == hash_secret(bearer)))
    return _actor_of(unit, token, address) if token is not None else None


def actor_for_token_id(unit: ReadUnit, token_id: str, address: str | None) -> Actor | None:
    """Return who a token stands for now, for a socket that was opened with it."""
    token = unit.db.get(APIToken, token_id)
    return _actor_of(unit, token, address) if token is not None else None


def _actor_of(unit: ReadUnit, token: APIToken, address: str | None) -> Actor | None:
    if token.revoked_at is not None or token.expires_at <= unit.now or not _is_inside(address, token.address):
        return None
    user = unit.db.get(User, token.user_id)
    if user is None or user.disabled_at is not None:
        return None
    owner = actor_for_user(unit, user)
    named = {right for right in TOKEN_RIGHTS if right in token.rights}
    brought = frozenset({Right.ALL_QUEUES}).union(named, *(TOKEN_RIGHTS[right] for right in named))
    return replace(owner, rights=owner.rights & brought, token_id=token.id, address=address)


def _is_inside(address: str | None, network: str | None) -> bool:
    if network is None:
        return True
    try:
        given = ipaddress.ip_address(address or "")
        allowed = ipaddress.ip_network(network)
    except ValueError:
        return False
    mapped = getattr(given, "ipv4_mapped", None)
    return (mapped or given) in allowed


def token_needs_touch(unit: ReadUnit, token_id: str) -> bool:
    """Say whether the time a token was last used is old enough to be written again."""
    token = unit.db.get(APIToken, token_id)
    return token is not None and (token.last_used_at is None or token.last_used_at < unit.now - SEEN_INTERVAL)


def touch_token(unit: WriteUnit, token_id: str) -> None:
    """Note that a token is in use."""
    unit.db.execute(update(APIToken).where(APIToken.id == token_id).values(last_used_at=unit.now))


def revoke_token(unit: WriteUnit, actor: Actor, token_id: str) -> None:
    """Revoke one of one's own tokens.

    Raises:
        NotFound: there is none of that id that is yours.
    """
    user = get_own_user(unit, actor)
    token = unit.db.get(APIToken, parse_id(token_id))
    if token is None or token.user_id != user.id or token.revoked_at is not None:
        raise NotFound()
    _revoke(unit, token)
    record_audit(unit, actor, "token.revoked", subject=f"user {user.id}", summary="Revoked an API token.", details={"token": token.id})


def revoke_tokens_of(unit: WriteUnit, user_id: str) -> int:
    """Revoke all tokens of a user; return how many. The caller writes the audit."""
    tokens = unit.db.scalars(select(APIToken).where(APIToken.user_id == user_id, APIToken.revoked_at.is_(None))).all()
    for token in tokens:
        _revoke(unit, token)
    return len(tokens)


def _revoke(unit: WriteUnit, token: APIToken) -> None:
    token.revoked_at = unit.now
    unit.db.flush()
    unit.emit(TokenRevoked(token_id=token.id, user_id=token.user_id))
