"""Sample data of the demo: two organisations, contacts with and without the right to approve, technicians, queues, articles
in German and English, a dozen tickets with history. Made once, through the same services that the pages use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM, Actor, Role
from orchestrator.accounts.models import User
from orchestrator.accounts.passwords import hash_password
from orchestrator.accounts.queries import actor_for_user, find_user_by_email
from orchestrator.accounts.secret_box import prepare_secret_box, set_totp_secret
from orchestrator.accounts.service import add_user
from orchestrator.core.clock import FixedClock, SystemClock
from orchestrator.core.db import Database, WriteUnit
from orchestrator.core.events import Events
from orchestrator.core.settings import Settings
from orchestrator.core.signals import MemorySignals
from orchestrator.customers.approvers import set_approver
from orchestrator.customers.models import Contact, Organisation
from orchestrator.customers.service import create_contact, create_organisation
from orchestrator.knowledge.service import note_use, publish_article, write_article
from orchestrator.tickets.assign import assign_ticket
from orchestrator.tickets.models import Level, Medium, Queue, Status, Ticket
from orchestrator.tickets.queues import add_member, create_queue
from orchestrator.tickets.reply import reply_to_customer, write_note
from orchestrator.tickets.service import open_ticket
from orchestrator.tickets.status import change_status
from sessions.endpoints.service import create_enrolment_token
from sessions.keys import open_keys
from web.demo.articles import ARTICLES
from web.demo.logins import DemoLogins

MUSTER = "Muster GmbH"
SAMPLE = "Sample Ltd"


@dataclass(frozen=True, slots=True)
class _Story:
    """One sample ticket: ``age_hours`` ago it was opened; ``steps`` happened at the given hours afterwards."""

    contact: str
    queue: str
    subject: str
    text: str
    age_hours: float
    impact: Level = Level.MEDIUM
    urgency: Level = Level.MEDIUM
    medium: Medium = Medium.MAIL
    steps: tuple[tuple[float, str, str, str], ...] = ()


STORIES = (
    _Story("erika@muster.example", "Server", "Druckerwarteschlange hängt seit dem Update, niemand kann drucken",
           "Guten Morgen,\n\nseit dem Update heute Nacht druckt bei uns nichts mehr. Am Server steht „Spooler angehalten“.\n\nViele Grüße\nErika Beispiel",
           2, Level.HIGH, Level.MEDIUM),
    _Story("alice@sample.example", "Service desk", "Print queue on the first floor is stuck",
           "Hello,\n\njobs go into the print queue and never come out. Restarting my PC did not help.\n\nAlice", 5, Level.MEDIUM, Level.HIGH,
           steps=((0.5, "jana@fernwart.example", "assign", ""),
                  (0.6, "jana@fernwart.example", "note", "Same floor as last month; the spool folder belonged to the wrong group then."))),
    _Story("max@muster.example", "Service desk", "VPN trennt alle zehn Minuten", "Hallo, die VPN-Verbindung trennt sich im Homeoffice alle zehn Minuten.", 26,
           steps=((1, "tom@fernwart.example", "assign", ""),
                  (1.2, "tom@fernwart.example", "reply", "Guten Tag Herr Muster,\n\nwelche Version des VPN-Clients zeigt das Fenster „Info“ an?"),
                  (1.3, "tom@fernwart.example", "waiting_customer", ""))),
    _Story("bob@sample.example", "Server", "Backup reports: volume almost full", "The nightly backup mail says that the volume is 97 % full.", 30,
           Level.HIGH, Level.HIGH, steps=((0.2, "jana@fernwart.example", "assign", ""),
                                          (0.5, "jana@fernwart.example", "reply", "Hello Bob,\n\nI am looking into it now."))),
    _Story("erika@muster.example", "Service desk", "Neues Postfach für Auszubildende", "Bitte ein Postfach für Lena Neu ab 1. Dezember anlegen.", 50,
           Level.LOW, Level.LOW, Medium.PHONE),
    _Story("max@muster.example", "Service desk", "Monitor flackert", "Mein zweiter Monitor flackert, wenn der Drucker anläuft.", 72, Level.LOW, Level.MEDIUM),
    _Story("alice@sample.example", "Service desk", "Cannot open shared calendar", "Since this morning the shared calendar of sales is empty.", 76,
           steps=((2, "tom@fernwart.example", "assign", ""), (3, "tom@fernwart.example", "reply", "Hello Alice,\n\nplease restart Outlook once more."),
                  (4, "tom@fernwart.example", "resolved", ""))),
    _Story("erika@muster.example", "Server", "Drucken nach Update nicht möglich", "Nach dem Update lässt sich nichts drucken, Warteschlange angehalten.", 480,
           Level.HIGH, Level.MEDIUM, steps=((0.3, "jana@fernwart.example", "assign", ""),
                                            (1, "jana@fernwart.example", "note", "Gruppe von /var/spool/cups war falsch, chgrp lp, Warteschlange gestartet."),
                                            (1.1, "jana@fernwart.example", "reply", "Guten Tag Frau Beispiel,\n\ndie Warteschlange läuft wieder."),
                                            (1.2, "jana@fernwart.example", "resolved", ""), (20, "lea@fernwart.example", "closed", ""))),
    _Story("bob@sample.example", "Server", "Web server answers slowly", "Our shop needs 10 seconds for a page.", 200, Level.HIGH, Level.MEDIUM,
           steps=((0.4, "tom@fernwart.example", "assign", ""), (2, "tom@fernwart.example", "reply", "Hello Bob,\n\na log had filled the disk. It is fast again."),
                  (2.1, "tom@fernwart.example", "resolved", ""))),
    _Story("max@muster.example", "Service desk", "Passwort abgelaufen", "Ich komme nicht mehr in mein Konto, das Passwort ist abgelaufen.", 120,
           steps=((0.1, "jana@fernwart.example", "assign", ""), (0.2, "jana@fernwart.example", "reply", "Guten Tag Herr Muster,\n\nbitte jetzt noch einmal versuchen."),
                  (0.3, "jana@fernwart.example", "resolved", ""))),
    _Story("alice@sample.example", "Server", "Certificate of the intranet expires", "The browser warns about the certificate of intranet.sample.example.", 12,
           Level.MEDIUM, Level.MEDIUM),
    _Story("erika@muster.example", "Service desk", "Scanner legt Dateien falsch ab", "Der Scanner im Flur legt alle Dateien im Ordner „Alt“ ab.", 8),
)


def fill_desk(database: Database, settings: Settings, logins: DemoLogins) -> None:
    """Fill an empty desk; a desk that has people already is left as it is."""
    with database.read() as unit:
        if unit.db.scalar(select(User.id).limit(1)) is not None:
            return
    now = SystemClock().now()
    clock = FixedClock(now - timedelta(days=30))
    past = Database(settings.sqlalchemy_url, events=Events(), clock=clock)
    prepare_secret_box(past, settings.data_dir)
    _register(past.events)
    try:
        with past.write() as unit:
            _make_people(unit, logins)
            _make_customers(unit)
            _write_articles(unit)
        for story in sorted(STORIES, key=lambda told: -told.age_hours):
            clock.moment = now - timedelta(hours=story.age_hours)
            with past.write() as unit:
                number = _open(unit, story)
            for hours, who, what, text in story.steps:
                clock.moment = now - timedelta(hours=story.age_hours - hours)
                with past.write() as unit:
                    _take_step(unit, number, who, what, text)
        with past.write() as unit:
            _link_article(unit)
            _drop_old_mails(unit)
    finally:
        past.dispose()


def _register(events: Events) -> None:
    import orchestrator.search.index

    orchestrator.search.index.register(events, MemorySignals())


def _user(unit: WriteUnit, email: str) -> tuple[User, Actor]:
    user = find_user_by_email(unit, email)
    assert user is not None
    return user, actor_for_user(unit, user)


def _contact(unit: WriteUnit, email: str) -> Contact:
    return unit.db.execute(select(Contact).where(Contact.email == email)).scalar_one()


def _queue(unit: WriteUnit, name: str) -> Queue:
    return unit.db.execute(select(Queue).where(Queue.name == name)).scalar_one()


def _make_people(unit: WriteUnit, logins: DemoLogins) -> None:
    for login in logins.logins:
        user, _unused_link = add_user(unit, SYSTEM, email=login.email, name=login.name, roles=login.roles, language=login.language)
        user.password_hash = hash_password(login.password)
        set_totp_secret(unit, user, login.totp_secret)
    desk = create_queue(unit, SYSTEM, name="Service desk", address="support@fernwart.example")
    server = create_queue(unit, SYSTEM, name="Server", address="server@fernwart.example")
    for login in logins.logins:
        if Role.TECHNICIAN in login.roles or Role.LEAD in login.roles:
            user, _actor = _user(unit, login.email)
            for queue in (desk, server):
                add_member(unit, SYSTEM, queue.id, user.id)


def _make_customers(unit: WriteUnit) -> None:
    lead = _user(unit, "lea@fernwart.example")[1]
    muster = create_organisation(unit, SYSTEM, name=MUSTER, domains=["muster.example"], language="de")
    sample = create_organisation(unit, SYSTEM, name=SAMPLE, domains=["sample.example"], language="en")
    erika = create_contact(unit, SYSTEM, name="Erika Beispiel", email="erika@muster.example", phone="+49 7433 300980", organisation_id=muster.id)
    create_contact(unit, SYSTEM, name="Max Muster", email="max@muster.example", organisation_id=muster.id)
    create_contact(unit, SYSTEM, name="Muster GmbH, Zentrale", email="info@muster.example", organisation_id=muster.id, shared_mailbox=True)
    alice = create_contact(unit, SYSTEM, name="Alice Sample", email="alice@sample.example", phone="+44 20 7946 0123", organisation_id=sample.id)
    create_contact(unit, SYSTEM, name="Bob Sample", email="bob@sample.example", organisation_id=sample.id)
    until = unit.now + timedelta(days=330)
    for contact in (erika, alice):
        set_approver(unit, lead, contact.id, scopes=["diagnostics", "terminal", "terminal.admin"], until=until)


def _write_articles(unit: WriteUnit) -> None:
    author = _user(unit, "jana@fernwart.example")[1]
    for group in ARTICLES:
        group_id: str | None = None
        for text in group:
            article = write_article(unit, author, title=text.title, problem=text.problem, body=text.body, language=text.language,
                                    internal=text.internal, group_id=group_id)
            group_id = article.group_id
            publish_article(unit, author, article.id)


def _open(unit: WriteUnit, story: _Story) -> str:
    contact = _contact(unit, story.contact)
    organisation = unit.db.get(Organisation, contact.organisation_id)
    ticket, _entry = open_ticket(
        unit, SYSTEM, subject=story.subject, text=story.text, queue_id=_queue(unit, story.queue).id, contact_id=contact.id,
        organisation_id=contact.organisation_id, medium=story.medium, impact=story.impact, urgency=story.urgency,
        language=(organisation.language if organisation else None) or "de", author=contact)
    return ticket.number


def _take_step(unit: WriteUnit, number: str, who: str, what: str, text: str) -> None:
    user, actor = _user(unit, who)
    ticket = unit.db.execute(select(Ticket).where(Ticket.number == number)).scalar_one()
    match what:
        case "assign":
            assign_ticket(unit, actor, ticket, user.id)
        case "reply":
            reply_to_customer(unit, actor, ticket, text=text)
        case "note":
            write_note(unit, actor, ticket, text=text)
        case _:
            change_status(unit, actor, ticket, Status(what))


def _link_article(unit: WriteUnit) -> None:
    from orchestrator.knowledge.models import Article

    actor = _user(unit, "jana@fernwart.example")[1]
    article = unit.db.execute(select(Article).where(Article.title.like("Spooler%"))).scalar_one()
    ticket = unit.db.execute(select(Ticket).where(Ticket.subject == "Drucken nach Update nicht möglich")).scalar_one()
    note_use(unit, actor, article.id, ticket.id, helped=True)


def _drop_old_mails(unit: WriteUnit) -> None:
    """The history's mails were never due to leave: mark them sent, so that the inbox begins empty."""
    from orchestrator.notifications.models import OutgoingMail

    for mail in unit.db.scalars(select(OutgoingMail).where(OutgoingMail.state == "due")):
        mail.state = "sent"
        mail.sent_at = mail.created_at
        mail.sealed = None


def renew_enrolment(database: Database, settings: Settings) -> str | None:
    """Make an enrolment token for the local agent (accepted by itself, once), or None when it is enrolled already."""
    if (settings.data_dir / "agent").exists():
        return None
    with database.write() as unit:
        organisation = unit.db.execute(select(Organisation).where(Organisation.name == MUSTER)).scalar_one()
        keys = open_keys(unit, settings.data_dir).keys
        return create_enrolment_token(unit, SYSTEM, organisation_id=organisation.id, uses=1, auto_accept=True, endpoint_class="server",
                                      responsible="erika@muster.example", server_fingerprint=keys.fingerprint)
