"""What the timeline says about itself: the sentences of NOTICE and CHANGE entries, in English, marked for translation.

An entry keeps the code and the values; pages put the translated sentence together with ``sentence_of``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.core.i18n import _
from orchestrator.tickets.models import Entry, EntryKind

NOTICES: Mapping[str, str] = {
    "confirmation_sent": _("A confirmation goes to %(address)s."),
    "confirmation_suppressed": _("No confirmation was sent to %(address)s: %(reason)s"),
    "resolved_told": _("%(address)s is told that the ticket is resolved."),
    "resolved_not_told": _("Nobody could be told that the ticket is resolved: there is no mail address."),
    "mail_failed": _("The mail “%(subject)s” to %(address)s was not delivered: %(error)s"),
    "mail_partly_refused": _("The mail “%(subject)s” did not reach %(addresses)s: %(error)s"),
    "mail_bounced": _("The mail “%(subject)s” to %(address)s came back."),
    "waiting_over": _("The time until which the ticket waited is over."),
    "written_by_stranger": _("This refers to %(number)s, but the sender does not belong to that ticket."),
    "mail_loop": _("Automatic answers to %(address)s were stopped: %(reason)s"),
}
"""By code. Other rooms add notices of their own with a text of their own."""

CHANGES: Mapping[str, str] = {
    "status": _("Status: %(from)s → %(to)s"),
    "priority": _("Priority: P%(from)s → P%(to)s"),
    "kind": _("Kind: %(from)s → %(to)s"),
    "subject": _("Subject: “%(from)s” → “%(to)s”"),
    "tags": _("Tags: %(from)s → %(to)s"),
    "assignee": _("Assigned: %(from)s → %(to)s"),
    "queue": _("Queue: %(from)s → %(to)s"),
    "contact": _("Contact: %(from)s → %(to)s"),
    "organisation": _("Organisation: %(from)s → %(to)s"),
    "link": _("Linked with %(to)s (%(relation)s)"),
    "linked_from": _("Linked from %(to)s (%(relation)s)"),
}


def sentence_of(entry: Entry) -> tuple[str, dict[str, object]]:
    """Return the English sentence of a NOTICE or CHANGE entry with its values, ready for a translator.

    For notices of other rooms, and for other kinds of entries, the sentence is the entry's own text without values.
    """
    data: dict[str, Any] = entry.data
    if entry.kind == EntryKind.NOTICE and data.get("code") in NOTICES:
        return NOTICES[data["code"]], dict(data.get("values") or {})
    if entry.kind == EntryKind.CHANGE and data.get("what") in CHANGES:
        names = data.get("names") or {}
        return CHANGES[data["what"]], {
            "from": names.get("from") or _plain(data.get("from")), "to": names.get("to") or _plain(data.get("to")),
            "relation": names.get("relation", "")}
    return entry.text.replace("%", "%%"), {}


def _plain(value: object) -> str:
    match value:
        case None | "":
            return "–"
        case {"priority": priority}:
            return str(priority)
        case list():
            return ", ".join(str(one) for one in value) or "–"
        case _:
            return str(value)
