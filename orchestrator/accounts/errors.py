"""Errors of accounts, on the tree of ``core/errors.py``.

    Forbidden
    ├── NotLoggedIn       nobody known asks: no login, no second factor yet, or no valid token
    └── StepUpNeeded      the second factor was proved too long ago for this
    Conflict
    └── LastAdministrator the desk would be left without an administrator
    Unavailable
    └── TooManyAttempts   wait before the next password or code
    NotFound
    └── LinkSpent         a one-time link that is unknown, used, or past its time
"""

from __future__ import annotations

from orchestrator.core.errors import Conflict, Forbidden, NotFound, Unavailable
from orchestrator.core.i18n import _


class NotLoggedIn(Forbidden):
    code = "not_logged_in"

    def __init__(self) -> None:
        super().__init__(_("Log in first."))


class StepUpNeeded(Forbidden):
    code = "step_up_needed"

    def __init__(self) -> None:
        super().__init__(_("Show your second factor again before you do this."))


class LastAdministrator(Conflict):
    code = "last_administrator"

    def __init__(self) -> None:
        super().__init__(_("This is the last administrator who can log in. Make somebody else administrator first."))


class TooManyAttempts(Unavailable):
    code = "too_many_attempts"

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(_("Too many attempts. Wait some minutes, then try again."), retry_after_seconds=retry_after_seconds)


class LinkSpent(NotFound):
    code = "link_spent"

    def __init__(self) -> None:
        super().__init__(_("This link does not work any more: it was used, or its time is over. Ask an administrator for a new one."))
