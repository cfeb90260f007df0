"""The receipt of a decision: signed by the server, with the fields of ISO/IEC TS 27560 (docs/receipt.md has the table).

It says what the signed request asked, what was answered, how, through which address, under which key, and which rules
rested. Building and reading it; who gets it by mail is in ``service.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from agents.protocol.grants import Request
from agents.protocol.scopes import ScopeKind, parse_scope
from orchestrator.accounts.desk import read_desk_facts
from orchestrator.accounts.settings_store import get_setting
from orchestrator.core.db import ReadUnit
from orchestrator.core.i18n import translator
from sessions.consent.models import Consent, ConsentRequest
from sessions.consent.wording import describe_notice
from sessions.keys import ServerKeys

SCHEMA = "x-remote-support/1"
NOTICE_ID = "remote-session"
NOTICE_VERSION = 1
STATES: Mapping[str, str] = {
    "open": "requested", "approved": "given", "denied": "refused", "expired": "expired", "withdrawn": "invalidated",
}
"""States of our requests and the event states of ISO/IEC TS 27560. A consent taken back by *stop* is ``withdrawn``, one whose
session is over ``terminated``."""

_SEEN: Mapping[ScopeKind, str] = {
    ScopeKind.DIAGNOSTICS: "results of checks", ScopeKind.TERMINAL: "command output", ScopeKind.TERMINAL_ADMIN: "command output",
    ScopeKind.TERMINAL_TARGET: "command output of machines reached from this one", ScopeKind.FILES_READ: "files",
    ScopeKind.FILES_WRITE: "files", ScopeKind.DESKTOP_VIEW: "screen", ScopeKind.DESKTOP_CONTROL: "screen",
    ScopeKind.TUNNEL: "network traffic",
}


def state_of(request_state: str, *, stopped: bool, session_over: bool) -> str:
    """Name the event state of ISO/IEC TS 27560 that a request is in."""
    if request_state == "approved":
        return "withdrawn" if stopped else ("terminated" if session_over else "given")
    return STATES[request_state]


def build_receipt(unit: ReadUnit, request: ConsentRequest, document: Request, consent: Consent, *, keys: ServerKeys,
                  start_by_minutes: int) -> dict[str, Any]:
    """Collect the fields of a receipt for a decision just made."""
    given = consent.decision == "approve"
    desk = read_desk_facts(unit)
    return {
        "schema": SCHEMA,
        "record_id": consent.id,
        "language": request.language,
        "pii_principal": {
            "person": request.contact_id, "name": consent.approver_name, "name_given": consent.name_given,
            "os_account_sha256": hashlib.sha256(f"{document.endpoint_id}\x00{document.user}".encode()).hexdigest(),
        },
        "privacy_notice": {
            "id": NOTICE_ID, "version": NOTICE_VERSION,
            "sha256": hashlib.sha256(describe_notice(document, translator(request.language)).encode()).hexdigest(),
        },
        "processing": _processing(unit, document, consent),
        "parties": [
            {"id": document.organisation, "role": "controller", "name": document.organisation, "type": "email", "contact": request.sent_to},
            {"id": keys.instance_id, "role": "processor", "name": document.desk, "type": "email", "contact": desk.mail_address},
        ],
        "event": {
            "time": consent.decided_at.isoformat(), "type": "explicit", "state": "given" if given else "refused",
            "entity": consent.approver_name,
            "valid_until": (consent.decided_at + timedelta(minutes=start_by_minutes)).isoformat() if given else None,
            "validity_seconds": consent.max_seconds if given else 0,
        },
        "request": {
            "id": request.id, "sha256": request.request_hash, "asked_scopes": list(document.scopes), "asked_minutes": document.minutes,
            "follow_up": request.follow_up, "issued_at": document.issued_at.isoformat(),
        },
        "session": {
            "id": document.session_id, "ticket": document.ticket, "technician": document.technician, "endpoint": document.endpoint_id,
            "endpoint_name": document.endpoint_name, "endpoint_key": document.audience, "user": document.user,
            "protected": document.protected, "may_become_administrator": document.administrator, "recording": document.recording.value,
            "consent_place": document.consent.value,
        },
        "answer": {
            "decision": consent.decision, "scopes": list(consent.scopes), "minutes": consent.max_seconds // 60, "reason": consent.reason,
            "clock_is_wrong": consent.clock_is_wrong, "method": consent.method, "link_went_to": request.sent_to,
            "shared_mailbox": request.shared_mailbox, "address": consent.address,
            "call_back": {"by": request.call_back_by_name, "person": request.call_back_name,
                          "at": request.call_back_at.isoformat()} if request.call_back_at else None,
        },
        "rule_rested": request.rule_rested,
        "server": {"instance": keys.instance_id, "epoch": keys.epoch, "key": keys.fingerprint},
    }


def _processing(unit: ReadUnit, document: Request, consent: Consent) -> dict[str, Any]:
    scopes = consent.scopes or document.scopes
    return {
        "purpose": {"ticket": document.ticket, "subject": document.ticket_subject, "text": document.purpose, "category": "support"},
        "lawful_basis": get_setting(unit, "receipt.lawful_basis", "contract"),
        "pii_information": sorted({_SEEN[parse_scope(scope).kind] for scope in scopes}),
        "controllers": [document.organisation],
        "method": {"scopes": list(scopes), "recording": document.recording.value},
        "storage_location": get_setting(unit, "receipt.storage_location", "server of the processor"),
        "retention": {"class": "session-record",
                      "period": get_setting(unit, "receipt.retention", "as the processor's deletion concept says")},
        "processing_location": get_setting(unit, "receipt.processing_location", get_setting(unit, "receipt.jurisdiction", "DE")),
        "jurisdiction": get_setting(unit, "receipt.jurisdiction", "DE"),
        "recipients": get_setting(unit, "receipt.recipients", "none"),
        "withdrawal": ["stop behind the link in the mail", "call the processor", "fernwart-agent stop on the machine"],
        "rights": get_setting(unit, "receipt.rights", "access, correction, erasure, restriction, objection: ask the controller"),
    }
