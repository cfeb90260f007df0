"""Reading accounts: people, their logins and tokens, and the ``Actor`` that stands for a person."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from orchestrator.accounts.actor import Actor, ActorKind, Right, Role, rights_of
from orchestrator.accounts.models import APIToken, Login, User
from orchestrator.accounts.settings_store import SINGLE_PERSON, get_setting
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import Forbidden, NotFound
from orchestrator.core.ids import parse_id
from orchestrator.tickets.models import QueueMember


def roles_of(user: User) -> frozenset[Role]:
    """Return the roles of a user; a word that is no role (any more) gives nothing."""
    known = {role.value: role for role in Role}
    return frozenset(known[word] for word in user.roles if word in known)


def find_user(unit: ReadUnit, user_id: str) -> User | None:
    return unit.db.get(User, user_id)


def find_user_by_email(unit: ReadUnit, email: str) -> User | None:
    """Find a user by mail address, whatever its case."""
    return unit.db.scalar(select(User).where(User.email == email.strip().lower()))


def get_user(unit: ReadUnit, actor: Actor, user_id: str) -> User:
    """Return a user: oneself, or anybody with ``accounts:write``.

    Raises:
        NotFound: no such user, or not yours to see.
    """
    user_id = parse_id(user_id)
    user = unit.db.get(User, user_id) if actor.user_id == user_id or actor.may(Right.ACCOUNTS_WRITE) else None
    if user is None:
        raise NotFound()
    return user


def get_own_user(unit: ReadUnit, actor: Actor) -> User:
    """Return the user who came in by a login of his own; API tokens do not reach the account itself.

    Raises:
        Forbidden: the actor is no user, or came by a token.
    """
    user = unit.db.get(User, actor.user_id) if actor.user_id and actor.login_id else None
    if user is None:
        raise Forbidden()
    return user


def list_users(unit: ReadUnit, actor: Actor, *, with_disabled: bool = True) -> Sequence[User]:
    """List the people who work with the desk, by name. Everyone who works here may know the others' names."""
    if actor.kind not in (ActorKind.USER, ActorKind.SYSTEM):
        raise Forbidden()
    statement = select(User).order_by(User.name, User.id)
    if not with_disabled:
        statement = statement.where(User.disabled_at.is_(None))
    return unit.db.scalars(statement).all()


def list_logins(unit: ReadUnit, actor: Actor) -> Sequence[Login]:
    """List one's own logins that still count, the most recent first."""
    user = get_own_user(unit, actor)
    return unit.db.scalars(
        select(Login)
        .where(Login.user_id == user.id, Login.revoked_at.is_(None), Login.expires_at > unit.now, Login.proved_at.is_not(None))
        .order_by(Login.last_seen_at.desc())
    ).all()


def list_tokens(unit: ReadUnit, actor: Actor) -> Sequence[APIToken]:
    """List one's own API tokens that still work, the newest first."""
    user = get_own_user(unit, actor)
    return unit.db.scalars(
        select(APIToken)
        .where(APIToken.user_id == user.id, APIToken.revoked_at.is_(None), APIToken.expires_at > unit.now)
        .order_by(APIToken.created_at.desc())
    ).all()


def actor_for_user(unit: ReadUnit, user: User) -> Actor:
    """Build the actor of a user with all that the roles give; a disabled one may do nothing."""
    roles = roles_of(user) if user.disabled_at is None else frozenset()
    queue_ids = unit.db.scalars(select(QueueMember.queue_id).where(QueueMember.user_id == user.id)).all()
    return Actor(
        kind=ActorKind.USER, id=user.id, name=user.name, roles=roles, rights=rights_of(roles), queue_ids=frozenset(queue_ids),
        language=user.language, time_zone=user.time_zone,
    )


def single_person_desk(unit: ReadUnit) -> bool:
    """Say whether rules that need a second person rest: fewer than two enabled people are lead or administrator, and no
    administrator has forbidden it (setting ``desk.single_person`` = ``no``). remote.md 2; who uses it says so in the receipt."""
    if get_setting(unit, SINGLE_PERSON, "auto") == "no":
        return False
    users = unit.db.scalars(select(User).where(User.disabled_at.is_(None))).all()
    return sum(bool(roles_of(user) & {Role.LEAD, Role.ADMINISTRATOR}) for user in users) < 2
