"""The desk's pages, asked as a browser asks, against the served program: what they show, what their forms do, who may."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select

from orchestrator.accounts.models import User
from orchestrator.core.settings import Settings
from orchestrator.customers.models import ApproverRight, Contact, Organisation
from orchestrator.knowledge.models import Article
from orchestrator.notifications.models import OutgoingMail
from orchestrator.tickets.blobs import NewAttachment, add_attachment
from orchestrator.tickets.models import Entry, EntryKind, Follower, Queue, Status, Ticket
from sessions.endpoints.models import Endpoint
from sessions.lifecycle.models import RemoteSession
from tests.builders import make_approver, make_contact, make_endpoint, make_organisation, make_queue, make_ticket, make_user
from tests.web.whole import Whole, make_people, run_whole

HTMX = {"HX-Request": "true"}
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Browser:
    """A browser in which somebody has logged in: forms carry the token of the last page."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._token = ""

    def get(self, path: str, **headers: str) -> httpx.Response:
        answer = self._client.get(path, headers=headers)
        found = _TOKEN.search(answer.text)
        self._token = found.group(1) if found else self._token
        return answer

    def post(self, path: str, fields: dict[str, object] | None = None, *, page: str = "/account") -> httpx.Response:
        if not self._token:
            self.get(page)
        return self._client.post(path, data={**(fields or {}), "csrf_token": self._token})


@dataclass(slots=True)
class Desk:
    whole: Whole
    people: dict[str, User]
    queue: Queue
    organisation: Organisation
    contact: Contact
    endpoint: Endpoint
    clients: list[httpx.Client] = field(default_factory=list)

    def browser(self, role: str) -> Browser:
        self.clients.append(self.whole.client(self.whole.cookie_of(self.people[role])))
        return Browser(self.clients[-1])

    def ticket(self, *, subject: str = "Printer is on fire", assignee: User | None = None, priority: int = 3, text: str = "Help!") -> Ticket:
        with self.whole.database.write() as unit:
            return make_ticket(unit, self.queue, contact=self.contact, subject=subject, assignee=assignee, priority=priority, text=text)

    def reload(self, ticket: Ticket) -> Ticket:
        with self.whole.database.read() as unit:
            return unit.db.get_one(Ticket, ticket.id)

    def entries(self, ticket: Ticket) -> list[Entry]:
        with self.whole.database.read() as unit:
            return list(unit.db.scalars(select(Entry).where(Entry.ticket_id == ticket.id).order_by(Entry.seq)))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Generator[Desk, None, None]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("pages") / "data", mail_from="Fernwart <support@desk.example>",
                        recording_reserve_bytes=1024)
    with run_whole(settings) as whole:
        with whole.database.write() as unit:
            people = make_people(unit)
            queue = make_queue(unit, people["technician"], name="Server")
            make_queue(unit, make_user(unit, name="Somebody Else"), name="Elsewhere")
            organisation = make_organisation(unit, name="Muster GmbH", domain="muster.example")
            contact = make_contact(unit, organisation, name="Erika Beispiel", email="erika@muster.example")
            make_approver(unit, contact, people["lead"])
            endpoint = make_endpoint(unit, organisation, responsible=contact, protected=True, accounts={
                "support": {"login_allowed": True, "may_become_root": False, "reason": ""},
                "root": {"login_allowed": True, "may_become_root": True, "reason": ""}})
            endpoint.fingerprint = f"SHA256:{'A' * 43}"
        desk = Desk(whole, people, queue, organisation, contact, endpoint)
        yield desk
        for client in desk.clients:
            client.close()


def test_the_board_shows_my_work_and_what_would_be_next(desk: Desk) -> None:
    mine = desk.ticket(subject="Mine alone", assignee=desk.people["technician"])
    waiting = desk.ticket(subject="The most urgent of all", priority=1)
    page = desk.browser("technician").get("/").text
    assert f"/tickets/{mine.number}" in page
    assert "The most urgent of all" in page
    assert f"/tickets/{waiting.number}" in page


