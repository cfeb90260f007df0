"""What every room must know about this desk: its addresses, number formats, zone and language.

The program publishes its settings here at each start, so that services, which only get a unit of work, read one row.
Not here: secrets, and settings that an administrator changes in the running program.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from email.utils import parseaddr

from sqlalchemy import column, select, table

from orchestrator.accounts.models import StoredSetting
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.settings import Settings

FACTS_KEY = "desk.facts"
NAME_KEY = "desk.name"
DEFAULT_NUMBER_FORMAT = "{year}-{counter:06d}-{check}"
MAX_FORMATS = 20


_QUEUES = table("queues", column("address"))
"""Of the tickets' room, which stands above this one."""


@dataclass(frozen=True, slots=True)
class DeskFacts:
    """``number_formats``: the current one first, then those of earlier times, which stay recognised. ``own_addresses``
    are lower case, those of the settings alone: ask ``read_own_addresses``. The defaults are those of the settings."""

    mail_name: str = "Fernwart"
    mail_address: str = "support@localhost"
    own_addresses: tuple[str, ...] = ("support@localhost",)
    number_formats: tuple[str, ...] = (DEFAULT_NUMBER_FORMAT,)
    time_zone: str = "Europe/Berlin"
    default_language: str = "de"
    public_url: str = ""

    @property
    def mail_domain(self) -> str:
        """The domain of the address that we send from; Message-IDs end in it."""
        return self.mail_address.rpartition("@")[2] or "localhost"


def read_desk_facts(unit: ReadUnit) -> DeskFacts:
    """Read the facts, once for each unit of work; before the first start they are the defaults of the settings."""
    known = unit.db.info.get(FACTS_KEY)
    if isinstance(known, DeskFacts):
        return known
    row = unit.db.get(StoredSetting, FACTS_KEY)
    name = unit.db.get(StoredSetting, NAME_KEY)
    values = json.loads(row.value) if row else {}
    for field in ("own_addresses", "number_formats"):
        if field in values:
            values[field] = tuple(values[field])
    if name is not None and name.value.strip():
        values["mail_name"] = name.value.strip()
    facts = DeskFacts(**values)
    unit.db.info[FACTS_KEY] = facts
    return facts


def read_own_addresses(unit: ReadUnit) -> frozenset[str]:
    """Every mail address that is ours, lower case: those of the settings and those of the queues."""
    queues = unit.db.scalars(select(_QUEUES.c.address).where(_QUEUES.c.address.is_not(None)))
    return frozenset(read_desk_facts(unit).own_addresses).union(address.lower() for address in queues if address)


def publish_desk_facts(unit: WriteUnit, settings: Settings) -> DeskFacts:
    """Write down what the settings say, at every start; number formats used before stay in the list."""
    before = read_desk_facts(unit)
    name, address = parseaddr(settings.mail_from)
    formats = dict.fromkeys([settings.ticket_number_format, *before.number_formats])
    facts = DeskFacts(
        mail_name=name or "Fernwart", mail_address=address.lower() or "support@localhost", own_addresses=settings.own_addresses,
        number_formats=tuple(formats)[:MAX_FORMATS], time_zone=settings.time_zone, default_language=settings.default_language,
        public_url=settings.public_url,
    )
    value = json.dumps(asdict(facts), ensure_ascii=False, sort_keys=True)
    row = unit.db.get(StoredSetting, FACTS_KEY)
    if row is None:
        unit.db.add(StoredSetting(key=FACTS_KEY, value=value, secret=False, changed_at=unit.now))
    elif row.value != value:
        row.value = value
        row.changed_at = unit.now
    unit.db.flush()
    unit.db.info.pop(FACTS_KEY, None)
    return read_desk_facts(unit)
