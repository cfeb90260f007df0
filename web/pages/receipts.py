"""The page of a receipt: the fields of the signed document, its hash and the key to check it with. Routes are in ``consent.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from agents.protocol.signatures import hash_document
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import NotFound
from orchestrator.core.i18n import translator
from sessions.consent.links import OpenedLink
from sessions.consent.models import Consent
from sessions.consent.receipts import state_of
from sessions.consent.wording import describe_notice, describe_scope
from sessions.keys import ServerKeys
from sessions.lifecycle.models import FINAL_STATES


@dataclass(frozen=True, slots=True)
class ReceiptPage:
    token: str
    receipt: Mapping[str, Any]
    scopes: list[str]
    state: str
    decided_at: datetime
    withdrawn_at: datetime | None
    receipt_hash: str
    key: str
    signed: str
    notice: list[str]


def find_receipt(unit: ReadUnit, opened: OpenedLink) -> Consent:
    """Return the decision behind a link. Raises NotFound before there is one."""
    consent = unit.db.scalars(select(Consent).where(Consent.request_id == opened.request.id)).one_or_none()
    if consent is None:
        raise NotFound()
    return consent


def receipt_page(unit: ReadUnit, opened: OpenedLink, token: str, keys: ServerKeys) -> ReceiptPage:
    """Verify the stored receipt once more and lay out its fields."""
    consent = find_receipt(unit, opened)
    asked = keys.read_request(opened.request.request_jws)
    words = translator(opened.request.language)
    return ReceiptPage(
        token=token, receipt=keys.read_receipt(consent.receipt_jws),
        scopes=[describe_scope(scope, asked, words) for scope in consent.scopes],
        state=state_of(opened.request.state, stopped=consent.withdrawn_at is not None, session_over=opened.session.state in FINAL_STATES),
        decided_at=consent.decided_at, withdrawn_at=consent.withdrawn_at, receipt_hash=hash_document(consent.receipt_jws),
        key=keys.fingerprint, signed=consent.receipt_jws, notice=describe_notice(asked, words).split("\n"),
    )