def test_who_works_on_no_tickets_is_led_to_the_settings(desk: Desk) -> None:
    answer = desk.browser("administrator").get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings")


def test_the_list_keeps_its_filter_in_the_address(desk: Desk) -> None:
    kept = desk.ticket(subject="Filter finds this", priority=5)
    other = desk.ticket(subject="Filter leaves this out", priority=2)
    page = desk.browser("technician").get("/tickets?status=unfinished&assignee=nobody&priority=5").text
    assert kept.number in page
    assert other.number not in page
    assert '<option value="5" selected>P5</option>' in page


def test_a_list_asked_by_htmx_is_the_list_alone(desk: Desk) -> None:
    browser = desk.browser("technician")
    whole, part = browser.get("/tickets").text, browser.get("/tickets", **HTMX).text
    assert whole.lstrip().startswith("<!doctype html>")
    assert part.lstrip().startswith('<div id="results"')
    assert "<html" not in part


def test_a_ticket_shows_text_of_strangers_as_text(desk: Desk) -> None:
    ticket = desk.ticket(subject="<img src=x onerror=alert(1)>", text="<script>alert(2)</script> {{ 7*7 }}")
    page = desk.browser("technician").get(f"/tickets/{ticket.number}").text
    assert "<img src=x" not in page
    assert "<script>alert" not in page
    assert "{{ 7*7 }}" in page


@pytest.mark.parametrize(("part", "start"), [("head", '<div id="ticket-head"'), ("timeline", '<div id="timeline"'),
                                             ("cards", '<div class="fw-stack" id="ticket-cards"')])
def test_each_live_region_of_a_ticket_can_be_fetched_alone(desk: Desk, part: str, start: str) -> None:
    ticket = desk.ticket()
    browser = desk.browser("technician")
    assert browser.get(f"/tickets/{ticket.number}?part={part}", **HTMX).text.lstrip().startswith(start)
    assert browser.get(f"/tickets/{ticket.number}").text.count(start) == 1


def test_a_ticket_of_another_queue_looks_like_none(desk: Desk) -> None:
    with desk.whole.database.write() as unit:
        elsewhere = unit.db.scalars(select(Queue).where(Queue.name == "Elsewhere")).one()
        hidden = make_ticket(unit, elsewhere)
    browser = desk.browser("technician")
    answer, none = browser.get(f"/tickets/{hidden.number}"), browser.get("/tickets/2020-999999-9")
    assert (answer.status_code, none.status_code) == (404, 404)
    assert browser.post(f"/tickets/{hidden.number}/note", {"text": "x"}).status_code == 404


def test_a_reply_leaves_by_mail_and_can_change_the_status(desk: Desk) -> None:
    ticket = desk.ticket(assignee=desk.people["technician"])
    answer = desk.browser("technician").post(f"/tickets/{ticket.number}/reply", {
        "text": "We are looking at it.", "cc": "boss@muster.example; other@muster.example", "then": "waiting_customer"})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"/tickets/{ticket.number}#entry-")
    with desk.whole.database.read() as unit:
        mail = unit.db.scalars(select(OutgoingMail).where(OutgoingMail.ticket_id == ticket.id)).one()
    assert mail.to_address == "erika@muster.example"
    assert sorted(mail.cc) == ["boss@muster.example", "other@muster.example"]
    assert desk.reload(ticket).status == Status.WAITING_CUSTOMER


def test_a_reply_that_cannot_be_sent_keeps_what_was_written(desk: Desk) -> None:
    ticket = desk.ticket()
    answer = desk.browser("technician").post(f"/tickets/{ticket.number}/reply", {"text": "Carefully worded.", "cc": "not an address"})
    assert answer.status_code == 422
    assert "Carefully worded." in answer.text
    assert "not an address is not a mail address." in answer.text
    assert len(desk.entries(ticket)) == 1


