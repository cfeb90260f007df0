"""Settings that an administrator changes in the running program, and secrets made at first start. Text by key.

Not here: settings of the process (``core/settings.py``), and who may change one (the caller asks for the right).
"""

from __future__ import annotations

from orchestrator.accounts.actor import Actor, Right
from orchestrator.accounts.models import StoredSetting
from orchestrator.accounts.people import check_name
from orchestrator.audit.service import record_audit
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import InvalidInput
from orchestrator.core.i18n import _

DESK_NAME = "desk.name"
SINGLE_PERSON = "desk.single_person"
SINGLE_PERSON_CHOICES = ("auto", "no")


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


def change_desk(unit: WriteUnit, actor: Actor, *, name: str, single_person: str) -> None:
    """Change the desk's name and whether rules for two people rest while there are not two (``auto``) or never (``no``).

    Needs ``accounts:write``.
    """
    actor.require(Right.ACCOUNTS_WRITE)
    name = check_name(name)
    if single_person not in SINGLE_PERSON_CHOICES:
        raise InvalidInput(_("Choose one of the two."), field="single_person")
    before = {DESK_NAME: get_setting(unit, DESK_NAME), SINGLE_PERSON: get_setting(unit, SINGLE_PERSON, "auto")}
    after = {DESK_NAME: name, SINGLE_PERSON: single_person}
    if before == after:
        return
    for key, value in after.items():
        set_setting(unit, key, value)
    record_audit(unit, actor, "settings.changed", subject="desk", summary="Changed the settings of the desk.",
                 details={"before": before, "after": after})
