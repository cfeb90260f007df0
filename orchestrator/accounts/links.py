"""One-time links: the first administrator's, a new colleague's, and the change of one's own second factor.

A link is found by the SHA-256 of its token, works once, and carries the secret of the second factor that is being set up,
so that looking at the page changes nothing. The first administrator's link exists only while there is no user at all, and
that is asked again when it is used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import delete, exists, select, update

from orchestrator.accounts.actor import SYSTEM, Actor, Role
from orchestrator.accounts.errors import LinkSpent
from orchestrator.accounts.logins import hash_secret, revoke_logins_of
from orchestrator.accounts.models import OneTimeLink, User
from orchestrator.accounts.people import check_name, normalise_email
from orchestrator.accounts.queries import actor_for_user, get_own_user
from orchestrator.accounts.second_factor import find_step, new_totp_secret
from orchestrator.accounts.secret_box import box_of, set_totp_secret
from orchestrator.accounts.tokens import revoke_tokens_of
from orchestrator.audit.service import record_audit
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import InvalidInput
from orchestrator.core.i18n import _
from orchestrator.core.ids import new_id, new_secret

FIRST = "first-administrator"
SET_UP = "set-up"
SECOND_FACTOR = "second-factor"
SET_UP_LIFETIME = timedelta(hours=24)
SECOND_FACTOR_LIFETIME = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class OpenLink:
    """A link that still works. ``user`` is None for the first administrator, who does not exist yet."""

    link_id: str
    purpose: str
    user: User | None
    totp_secret: str


def make_first_link(unit: WriteUnit) -> str | None:
    """Make the first administrator's link in place of older ones; None when somebody has an account already."""
    if unit.db.scalar(select(exists(select(User.id)))):
        return None
    unit.db.execute(delete(OneTimeLink).where(OneTimeLink.purpose == FIRST))
    token = _add_link(unit, FIRST, None, SET_UP_LIFETIME)
    record_audit(unit, SYSTEM, "link.made", summary="Made the link for the first administrator.")
    return token


def make_set_up_link(unit: WriteUnit, user: User) -> str:
    """Make a set-up link for a user in place of older ones; the caller has the right and writes the audit."""
    spend_links(unit, user, SET_UP)
    return _add_link(unit, SET_UP, user, SET_UP_LIFETIME)


def begin_second_factor(unit: WriteUnit, actor: Actor) -> str:
    """Begin to change one's own second factor; return the token of the page that shows the new secret."""
    user = get_own_user(unit, actor)
    spend_links(unit, user, SECOND_FACTOR)
    return _add_link(unit, SECOND_FACTOR, user, SECOND_FACTOR_LIFETIME)


def _add_link(unit: WriteUnit, purpose: str, user: User | None, lifetime: timedelta) -> str:
    token = new_secret()
    link_id = new_id()
    sealed = box_of(unit).seal(new_totp_secret(), label=_label(link_id))
    unit.db.add(OneTimeLink(
        id=link_id, purpose=purpose, user_id=user.id if user is not None else None, token_hash=hash_secret(token),
        payload={"totp_secret": sealed}, created_at=unit.now, expires_at=unit.now + lifetime, used_at=None,
    ))
    unit.db.flush()
    return token


def _label(link_id: str) -> str:
    return f"totp of link {link_id}"


def spend_links(unit: WriteUnit, user: User, purpose: str) -> None:
    """Make the user's open links of this purpose useless."""
    open_ones = (OneTimeLink.user_id == user.id, OneTimeLink.purpose == purpose, OneTimeLink.used_at.is_(None))
    unit.db.execute(update(OneTimeLink).where(*open_ones).values(used_at=unit.now, payload={}))


def find_open_link(unit: ReadUnit, token: str, *purposes: str) -> OpenLink:
    """Return what a token opens.

    Raises:
        LinkSpent: unknown, used, too old, for another purpose, its user disabled, or no longer the first.
    """
    return _open(unit, _find_row(unit, token, purposes))