def test_what_somebody_wrote_meanwhile_is_shown_before_a_reply_leaves(desk: Desk) -> None:
    ticket = desk.ticket()
    assert desk.browser("lead").post(f"/tickets/{ticket.number}/note", {"text": "Stop, I just rang them."}).status_code == 303
    answer = desk.browser("technician").post(f"/tickets/{ticket.number}/reply", {"text": "Hello", "seen_seq": 1})
    assert answer.status_code == 409
    assert "Stop, I just rang them." in answer.text
    assert not [entry for entry in desk.entries(ticket) if entry.text == "Hello"]
    last = re.search(r'name="seen_seq" value="(\d+)"', answer.text)
    assert last is not None
    again = desk.browser("technician").post(f"/tickets/{ticket.number}/reply", {"text": "Hello", "seen_seq": last.group(1)})
    assert again.status_code == 303


def test_a_note_stays_inside(desk: Desk) -> None:
    ticket = desk.ticket()
    browser = desk.browser("technician")
    assert browser.post(f"/tickets/{ticket.number}/note", {"text": "They have two printers."}).status_code == 303
    assert browser.post(f"/tickets/{ticket.number}/note", {"text": "  "}).status_code == 422
    note = desk.entries(ticket)[-1]
    assert (note.kind, note.visibility, note.text) == ("note", "internal", "They have two printers.")


def test_an_auditor_reads_a_ticket_and_changes_nothing(desk: Desk) -> None:
    ticket = desk.ticket()
    browser = desk.browser("auditor")
    page = browser.get(f"/tickets/{ticket.number}").text
    assert "Help!" in page
    assert "/note" not in page and "/reply" not in page
    for path, fields in (("note", {"text": "x"}), ("reply", {"text": "x"}), ("status", {"at_once": "resolved"}), ("assign", {"user": ""}),
                         ("priority", {"impact": "high", "urgency": "high"}), ("queue", {"queue": desk.queue.id})):
        assert browser.post(f"/tickets/{ticket.number}/{path}", fields).status_code == 403, path
    assert len(desk.entries(ticket)) == 1


def test_the_status_changes_by_its_table_only(desk: Desk) -> None:
    ticket = desk.ticket(assignee=desk.people["technician"])
    browser = desk.browser("technician")
    assert browser.post(f"/tickets/{ticket.number}/status", {"status": "waiting_until"}).status_code == 422
    assert browser.post(f"/tickets/{ticket.number}/status", {"status": "nonsense"}).status_code == 422
    moment = (desk.whole.services.database.clock.now() + timedelta(days=2)).strftime("%Y-%m-%dT09:00")
    assert browser.post(f"/tickets/{ticket.number}/status", {"status": "waiting_until", "wait_until": moment}).status_code == 303
    waiting = desk.reload(ticket)
    assert waiting.status == Status.WAITING_UNTIL and waiting.wait_until is not None
    assert waiting.wait_until.hour in (7, 8), "nine o'clock in Berlin"
    assert browser.post(f"/tickets/{ticket.number}/status", {"at_once": "resolved"}).status_code == 303
    assert desk.reload(ticket).status == Status.RESOLVED
    assert browser.post(f"/tickets/{ticket.number}/status", {"status": "waiting_customer"}).status_code == 409


