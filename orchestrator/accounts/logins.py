"""Logins: a browser's cookie and the row behind it, found by the SHA-256 of the cookie's random secret.

A login begins after the password and is worth nothing until the second factor was proved: ``actor_for_login`` does not
know it before. Proving replaces the secret, so whoever planted or saw the first one holds nothing. A login ends by its
age, by being idle, by logging out, or by being revoked.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import select, update

from orchestrator.accounts.actor import Actor
from orchestrator.accounts.errors import StepUpNeeded
from orchestrator.accounts.events import LoginRevoked
from orchestrator.accounts.models import Login, User
from orchestrator.accounts.queries import actor_for_user, get_own_user
from orchestrator.audit.service import record_audit
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import NotFound
from orchestrator.core.ids import new_secret, parse_id
from orchestrator.core.settings import Settings

UNPROVED_LIFETIME = timedelta(minutes=10)
IDLE_LIFETIME = timedelta(hours=4)
SEEN_INTERVAL = timedelta(minutes=5)


def hash_secret(secret: str) -> str:
    """Return how a random secret is stored: it has 256 bits of entropy, so a plain SHA-256 is enough."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def begin_login(unit: WriteUnit, user: User, *, address: str, agent_name: str) -> tuple[Login, str]:
    """Begin a login after the password was right; return it and the cookie's secret. Not an actor yet."""
    secret = new_secret()
    login = Login(
        user_id=user.id, secret_hash=hash_secret(secret), csrf_secret=new_secret(), created_at=unit.now, last_seen_at=unit.now,
        expires_at=unit.now + UNPROVED_LIFETIME, proved_at=None, revoked_at=None, address=address[:64], agent_name=agent_name[:300],
    )
    unit.db.add(login)
    unit.db.flush()
    return login, secret


def prove_login(unit: WriteUnit, login: Login, *, hours: int) -> str:
    """Note that the second factor was proved just now, and return the new secret of the cookie.

    A fresh login lives ``hours`` from here; a step-up of an older one leaves its end where it is.
    """
    secret = new_secret()
    if login.proved_at is None:
        login.expires_at = unit.now + timedelta(hours=hours)
        login.csrf_secret = new_secret()  # a step-up keeps it: forms in other tabs stay good
    login.secret_hash = hash_secret(secret)
    login.proved_at = login.last_seen_at = unit.now
    unit.db.flush()
    return secret


def find_login(unit: ReadUnit, cookie_secret: str) -> Login | None:
    """Find a living login by the cookie's secret, proved or not."""
    if not cookie_secret:
        return None
    login = unit.db.scalar(select(Login).where(Login.secret_hash == hash_secret(cookie_secret)))
    return login if login is not None and is_alive(login, unit.now) else None


def is_alive(login: Login, now: datetime) -> bool:
    """Say whether a login still counts: not revoked, not too old, not idle for too long."""
    return login.revoked_at is None and login.expires_at > now and login.last_seen_at > now - IDLE_LIFETIME


def actor_for_login(unit: ReadUnit, cookie_secret: str, address: str | None) -> Actor | None:
    """Return who a login cookie stands for; None unless it lives, its second factor was proved, and the user is enabled."""
    login = find_login(unit, cookie_secret)
    return _actor_of(unit, login, address) if login is not None else None


def actor_for_login_id(unit: ReadUnit, login_id: str, address: str | None) -> Actor | None:
    """Return who a login stands for now, for a socket that was opened with it. An open socket counts as being there,
    so being idle does not matter here."""
    login = unit.db.get(Login, login_id)
    if login is None or login.revoked_at is not None or login.expires_at <= unit.now:
        return None
    return _actor_of(unit, login, address)


def _actor_of(unit: ReadUnit, login: Login, address: str | None) -> Actor | None:
    if login.proved_at is None:
        return None
    user = unit.db.get(User, login.user_id)
    if user is None or user.disabled_at is not None:
        return None
    return replace(actor_for_user(unit, user), login_id=login.id, proved_at=login.proved_at, address=address)


def needs_touch(unit: ReadUnit, login_id: str) -> bool:
    """Say whether the time a login was last seen is old enough to be written again."""
    login = unit.db.get(Login, login_id)
    return login is not None and login.last_seen_at < unit.now - SEEN_INTERVAL


def touch_login(unit: WriteUnit, login_id: str, *, address: str | None) -> None:
    """Note that a login is in use."""
    values: dict[str, object] = {"last_seen_at": unit.now}
    if address:
        values["address"] = address[:64]
    unit.db.execute(update(Login).where(Login.id == login_id, Login.revoked_at.is_(None)).values(values))


def end_login(unit: WriteUnit, actor: Actor) -> None:
    """Log out: revoke the login that the actor came in by."""
    login = unit.db.get(Login, actor.login_id) if actor.login_id else None
    if login is not None and login.revoked_at is None:
        _revoke(unit, login)
        record_audit(unit, actor, "login.ended", subject=f"user {login.user_id}", summary="Logged out.")


def revoke_login(unit: WriteUnit, actor: Actor, login_id: str) -> None:
    """Revoke one of one's own logins.

    Raises:
        NotFound: there is none of that id that is yours.
    """
    user = get_own_user(unit, actor)
    login = unit.db.get(Login, parse_id(login_id))
    if login is None or login.user_id != user.id or login.revoked_at is not None:
        raise NotFound()
    _revoke(unit, login)
    record_audit(unit, actor, "login.revoked", subject=f"user {user.id}", summary="Revoked a login.",
                 details={"login": login.id, "agent": login.agent_name})


def drop_login(unit: WriteUnit, cookie_secret: str) -> None:
    """Revoke whatever login a cookie names, proved or not; before a new one begins in the same browser."""
    login = find_login(unit, cookie_secret)
    if login is not None:
        _revoke(unit, login)


def revoke_logins_of(unit: WriteUnit, user_id: str, *, except_login_id: str | None = None) -> int:
    """Revoke all logins of a user but one; return how many. The caller writes the audit."""
    logins = unit.db.scalars(select(Login).where(Login.user_id == user_id, Login.revoked_at.is_(None))).all()
    revoked = [login for login in logins if login.id != except_login_id]
    for login in revoked:
        _revoke(unit, login)
    return len(revoked)


def _revoke(unit: WriteUnit, login: Login) -> None:
    login.revoked_at = unit.now
    unit.db.flush()
    unit.emit(LoginRevoked(login_id=login.id, user_id=login.user_id))


def require_step_up(actor: Actor, now: datetime, settings: Settings) -> None:
    """Raise ``StepUpNeeded`` unless the second factor was proved in the last minutes (``step_up_minutes``), or the actor
    came by an API token, which stands in for it (remote.md 8), or is the program itself."""
    if actor.user_id is None or actor.token_id is not None:
        return
    if actor.proved_at is None or actor.proved_at < now - timedelta(minutes=settings.step_up_minutes):
        raise StepUpNeeded()
