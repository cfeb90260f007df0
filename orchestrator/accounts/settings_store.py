"""Settings that an administrator changes in the running program, and secrets made at first start. Text by key.

Not here: settings of the process (``core/settings.py``), and who may change one (the caller asks for the right).
"""

from __future__ import annotations

from orchestrator.accounts.models import StoredSetting
from orchestrator.core.db import ReadUnit, WriteUnit

DESK_NAME = "desk.name"
SINGLE_PERSON = "desk.single_person"


def get_setting(unit: ReadUnit, key: str, default: str = "") -> str:
    """Return the stored text, or ``default`` where none is stored."""
    row = unit.db.get(StoredSetting, key)
    return row.value if row is not None else default


def set_setting(unit: WriteUnit, key: str, value: str, *, secret: bool = False) -> None:
    """Store a text under a key of at most 100 characters; at most 4000 characters of text."""
    row = unit.db.get(StoredSetting, key)
    if row is None:
        unit.db.add(StoredSetting(key=key, value=value, secret=secret, changed_at=unit.now))
    else:
        row.value, row.secret, row.changed_at = value, secret, unit.now
    unit.db.flush()