def test_a_ticket_is_taken_moved_prioritised_and_followed(desk: Desk) -> None:
    ticket = desk.ticket()
    me = desk.people["technician"].id
    browser = desk.browser("technician")
    assert browser.post(f"/tickets/{ticket.number}/assign", {"user": me}).status_code == 303
    assert browser.post(f"/tickets/{ticket.number}/priority", {"impact": "high", "urgency": "high"}).status_code == 303
    assert browser.post(f"/tickets/{ticket.number}/priority", {"impact": "low", "urgency": "low", "priority": "2"}).status_code == 422
    assert browser.post(f"/tickets/{ticket.number}/follow", {"follow": "yes"}).status_code == 303
    with desk.whole.database.read() as unit:
        elsewhere = unit.db.scalars(select(Queue).where(Queue.name == "Elsewhere")).one()
        assert unit.db.get(Follower, (ticket.id, me)) is not None
    assert browser.post(f"/tickets/{ticket.number}/queue", {"queue": elsewhere.id}).status_code == 303
    now = desk.reload(ticket)
    assert (now.assignee_id, now.priority, now.queue_id) == (me, 1, elsewhere.id)
    page = browser.get(f"/tickets/{ticket.number}").text
    assert "Queue: Server → Elsewhere" in page
    assert "Priority: P3 → P1" in page


def test_take_next_gives_the_most_urgent_and_says_why(desk: Desk) -> None:
    with desk.whole.database.write() as unit:
        queue = make_queue(unit, desk.people["lead"], name="Lead only")
        less = make_ticket(unit, queue, subject="Less", priority=4)
        more = make_ticket(unit, queue, subject="More", priority=2)
    browser = desk.browser("lead")
    first = browser.post("/tickets/take-next")
    assert first.headers["location"] == f"/tickets/{more.number}"
    assert "P2" in first.headers["set-cookie"]
    assert browser.post("/tickets/take-next").headers["location"] == f"/tickets/{less.number}"
    nothing = browser.post("/tickets/take-next")
    assert nothing.headers["location"] == "/"


def test_a_new_ticket_enters_caller_and_organisation_with_it(desk: Desk) -> None:
    answer = desk.browser("technician").post("/tickets/new", {
        "contact_name": "Kim Neu", "contact_phone": "030 901820", "organisation_name": "Ganz Neu KG", "subject": "No network",
        "text": "The whole house is offline.", "queue": desk.queue.id, "impact": "high", "urgency": "high", "take": "yes"})
    assert answer.status_code == 303
    with desk.whole.database.read() as unit:
        ticket = unit.db.scalars(select(Ticket).where(Ticket.number == answer.headers["location"].rsplit("/", 1)[1])).one()
        contact = unit.db.get_one(Contact, ticket.contact_id)
        organisation = unit.db.get_one(Organisation, ticket.organisation_id)
    assert (ticket.priority, ticket.assignee_id, ticket.status) == (1, desk.people["technician"].id, Status.OPEN)
    assert (contact.name, organisation.name) == ("Kim Neu", "Ganz Neu KG")
    assert contact.phone is not None and contact.phone.endswith("30901820")


def test_a_new_ticket_for_a_known_caller_makes_no_second_one(desk: Desk) -> None:
    with desk.whole.database.read() as unit:
        before = unit.db.scalar(select(func.count()).select_from(Contact))
    browser = desk.browser("technician")
    offered = browser.get("/tickets/callers?contact_name=erika", **HTMX).text
    assert f'value="{desk.contact.id}"' in offered
    answer = browser.post("/tickets/new", {"contact_id": desk.contact.id, "subject": "Again", "text": "The same.", "queue": desk.queue.id})
    assert answer.status_code == 303
    with desk.whole.database.read() as unit:
        assert unit.db.scalar(select(func.count()).select_from(Contact)) == before
        ticket = unit.db.scalars(select(Ticket).where(Ticket.subject == "Again")).one()
    assert ticket.contact_id == desk.contact.id


def test_a_new_ticket_with_an_error_enters_nothing_at_all(desk: Desk) -> None:
    answer = desk.browser("technician").post("/tickets/new", {
        "contact_name": "", "contact_email": "broken", "organisation_name": "Never Entered AG", "subject": "Kept subject", "text": "Kept text",
        "queue": desk.queue.id})
    assert answer.status_code == 422
    assert "Kept subject" in answer.text and "Kept text" in answer.text
    assert 'id="contact_email-error"' in answer.text
    with desk.whole.database.read() as unit:
        assert unit.db.scalar(select(Organisation).where(Organisation.name == "Never Entered AG")) is None


