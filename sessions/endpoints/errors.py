"""Errors of endpoints, on the tree of ``core/errors.py``.

    Forbidden
    └── TokenRefused       an enrolment token that is unknown, used up, revoked, or past its time: all look the same
    Conflict
    ├── KeyKnown           the key belongs to an endpoint already; an identity cannot be enrolled over
    ├── FingerprintDiffers what the technician compared is not this agent's fingerprint
    ├── ClassDiffers       the agent's own policy says another class
    └── StaleHolder        another process holds the agent's link by now
"""

from __future__ import annotations

from orchestrator.core.errors import Conflict, Forbidden
from orchestrator.core.i18n import _


class TokenRefused(Forbidden):
    code = "token_refused"

    def __init__(self) -> None:
        super().__init__(_("This enrolment token does not work: it is unknown, used, or past its time. Make a new one."))


class KeyKnown(Conflict):
    code = "key_known"

    def __init__(self) -> None:
        super().__init__(_("This agent is enrolled already. An existing identity cannot be enrolled over."))


class FingerprintDiffers(Conflict):
    code = "fingerprint_differs"

    def __init__(self) -> None:
        super().__init__(_("This is not the fingerprint of this agent. Do not accept it; compare again on the machine."))


class ClassDiffers(Conflict):
    code = "class_differs"

    def __init__(self, claimed: str) -> None:
        super().__init__(_("The agent's own policy says that this machine is a {claimed}. Accept it as that, or enrol it again."),
                         claimed=claimed)


class StaleHolder(Conflict):
    code = "stale_holder"

    def __init__(self) -> None:
        super().__init__(_("Another connection of this agent is newer."))