def _find_row(unit: ReadUnit, token: str, purposes: tuple[str, ...], *, lock: bool = False) -> OneTimeLink:
    statement = select(OneTimeLink).where(OneTimeLink.token_hash == hash_secret(token))
    link = unit.db.scalar(statement.with_for_update().execution_options(populate_existing=True) if lock else statement)
    if link is None or link.purpose not in purposes or link.used_at is not None or link.expires_at <= unit.now:
        raise LinkSpent()
    return link


def _open(unit: ReadUnit, link: OneTimeLink) -> OpenLink:
    user = unit.db.get(User, link.user_id) if link.user_id else None
    if link.purpose == FIRST:
        if unit.db.scalar(select(exists(select(User.id)))):
            raise LinkSpent()
    elif user is None or user.disabled_at is not None:
        raise LinkSpent()
    return OpenLink(link.id, link.purpose, user, box_of(unit).open(str(link.payload["totp_secret"]), label=_label(link.id)))


def complete_set_up(unit: WriteUnit, token: str, *, password_hash: str, code: str, email: str = "", name: str = "",
                    works_tickets: bool = False, address: str | None = None) -> User:
    """Set password and second factor of the user a link was made for; the first administrator is created by it.

    ``code`` proves that the authenticator has the secret. ``email``, ``name`` and ``works_tickets`` (also technician and
    lead) count for the first administrator only. All logins from before end; after a reset the API tokens too.

    Raises:
        LinkSpent: the link does not work (any more).
        InvalidInput: the code is wrong, or mail address or name cannot be used.
    """
    link = _find_row(unit, token, (FIRST, SET_UP), lock=True)
    opened = _open(unit, link)
    step = _check_code(unit, opened, code)
    user = opened.user
    if user is None:
        roles = [Role.ADMINISTRATOR, *((Role.TECHNICIAN, Role.LEAD) if works_tickets else ())]
        user = User(email=normalise_email(email), name=check_name(name), roles=sorted(roles), created_at=unit.now, disabled_at=None)
        unit.db.add(user)
    was_reset = user.password_hash is not None
    user.password_hash, user.totp_last_step = password_hash, step
    set_totp_secret(unit, user, opened.totp_secret)
    link.used_at, link.payload = unit.now, {}
    unit.db.flush()
    revoke_logins_of(unit, user.id)
    tokens = revoke_tokens_of(unit, user.id) if was_reset else 0
    actor = replace(actor_for_user(unit, user), address=address)
    record_audit(unit, actor, "user.set-up", subject=f"user {user.id}", summary=f"{user.name} set password and second factor.",
                 details={"first": opened.purpose == FIRST, "roles": list(user.roles), "tokens_ended": tokens})
    return user


def complete_second_factor(unit: WriteUnit, actor: Actor, token: str, *, code: str) -> None:
    """Replace one's own second factor by the one that the link carries; one's other logins end.

    Raises:
        LinkSpent: the link does not work (any more), or is somebody else's.
        InvalidInput: the code is wrong.
    """
    user = get_own_user(unit, actor)
    link = _find_row(unit, token, (SECOND_FACTOR,), lock=True)
    opened = _open(unit, link)
    if opened.user is None or opened.user.id != user.id:
        raise LinkSpent()
    user.totp_last_step = _check_code(unit, opened, code)
    set_totp_secret(unit, user, opened.totp_secret)
    link.used_at, link.payload = unit.now, {}
    unit.db.flush()
    ended = revoke_logins_of(unit, user.id, except_login_id=actor.login_id)
    record_audit(unit, actor, "second-factor.changed", subject=f"user {user.id}", summary="Changed the second factor.",
                 details={"logins_ended": ended})


def _check_code(unit: WriteUnit, opened: OpenLink, code: str) -> int:
    step = find_step(opened.totp_secret, code, at=unit.now, after_step=None)
    if step is None:
        raise InvalidInput(_("This code is not right. Does the clock of your phone show the right time?"), field="code")
    return step