def test_remote_access_is_asked_of_an_approver(desk: Desk) -> None:
    ticket = desk.ticket(assignee=desk.people["technician"])
    browser = desk.browser("technician")
    page = browser.get(f"/tickets/{ticket.number}/connect")
    assert page.status_code == 200
    assert "Erika Beispiel · erika@muster.example" in page.text
    assert '<option value="support" selected>support</option>' in page.text
    answer = browser.post(f"/tickets/{ticket.number}/connect", {
        "endpoint": desk.endpoint.id, "contact": desk.contact.id, "purpose": "Restart the print service", "scopes": "terminal",
        "user": "support", "minutes": "30", "start_within": "480"})
    assert answer.status_code == 303, answer.text
    with desk.whole.database.read() as unit:
        session = unit.db.scalars(select(RemoteSession).where(RemoteSession.ticket_id == ticket.id)).one()
    assert (session.state, session.os_user, session.max_seconds) == ("requested", "support", 1800)
    shown = browser.get(f"/tickets/{ticket.number}").text
    assert f'id="session-{session.id}"' in shown
    assert "waiting for consent" in shown


@pytest.mark.parametrize(("change", "field"), [
    ({"purpose": " "}, "purpose"), ({"minutes": "many"}, "minutes"), ({"minutes": "100000"}, "minutes"), ({"scopes": ""}, "scopes"),
    ({"user": "nobody-here"}, "user"), ({"user": "root"}, "scopes"),
])
def test_a_question_that_cannot_be_asked_shows_why_beside_the_field(desk: Desk, change: dict[str, object], field: str) -> None:
    ticket = desk.ticket()
    fields: dict[str, object] = {"endpoint": desk.endpoint.id, "contact": desk.contact.id, "purpose": "Look at the spooler",
                                 "scopes": "terminal", "user": "support", "minutes": "30", "start_within": "480"}
    answer = desk.browser("technician").post(f"/tickets/{ticket.number}/connect", {**fields, **change})
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    with desk.whole.database.read() as unit:
        assert unit.db.scalar(select(RemoteSession).where(RemoteSession.ticket_id == ticket.id)) is None


def test_without_an_approver_the_page_says_what_to_do(desk: Desk) -> None:
    with desk.whole.database.write() as unit:
        organisation = make_organisation(unit, name="No Approver AG")
        contact = make_contact(unit, organisation)
        make_endpoint(unit, organisation, responsible=contact)
        ticket = make_ticket(unit, desk.queue, contact=contact)
    page = desk.browser("technician").get(f"/tickets/{ticket.number}/connect").text
    assert "Nobody at No Approver AG may approve yet" in page
    assert "<textarea" not in page


def test_the_customer_of_a_ticket_can_be_set(desk: Desk) -> None:
    with desk.whole.database.write() as unit:
        ticket = make_ticket(unit, desk.queue)
    browser = desk.browser("technician")
    assert desk.contact.id in browser.get(f"/tickets/{ticket.number}/customer?q=erika").text
    assert browser.post(f"/tickets/{ticket.number}/customer", {"contact_id": desk.contact.id}).status_code == 303
    now = desk.reload(ticket)
    assert (now.contact_id, now.organisation_id) == (desk.contact.id, desk.organisation.id)


def test_an_attachment_is_a_download_never_a_page(desk: Desk) -> None:
    ticket = desk.ticket()
    with desk.whole.database.write() as unit:
        entry = unit.db.scalars(select(Entry).where(Entry.ticket_id == ticket.id, Entry.kind == EntryKind.MESSAGE)).one()
        attachment = add_attachment(unit, entry, NewAttachment(name='<b>"übel".html', media_type="text/html", data=b"<script>alert(1)</script>"))
    browser = desk.browser("technician")
    assert "%C3%BCbel" in (answer := browser.get(f"/tickets/{ticket.number}/attachments/{attachment.id}")).headers["content-disposition"]
    assert answer.content == b"<script>alert(1)</script>"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    other = desk.ticket()
    assert browser.get(f"/tickets/{other.number}/attachments/{attachment.id}").status_code == 404


