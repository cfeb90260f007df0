"""What the rooms of remote sessions need from the running program: signing keys, settings, addresses for mails.

The program's own collection of parts fits this shape; tests build a small one. Nothing of HTTP is seen here.
"""

from __future__ import annotations

from typing import Protocol

from orchestrator.core.db import Database
from orchestrator.core.ports import LinkBuilder
from orchestrator.core.settings import Settings
from sessions.keys import ServerKeys


class SessionServices(Protocol):
    """Read-only access to the parts that asking, deciding and ending a session need."""

    @property
    def settings(self) -> Settings: ...

    @property
    def keys(self) -> ServerKeys: ...

    @property
    def record_database(self) -> Database: ...

    @property
    def links(self) -> LinkBuilder: ...
