"""Words for the closed sets that pages show: English source texts, translated where they are shown.

Templates reach them as `labels`, for example `_(labels.STATUS[ticket.status])`.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.i18n import _

STATUS: Mapping[str, str] = {
    "new": _("new"), "open": _("open"), "waiting_customer": _("waiting for customer"), "waiting_until": _("waiting until"),
    "resolved": _("resolved"), "closed": _("closed"),
}
STATUS_TONE: Mapping[str, str] = {
    "new": "accent", "open": "info", "waiting_customer": "warn", "waiting_until": "warn", "resolved": "ok", "closed": "",
}
KIND: Mapping[str, str] = {
    "incident": _("Incident"), "request": _("Request"), "complaint": _("Complaint"), "claim": _("Claim"), "problem": _("Problem"),
}
LEVEL: Mapping[str, str] = {"high": _("high"), "medium": _("medium"), "low": _("low")}
MEDIUM: Mapping[str, str] = {
    "mail": _("mail"), "phone": _("phone"), "fax": _("fax"), "form": _("form"), "desk": _("desk"), "api": _("interface"),
    "remote": _("remote session"), "program": _("program"),
}
RELATION: Mapping[str, str] = {
    "parent": _("this ticket belongs to it"), "child": _("belongs to this ticket"), "duplicate": _("the same case"),
    "duplicate_of_this": _("the same case"), "related": _("related"),
}
SESSION_STATE: Mapping[str, str] = {
    "requested": _("waiting for consent"), "approved": _("approved"), "live": _("live"), "suspended": _("connection lost"),
    "paused": _("paused"), "ended": _("ended"), "denied": _("denied"), "expired": _("expired"), "cancelled": _("cancelled"),
}
SESSION_TONE: Mapping[str, str] = {
    "requested": "warn", "approved": "accent", "live": "live", "suspended": "warn", "paused": "warn", "ended": "ok", "denied": "bad",
    "expired": "", "cancelled": "",
}
SCOPE: Mapping[str, str] = {
    "terminal": _("terminal"), "terminal.admin": _("terminal with administrator rights"), "diagnostics": _("diagnostics"),
}
ROLE: Mapping[str, str] = {
    "technician": _("technician"), "lead": _("lead"), "administrator": _("administrator"), "auditor": _("auditor"),
}
LANGUAGE: Mapping[str, str] = {"de": _("German"), "en": _("English")}
ARTICLE_STATE: Mapping[str, str] = {"draft": _("draft"), "published": _("published"), "withdrawn": _("withdrawn")}