def test_customers_are_entered_changed_and_found(desk: Desk) -> None:
    browser = desk.browser("technician")
    made = browser.post("/customers/new", {"name": "Zimmer & Söhne", "domains": "zimmer.example", "language": "de", "note": "Ring twice."})
    assert made.status_code == 303
    where = made.headers["location"]
    page = browser.get(where).text
    assert "Zimmer &amp; Söhne" in page and "zimmer.example" in page and "Ring twice." in page
    edit = browser.get(f"{where}/edit").text
    version = re.search(r'name="version" value="(\d+)"', edit)
    assert version is not None
    fields = {"name": "Zimmer und Söhne", "domains": "zimmer.example", "version": version.group(1)}
    assert browser.post(f"{where}/edit", fields).status_code == 303
    late = browser.post(f"{where}/edit", {**fields, "name": "Zimmer AG"})
    assert late.status_code == 409
    assert "Zimmer AG" in late.text, "what was typed is still there"
    assert "Zimmer und Söhne" in browser.get("/customers?q=zimmer").text
    person = browser.post("/contacts/new", {"name": "Max Zimmer", "email": "max@zimmer.example", "organisation": where.rsplit("/", 1)[1]})
    assert person.status_code == 303
    assert "Max Zimmer" in browser.get("/customers?view=contacts&q=max").text
    twice = browser.post("/contacts/new", {"name": "Another Max", "email": "max@zimmer.example"})
    assert twice.status_code == 409
    assert browser.post("/customers/new", {"name": "Free", "domains": "gmail.com"}).status_code == 422


def test_the_right_to_approve_is_given_by_a_lead_and_ended(desk: Desk) -> None:
    with desk.whole.database.write() as unit:
        contact = make_contact(unit, desk.organisation, name="Otto Neu", email="otto@muster.example")
    fields: dict[str, object] = {"scopes": ["terminal", "diagnostics"], "until": (
        desk.whole.database.clock.now() + timedelta(days=100)).strftime("%Y-%m-%d")}
    assert desk.browser("technician").post(f"/contacts/{contact.id}/approver", fields).status_code == 403
    lead = desk.browser("lead")
    assert lead.post(f"/contacts/{contact.id}/approver", {**fields, "until": "2099-01-01"}).status_code == 409
    assert lead.post(f"/contacts/{contact.id}/approver", {**fields, "until": "soon"}).status_code == 422
    assert lead.post(f"/contacts/{contact.id}/approver", fields).status_code == 303
    with desk.whole.database.read() as unit:
        right = unit.db.scalars(select(ApproverRight).where(ApproverRight.contact_id == contact.id)).one()
    assert right.scopes == ["terminal", "diagnostics"]
    assert "may approve" in lead.get(f"/contacts/{contact.id}").text
    form = {"name": contact.name, "email": contact.email, "organisation": contact.organisation_id, "phone": "+49 30 999999", "version": contact.version}
    assert desk.browser("technician").post(f"/contacts/{contact.id}/edit", form).status_code == 403
    assert lead.post(f"/contacts/{contact.id}/edit", form).status_code == 303
    assert lead.post(f"/contacts/{contact.id}/approver/{right.id}/end").status_code == 303
    with desk.whole.database.read() as unit:
        assert unit.db.get_one(ApproverRight, right.id).ended_at is not None


