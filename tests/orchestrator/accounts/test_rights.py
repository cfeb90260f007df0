"""Role by right, written by hand from the table of remote.md 8 and the sentence under it; not computed from the code."""

from __future__ import annotations

import pytest

from orchestrator.accounts.actor import SYSTEM, Right, Role, rights_of

T, L, A, U = Role.TECHNICIAN, Role.LEAD, Role.ADMINISTRATOR, Role.AUDITOR

WHO_MAY: dict[str, set[Role]] = {
    "tickets:read": {T, L, U},
    "tickets:write": {T, L},
    "queues:all": {L, U},
    "customers:read": {T, L, U},
    "customers:write": {T, L},
    "approvers:write": {L, A},
    "queues:write": {L, A},
    "endpoints:read": {T, L, U},
    "endpoints:enrol": {T, L},
    "endpoints:accept": {L},
    "sessions:read": {T, L, A, U},
    "sessions:request": {T, L},
    "sessions:end": {T, L, A},
    "sessions:end-any": {L, A},
    "sessions:watch-all": {L},
    "channels:open": {T, L},
    "recordings:read": {T, L, U},
    "recordings:read-all": {L, U},
    "articles:read": {T, L, U},
    "articles:write": {T, L},
    "audit:read": {L, A, U},
    "accounts:write": {A},
}


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("right", list(Right))
def test_a_role_has_exactly_the_rights_of_the_table(role: Role, right: Right) -> None:
    assert (right in rights_of(frozenset({role}))) == (role in WHO_MAY[right])


def test_rights_add_up_over_roles() -> None:
    both = rights_of(frozenset({A, T}))
    assert Right.ACCOUNTS_WRITE in both and Right.SESSIONS_REQUEST in both
    assert both == rights_of(frozenset({A})) | rights_of(frozenset({T}))


def test_no_role_is_no_right() -> None:
    assert rights_of(frozenset()) == frozenset()


def test_the_program_itself_has_every_right() -> None:
    assert frozenset(Right) == SYSTEM.rights
