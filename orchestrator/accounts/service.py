"""Changing accounts: adding people, their roles, disabling them; one's own profile and password.

Set-up links are in ``links.py``, logins in ``logins.py``, tokens in ``tokens.py``. Whoever changes somebody else's account
needs ``accounts:write``; one's own account is reached by a login only, never by a token.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from orchestrator.accounts.actor import Actor, Right, Role
from orchestrator.accounts.errors import LastAdministrator
from orchestrator.accounts.events import RolesChanged, UserDisabled
from orchestrator.accounts.links import SET_UP, make_set_up_link, spend_links
from orchestrator.accounts.logins import revoke_logins_of
from orchestrator.accounts.models import User
from orchestrator.accounts.people import check_language, check_name, check_theme, check_time_zone, normalise_email, parse_roles
from orchestrator.accounts.queries import find_user_by_email, get_own_user, roles_of
from orchestrator.accounts.tokens import revoke_tokens_of
from orchestrator.audit.service import record_audit
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict, InvalidInput
from orchestrator.core.i18n import _


def add_user(unit: WriteUnit, actor: Actor, *, email: str, name: str, roles: Iterable[str], language: str = "de",
             time_zone: str = "Europe/Berlin") -> tuple[User, str]:
    """Add a person and return the token of the set-up link (24 h, once), where password and second factor are set.

    Raises:
        InvalidInput: mail address, name or roles cannot be used, or the address has an account already.
    """
    actor.require(Right.ACCOUNTS_WRITE)
    address = normalise_email(email)
    user = User(
        email=address, name=check_name(name), roles=[str(role) for role in parse_roles(roles)], password_hash=None, totp_secret=None,
        totp_last_step=None, language=check_language(language), time_zone=check_time_zone(time_zone), created_at=unit.now, disabled_at=None,
    )
    taken = InvalidInput(_("There is an account with this mail address already."), field="email")
    if find_user_by_email(unit, address) is not None:
        raise taken
    try:
        with unit.db.begin_nested():
            unit.db.add(user)
    except IntegrityError as exc:
        raise taken from exc
    token = make_set_up_link(unit, user)
    record_audit(unit, actor, "user.added", subject=f"user {user.id}", summary=f"Added {user.name} as {', '.join(user.roles)}.",
                 details={"email": user.email, "roles": list(user.roles)})
    return user, token


def renew_set_up(unit: WriteUnit, actor: Actor, user: User) -> str:
    """Make a new set-up link for somebody who lost password or second factor, or never used the first link; return its token.

    Until the link is used the old password and second factor stay valid.
    """
    actor.require(Right.ACCOUNTS_WRITE)
    if user.disabled_at is not None:
        raise Conflict(_("This account is disabled."))
    token = make_set_up_link(unit, user)
    record_audit(unit, actor, "link.made", subject=f"user {user.id}", summary=f"Made a new set-up link for {user.name}.")
    return token


def change_roles(unit: WriteUnit, actor: Actor, user: User, *, roles: Iterable[str]) -> None:
    """Give a user other roles; they count from the next request on.

    Raises:
        LastAdministrator: nobody would be administrator.
    """
    actor.require(Right.ACCOUNTS_WRITE)
    before, after = sorted(roles_of(user)), parse_roles(roles)
    if before == after:
        return
    if Role.ADMINISTRATOR not in after:
        _require_other_administrator(unit, user)
    user.roles = [str(role) for role in after]
    unit.db.flush()
    unit.emit(RolesChanged(user.id))
    record_audit(unit, actor, "roles.changed", subject=f"user {user.id}", summary=f"{user.name} is now {', '.join(user.roles)}.",
                 details={"before": [str(role) for role in before], "after": list(user.roles)})


def disable_user(unit: WriteUnit, actor: Actor, user: User) -> None:
    """Disable a user: logins and tokens end now, live sessions in under a second (by ``UserDisabled``).

    Raises:
        LastAdministrator: nobody would be administrator.
    """
    actor.require(Right.ACCOUNTS_WRITE)
    if user.disabled_at is not None:
        return
    _require_other_administrator(unit, user)
    user.disabled_at = unit.now
    unit.db.flush()
    logins, tokens = revoke_logins_of(unit, user.id), revoke_tokens_of(unit, user.id)
    unit.emit(UserDisabled(user.id))
    record_audit(unit, actor, "user.disabled", subject=f"user {user.id}", summary=f"Disabled {user.name}.",
                 details={"logins_ended": logins, "tokens_ended": tokens})


def enable_user(unit: WriteUnit, actor: Actor, user: User) -> None:
    """Let a disabled user log in again, with password and second factor as before."""
    actor.require(Right.ACCOUNTS_WRITE)
    if user.disabled_at is None:
        return
    user.disabled_at = None
    unit.db.flush()
    record_audit(unit, actor, "user.enabled", subject=f"user {user.id}", summary=f"Enabled {user.name}.")


def _require_other_administrator(unit: WriteUnit, user: User) -> None:
    if Role.ADMINISTRATOR not in roles_of(user) or user.disabled_at is not None:
        return
    enabled = unit.db.scalars(select(User).where(User.disabled_at.is_(None), User.password_hash.is_not(None)).with_for_update()).all()
    if not any(Role.ADMINISTRATOR in roles_of(other) for other in enabled if other.id != user.id):
        raise LastAdministrator()


def change_own_profile(unit: WriteUnit, actor: Actor, *, name: str | None = None, language: str | None = None,
                       time_zone: str | None = None, theme: str | None = None) -> User:
    """Change one's own name, language, time zone or look; None leaves it."""
    user = get_own_user(unit, actor)
    if name is not None and name != user.name:
        before, user.name = user.name, check_name(name)
        record_audit(unit, actor, "user.renamed", subject=f"user {user.id}", summary=f"{before} is now called {user.name}.")
    if language is not None:
        user.language = check_language(language)
    if time_zone is not None:
        user.time_zone = check_time_zone(time_zone)
    if theme is not None:
        user.theme = check_theme(theme)
    unit.db.flush()
    return user


def change_own_password(unit: WriteUnit, actor: Actor, *, password_hash: str) -> None:
    """Set one's own password; one's other logins and an open set-up link end. The caller checked the old one and the rules for the new one."""
    user = get_own_user(unit, actor)
    user.password_hash = password_hash
    unit.db.flush()
    spend_links(unit, user, SET_UP)
    ended = revoke_logins_of(unit, user.id, except_login_id=actor.login_id)
    record_audit(unit, actor, "password.changed", subject=f"user {user.id}", summary="Changed the password.",
                 details={"logins_ended": ended})