def test_an_article_is_written_previewed_published_and_withdrawn(desk: Desk) -> None:
    browser = desk.browser("technician")
    fields: dict[str, object] = {"title": "Spooler does not start", "problem": "CUPS fails", "body": "## Do\n\n<script>x</script> `lpstat -t`",
                                 "language": "en", "internal": "yes"}
    preview = browser.post("/knowledge/preview", fields)
    assert "<h4>Do</h4>" in preview.text
    assert "<script>x" not in preview.text
    kept = browser.post("/knowledge/new", {**fields, "do": "preview"})
    assert kept.status_code == 200 and "Spooler does not start" in kept.text
    assert browser.post("/knowledge/new", {**fields, "title": " "}).status_code == 422
    where = browser.post("/knowledge/new", fields).headers["location"]
    assert desk.browser("auditor").get(where).status_code == 404, "a draft is for those who write"
    assert browser.post(f"{where}/publish").status_code == 303
    assert desk.browser("auditor").get(where).status_code == 200
    assert desk.browser("auditor").post(f"{where}/withdraw").status_code == 403
    late = browser.post(f"{where}/edit", {**fields, "version": 99})
    assert late.status_code == 409
    assert browser.post(f"{where}/edit", {**fields, "body": "Better.", "version": 1}).status_code == 303
    with desk.whole.database.read() as unit:
        article = unit.db.get_one(Article, where.rsplit("/", 1)[1])
    assert (article.state, article.version, article.body) == ("published", 2, "Better.")
    assert browser.post(f"{where}/withdraw").status_code == 303


def test_a_ticket_number_in_the_search_box_leads_to_its_ticket(desk: Desk) -> None:
    ticket = desk.ticket()
    browser = desk.browser("technician")
    assert browser.get(f"/search?q={ticket.number}").headers["location"] == f"/tickets/{ticket.number}"
    assert browser.get("/search").status_code == 200
    assert "Nothing found" in browser.get("/search?q=xyzzyplugh").text
    assert browser.get("/search?q=%00%22%27*(&kind=nonsense&offset=-5").status_code == 200
    assert desk.browser("administrator").get("/search?q=x").status_code == 403


def test_look_and_language_are_kept_and_a_foreign_address_is_not_followed(desk: Desk) -> None:
    browser = desk.browser("auditor")
    answer = browser.post("/preferences", {"theme": "dark", "language": "de", "next": "https://evil.example/"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookies = answer.headers.get_list("set-cookie")
    assert any(cookie.startswith("fernwart-theme=dark") for cookie in cookies)
    with desk.whole.database.read() as unit:
        assert unit.db.get_one(User, desk.people["auditor"].id).language == "de"
    assert '<html lang="de"' in browser.get("/tickets").text
    browser.post("/preferences", {"theme": "pink", "language": "en"})
    with desk.whole.database.read() as unit:
        assert unit.db.get_one(User, desk.people["auditor"].id).theme == "dark"


def test_a_form_without_its_token_changes_nothing(desk: Desk) -> None:
    ticket = desk.ticket()
    with desk.whole.client(desk.whole.cookie_of(desk.people["technician"])) as client:
        answer = client.post(f"/tickets/{ticket.number}/note", data={"text": "forged"})
    assert answer.status_code == 403
    assert len(desk.entries(ticket)) == 1


def test_every_page_names_its_language_title_and_one_heading(desk: Desk) -> None:
    ticket = desk.ticket()
    browser = desk.browser("lead")
    for path in ("/", "/tickets", "/tickets/new", f"/tickets/{ticket.number}", f"/tickets/{ticket.number}/connect", "/customers",
                 f"/customers/{desk.organisation.id}", f"/contacts/{desk.contact.id}", "/knowledge", "/knowledge/new", "/search"):
        page = browser.get(path)
        assert page.status_code == 200, path
        assert re.search(r'<html lang="(en|de)"', page.text), path
        assert re.search(r"<title>\S.*· Fernwart</title>", page.text), path
        assert page.text.count("<h1") == 1, path
        assert page.headers["cache-control"] == "no-store", path
        assert len(page.content) < 60_000, path
