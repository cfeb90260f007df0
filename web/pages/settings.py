"""Settings: the people who work here, the desk, its queues. Each part asks for its own right; what changes accounts asks
for a fresh second factor as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Actor, Right, Role
from orchestrator.accounts.desk import read_desk_facts
from orchestrator.accounts.logins import require_step_up
from orchestrator.accounts.models import User
from orchestrator.accounts.queries import get_user, list_users, single_person_desk
from orchestrator.accounts.service import add_user, change_roles, disable_user, enable_user, renew_set_up
from orchestrator.accounts.settings_store import DESK_NAME, SINGLE_PERSON, change_desk, get_setting
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import AppError, Conflict, Forbidden, InvalidInput
from orchestrator.core.i18n import _
from orchestrator.core.ids import parse_id
from orchestrator.tickets.models import Queue
from orchestrator.tickets.queues import add_member, change_queue, create_queue, list_members, list_queues, remove_member
from web.auth import CurrentUser
from web.deps import Parts, Reading, Writing
from web.forms import field_errors, status_for
from web.htmx import page, redirect

router = APIRouter(prefix="/settings", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class QueueMembers:
    queue: Queue
    members: Sequence[User]
    others: Sequence[User]


@dataclass(frozen=True, slots=True)
class TypedUser:
    """What was typed into the form for a new person."""

    email: str = ""
    name: str = ""
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SettingsPage:
    """``people`` is empty without ``accounts:write``, ``queues`` without ``queues:write``. ``form_with_errors`` names the form
    that ``errors`` belong to; ``new_link`` is a set-up link, shown this once, for ``new_link_name``."""

    people: Sequence[User]
    queues: Sequence[QueueMembers]
    roles: Sequence[str]
    desk_name: str
    single_person: str
    rule_rests: bool
    typed: TypedUser = TypedUser()
    form_with_errors: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    new_link: str = ""
    new_link_name: str = ""


def _require_some_right(actor: Actor) -> None:
    if not (actor.may(Right.ACCOUNTS_WRITE) or actor.may(Right.QUEUES_WRITE)):
        raise Forbidden()


def _settings_page(unit: ReadUnit, actor: Actor) -> SettingsPage:
    _require_some_right(actor)
    enabled = list_users(unit, actor, with_disabled=False)
    queues: list[QueueMembers] = []
    for queue in list_queues(unit, actor) if actor.may(Right.QUEUES_WRITE) else ():
        members = list_members(unit, actor, queue.id)
        known = {member.id for member in members}
        queues.append(QueueMembers(queue, members, [user for user in enabled if user.id not in known]))
    return SettingsPage(
        people=list_users(unit, actor) if actor.may(Right.ACCOUNTS_WRITE) else (), queues=queues, roles=[role.value for role in Role],
        desk_name=get_setting(unit, DESK_NAME) or read_desk_facts(unit).mail_name, single_person=get_setting(unit, SINGLE_PERSON, "auto"),
        rule_rests=single_person_desk(unit),
    )


def _show_again(request: Request, services: Parts, actor: Actor, form: str, error: AppError, typed: TypedUser | None = None) -> Response:
    with services.database.read() as unit:
        shown = replace(_settings_page(unit, actor), form_with_errors=form, errors=field_errors(request, error), typed=typed or TypedUser())
    return page(request, "settings/show.html", shown, status=status_for(error))


def _done(request: Request, text: str) -> Response:
    return redirect(request, request.app.url_path_for("settings:show"), flash=text)


def _show_link(request: Request, services: Parts, actor: Actor, token: str, name: str) -> Response:
    with services.database.read() as unit:
        shown = replace(_settings_page(unit, actor), new_link=services.links.set_up(token), new_link_name=name)
    return page(request, "settings/show.html", shown, status=201)


@router.get("", name="settings:show")
def show_settings(request: Request, unit: Reading, actor: CurrentUser) -> Response:
    return page(request, "settings/show.html", _settings_page(unit, actor))


@router.post("/people", name="settings:user-add")
def add_person(request: Request, actor: CurrentUser, services: Parts, email: Annotated[str, Form()] = "", name: Annotated[str, Form()] = "",
               roles: Annotated[list[str] | None, Form()] = None) -> Response:
    """Add a person and show the set-up link, once."""
    actor.require(Right.ACCOUNTS_WRITE)
    require_step_up(actor, services.database.clock.now(), services.settings)
    try:
        with services.database.write() as unit:
            user, token = add_user(unit, actor, email=email, name=name, roles=roles or [], language=services.settings.default_language,
                                   time_zone=services.settings.time_zone)
    except InvalidInput as exc:
        return _show_again(request, services, actor, "user", exc, TypedUser(email[:254], name[:200], tuple(roles or ())))
    return _show_link(request, services, actor, token, user.name)


@router.post("/people/{user_id}/roles", name="settings:user-roles")
def save_roles(request: Request, actor: CurrentUser, services: Parts, user_id: str,
               roles: Annotated[list[str] | None, Form()] = None) -> Response:
    actor.require(Right.ACCOUNTS_WRITE)
    require_step_up(actor, services.database.clock.now(), services.settings)
    try:
        with services.database.write() as unit:
            change_roles(unit, actor, get_user(unit, actor, user_id), roles=roles or [])
    except (InvalidInput, Conflict) as exc:
        return _show_again(request, services, actor, user_id, exc)
    return _done(request, _("The roles are saved; they count at once."))


@router.post("/people/{user_id}/link", name="settings:user-link")
def make_link(request: Request, actor: CurrentUser, services: Parts, user_id: str) -> Response:
    """Make a new set-up link for somebody who lost password or second factor, and show it, once."""
    actor.require(Right.ACCOUNTS_WRITE)
    require_step_up(actor, services.database.clock.now(), services.settings)
    with services.database.write() as unit:
        user = get_user(unit, actor, user_id)
        token = renew_set_up(unit, actor, user)
    return _show_link(request, services, actor, token, user.name)


@router.post("/people/{user_id}/disable", name="settings:user-disable")
def disable(request: Request, actor: CurrentUser, services: Parts, user_id: str) -> Response:
    actor.require(Right.ACCOUNTS_WRITE)
    require_step_up(actor, services.database.clock.now(), services.settings)
    with services.database.write() as unit:
        disable_user(unit, actor, get_user(unit, actor, user_id))
    return _done(request, _("The account is disabled: logins, tokens and sessions have ended."))


@router.post("/people/{user_id}/enable", name="settings:user-enable")
def enable(request: Request, actor: CurrentUser, services: Parts, user_id: str) -> Response:
    actor.require(Right.ACCOUNTS_WRITE)
    require_step_up(actor, services.database.clock.now(), services.settings)
    with services.database.write() as unit:
        enable_user(unit, actor, get_user(unit, actor, user_id))
    return _done(request, _("The account is enabled again."))


@router.post("/desk", name="settings:desk")
def save_desk(request: Request, actor: CurrentUser, services: Parts, desk_name: Annotated[str, Form()] = "",
              single_person: Annotated[str, Form()] = "auto") -> Response:
    try:
        with services.database.write() as unit:
            change_desk(unit, actor, name=desk_name, single_person=single_person)
    except InvalidInput as exc:
        return _show_again(request, services, actor, "desk", exc)
    return _done(request, _("Saved."))


@router.post("/queues", name="settings:queue-add")
def add_queue(request: Request, actor: CurrentUser, services: Parts, name: Annotated[str, Form()] = "",
              address: Annotated[str, Form()] = "") -> Response:
    try:
        with services.database.write() as unit:
            create_queue(unit, actor, name=name, address=address or None)
    except (InvalidInput, Conflict) as exc:
        return _show_again(request, services, actor, "queue", exc)
    return _done(request, _("The queue is there. Add members, so that somebody sees its tickets."))


@router.post("/queues/{queue_id}", name="settings:queue-change")
def save_queue(request: Request, actor: CurrentUser, services: Parts, queue_id: str, name: Annotated[str, Form()] = "",
               address: Annotated[str, Form()] = "") -> Response:
    try:
        with services.database.write() as unit:
            change_queue(unit, actor, parse_id(queue_id), name=name, address=address)
    except (InvalidInput, Conflict) as exc:
        return _show_again(request, services, actor, queue_id, exc)
    return _done(request, _("Saved."))


@router.post("/queues/{queue_id}/members", name="settings:queue-join")
def join_queue(request: Request, actor: CurrentUser, unit: Writing, queue_id: str, user_id: Annotated[str, Form()] = "") -> Response:
    add_member(unit, actor, parse_id(queue_id), parse_id(user_id))
    return _done(request, _("Saved."))


@router.post("/queues/{queue_id}/members/{user_id}/remove", name="settings:queue-leave")
def leave_queue(request: Request, actor: CurrentUser, unit: Writing, queue_id: str, user_id: str) -> Response:
    remove_member(unit, actor, parse_id(queue_id), parse_id(user_id))
    return _done(request, _("Saved."))
