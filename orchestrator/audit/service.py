"""Writing the global audit chain: who did what, in the transaction of the change it describes.

The entry in the chain is the proof and holds everything; the row in ``audit_entries`` is the list that the page filters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.accounts.actor import Actor
from orchestrator.audit.chain import AUDIT_CHAIN, append_entry
from orchestrator.audit.models import AuditEntry
from orchestrator.core.db import WriteUnit

_KIND = re.compile(r"[a-z][a-z-]*\.[a-z][a-z_-]*")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def record_audit(unit: WriteUnit, actor: Actor, kind: str, *, subject: str = "", ticket_number: str | None = None,
                 summary: str = "", details: Mapping[str, object] | None = None) -> int:
    """Write an audit entry and return its number.

    ``kind`` is ``noun.verb``. ``subject`` says what it is about (``user ID``, ``session ID``), ``summary`` is one English
    sentence without secrets, ``details`` is JSON. Raises ``ValueError`` for a kind that is not ``noun.verb``.
    """
    if len(kind) > 60 or not _KIND.fullmatch(kind):
        raise ValueError(f"an audit kind is noun.verb, not {kind!r}")
    payload = {
        "actor": {
            "kind": str(actor.kind), "id": actor.id, "name": actor.name, "address": actor.address,
            "login": actor.login_id, "token": actor.token_id,
        },
        "subject": subject, "ticket": ticket_number, "summary": summary, "details": dict(details or {}),
    }
    link = append_entry(unit, AUDIT_CHAIN, kind, payload, chain_kind="audit")
    unit.db.add(AuditEntry(seq=link.seq, happened_at=link.happened_at, **list_values(kind, payload)))
    unit.db.flush()
    return link.seq


def list_values(kind: str, payload: Mapping[str, object]) -> dict[str, str | None]:
    """Return what the list shows for an entry: shortened to the columns, without characters no database stores."""
    actor = payload.get("actor")
    actor = actor if isinstance(actor, Mapping) else {}
    by_token = " (API token)" if actor.get("token") else ""
    return {
        "kind": kind,
        "actor_kind": _fit(actor.get("kind"), 20) or "",
        "actor_id": _fit(actor.get("id"), 36),
        "actor_name": (_fit(actor.get("name"), 200 - len(by_token)) or "") + by_token,
        "subject": _fit(payload.get("subject"), 200) or "",
        "ticket_number": _fit(payload.get("ticket"), 40),
        "summary": _fit(payload.get("summary"), 1000) or "",
        "address": _fit(actor.get("address"), 64),
    }


def _fit(value: object, length: int) -> str | None:
    return None if value is None else _UNSTORABLE.sub("?", str(value))[:length]
