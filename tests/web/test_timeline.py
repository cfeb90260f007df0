"""How entries are worded for their reader: language, zone, names instead of codes; and nothing of an odd entry breaks the page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.accounts.actor import Actor, ActorKind
from orchestrator.core.i18n import translator
from orchestrator.tickets.models import Entry, EntryKind
from orchestrator.tickets.queries import TimelineItem
from sessions.lifecycle.lines import REQUESTED, line_of
from sessions.lifecycle.machine import Trigger
from sessions.lifecycle.models import SessionState
from web.i18n import add_catalogues
from web.pages.timeline import Reader, marks_of, short_name, word_entry

NOW = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)


def reader(language: str, zone: str = "Europe/Berlin") -> Reader:
    add_catalogues()
    return Reader(Actor(kind=ActorKind.USER, id="1", name="Jana", language=language, time_zone=zone), translator(language), NOW)


def entry(kind: EntryKind, data: dict[str, Any], text: str = "") -> Entry:
    return Entry(id="e", ticket_id="t", seq=1, kind=kind, data=data, text=text)


@pytest.mark.parametrize(("data", "text", "english", "german"), [
    ({"what": "status", "from": "new", "to": "open"}, "", "Status: new → open", "Status: neu → offen"),
    ({"what": "status", "from": "open", "to": "waiting_until 2026-11-24T08:00:00+00:00"}, "", "Status: open → waiting until tomorrow 09:00",
     "Status: offen → wartet bis morgen 09:00"),
    ({"what": "queue", "from": "1", "to": "2", "names": {"from": "Server", "to": "Clients"}}, "busy", "Queue: Server → Clients (busy)",
     "Warteschlange: Server → Clients (busy)"),
    ({"what": "assignee", "from": None, "to": "1", "names": {"from": "", "to": "Jana"}}, "", "Assigned: – → Jana", "Zugewiesen: – → Jana"),
    ({"what": "priority", "from": {"priority": 3}, "to": {"priority": 1}}, "", "Priority: P3 → P1", "Priorität: P3 → P1"),
    ({"what": "subject", "from": "open", "to": "100%"}, "", "Subject: “open” → “100%”", "Betreff: „open“ → „100%“"),
    ({"what": "kind", "from": "incident", "to": "request"}, "", "Kind: Incident → Request", "Art: Störung → Anfrage"),
    ({"what": "link", "to": "2026-000001-5", "names": {"relation": "duplicate"}}, "", "Linked with 2026-000001-5 (the same case)",
     "Verknüpft mit 2026-000001-5 (derselbe Fall)"),
])
def test_a_change_is_worded_for_its_reader(data: dict[str, Any], text: str, english: str, german: str) -> None:
    assert word_entry(entry(EntryKind.CHANGE, data, text), reader("en")) == english
    assert word_entry(entry(EntryKind.CHANGE, data, text), reader("de")) == german


def test_a_step_of_a_session_names_scopes_and_times_as_the_reader_knows_them() -> None:
    sentence = line_of(Trigger.APPROVED, SessionState.APPROVED)
    step = entry(EntryKind.SESSION, {"sentence": sentence, "values": {
        "contact": "Erika", "minutes": "30", "scopes": "terminal, terminal.admin", "until": "2026-11-23 20:00"}})
    assert word_entry(step, reader("de")) == ("Erika gab die Fernsitzung für 30 Minuten frei (Terminal, Terminal mit Administratorrechten); "
                                              "sie muss bis 21:00 beginnen")
    assert "must start by 15:00" in word_entry(step, reader("en", "America/New_York"))


def test_the_reason_of_an_end_is_translated_with_its_sentence() -> None:
    sentence = line_of(Trigger.ENDED, SessionState.ENDED)
    step = entry(EntryKind.SESSION, {"sentence": sentence, "values": {"reason": "stopped by the contact"}})
    assert word_entry(step, reader("de")) == "Die Fernsitzung endete: vom Kontakt beendet"


def test_what_people_wrote_is_never_translated() -> None:
    for kind in (EntryKind.MESSAGE, EntryKind.NOTE):
        assert word_entry(entry(kind, {}, "Take next"), reader("de")) == "Take next"


@pytest.mark.parametrize("data", [
    {}, {"sentence": REQUESTED, "values": {}}, {"sentence": "100% %(broken", "values": {"a": 1}}, {"sentence": 5, "values": {}},
    {"sentence": "%(a)s", "values": None},
])
def test_an_odd_stored_step_falls_back_to_its_english_text(data: dict[str, Any]) -> None:
    assert word_entry(entry(EntryKind.SESSION, data, "the English line"), reader("de")) == "the English line"


def test_a_session_is_called_by_its_last_four_characters() -> None:
    assert short_name("01a20893-95a3-7b85-abd1-0a4c471d0274") == "0274"


@pytest.mark.parametrize(("data", "words"), [
    ({"automatic": "none", "protection": "none", "sender_verified": "none"}, []),
    ({"automatic": "generated"}, ["written by a program"]),
    ({"protection": "encrypted_pgp", "sender_verified": "fail"}, ["sender could not be verified", "encrypted, kept whole"]),
    ({"protection": "signed_smime", "left_in_raw_mail": ["huge.iso"]}, ["signed, kept whole", "more attachments are in the stored mail"]),
])
def test_a_mail_carries_marks_for_what_a_technician_must_know(data: dict[str, Any], words: list[str]) -> None:
    item = TimelineItem(entry(EntryKind.MESSAGE, data), (), None)
    assert [text for text, _tone in marks_of(item, reader("en"))] == words
