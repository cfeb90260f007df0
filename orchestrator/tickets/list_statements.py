"""The statements of ticket lists: a union of branches, built once for each shape and run with other values each time.

Building such a statement costs more than running it, so shapes are kept. A branch is a tuple of parts; a part names a
condition below and the bind parameter with its value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, and_, bindparam, func, or_, select, union

from orchestrator.tickets.models import Follower, Ticket

Part = tuple[str, str]
"""Name of a condition, name of its bind parameter (empty when it needs none)."""
Branch = tuple[Part, ...]


class Binds:
    """The values of a statement's bind parameters, each under a name of its own."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def part(self, condition: str, value: object) -> Part:
        """Add a value and return the part that uses it."""
        name = f"{condition}_{len(self.values)}"
        self.values[name] = value
        return condition, name


def _in_list(name: str) -> BindParameter[Any]:
    return bindparam(name, expanding=True)


def _followed(name: str) -> ColumnElement[bool]:
    return Ticket.id.in_(select(Follower.ticket_id).where(Follower.user_id == bindparam(name)))


_CREATED, _ID = bindparam("after_created_at"), bindparam("after_id")

CONDITIONS: Mapping[str, Callable[[str], ColumnElement[bool]]] = {
    "status": lambda name: Ticket.status == bindparam(name),
    # Written so that no index on the status serves it: where it stands, contact, organisation or follower narrow far better.
    "statuses": lambda name: func.coalesce(Ticket.status, "").in_(_in_list(name)),
    "queue": lambda name: Ticket.queue_id == bindparam(name),
    "assignee": lambda name: Ticket.assignee_id == bindparam(name),
    "contact": lambda name: Ticket.contact_id == bindparam(name),
    "organisation": lambda name: Ticket.organisation_id == bindparam(name),
    "followed": _followed,
    "visible": lambda name: or_(Ticket.queue_id.in_(_in_list("own_queues")), Ticket.assignee_id == bindparam(name), _followed(name)),
    "unassigned": lambda _name: Ticket.assignee_id.is_(None),
    "kinds": lambda name: Ticket.kind.in_(_in_list(name)),
    "priorities": lambda name: Ticket.priority.in_(_in_list(name)),
    "after_newest": lambda _name: and_(Ticket.created_at <= _CREATED, or_(Ticket.created_at < _CREATED, Ticket.id < _ID)),
    "after_rank": lambda _name: and_(Ticket.priority >= bindparam("after_priority"), or_(
        Ticket.priority > bindparam("after_priority"), Ticket.created_at > _CREATED,
        and_(Ticket.created_at == _CREATED, Ticket.id > _ID))),
}


@lru_cache(maxsize=512)
def union_of_branches(branches: tuple[Branch, ...], *, by_rank: bool) -> Select[str]:
    """Select the ids of the first ``limit`` tickets of all branches; each branch is cut at ``limit`` as well."""
    parts = [_branch(branch, by_rank=by_rank) for branch in branches]
    if len(parts) == 1:
        return parts[0].with_only_columns(Ticket.id)
    together = union(*(select(part.subquery()) for part in parts)).subquery()
    return select(together.c.id).order_by(*_order(together.c, by_rank=by_rank)).limit(bindparam("limit"))


def _branch(branch: Branch, *, by_rank: bool) -> Select[Any]:
    conditions = [CONDITIONS[name](bind) for name, bind in branch]
    statement: Select[Any] = select(Ticket.id, Ticket.priority, Ticket.created_at)  # pyright: ignore[reportAssignmentType]  # columns do not matter
    return statement.where(*conditions).order_by(*_order(Ticket, by_rank=by_rank)).limit(bindparam("limit"))


def _order(columns: Any, *, by_rank: bool) -> tuple[Any, ...]:
    if by_rank:
        return columns.priority, columns.created_at, columns.id
    return columns.created_at.desc(), columns.id.desc()
