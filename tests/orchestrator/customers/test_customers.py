"""Organisations and contacts: entering, changing, finding, and the language to write in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.accounts.actor import SYSTEM, Actor, ActorKind, Role
from orchestrator.accounts.desk import publish_desk_facts
from orchestrator.core.db import Database
from orchestrator.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from orchestrator.core.settings import Settings
from orchestrator.customers.addresses import find_phone, normalise_address, normalise_domain, normalise_phone, show_phone
from orchestrator.customers.changes import change_contact, mark_left
from orchestrator.customers.queries import (
    find_contact_by_address,
    find_contacts_by_phone,
    find_organisation_by_domain,
    find_organisation_by_name,
    get_contact,
    get_organisation,
    language_of,
    list_contacts,
    list_domains,
    list_organisations,
)
from orchestrator.customers.search_source import ContactDocuments, OrganisationDocuments
from orchestrator.customers.service import change_organisation, create_contact, create_organisation
from tests.builders import actor_of, make_approver, make_contact, make_organisation, make_user


@pytest.mark.parametrize(("written", "stored"), [
    ("0221 / 123456", "+49221123456"), ("+49 (0)221 123456", "+49221123456"), ("0049 221 123456", "+49221123456"),
    ("07433/30098-0", "+497433300980"), ("+44 20 7946 0123", "+442079460123"), ("0170 1234567", "+491701234567"),
])
def test_phone_numbers_are_stored_in_one_form(written: str, stored: str) -> None:
    assert normalise_phone(written) == stored
    assert normalise_phone(show_phone(stored)) == stored


@pytest.mark.parametrize("written", ["", "hello", "12", "+1", "0" * 61, "++", "\x00"])
def test_what_is_no_number_is_refused(written: str) -> None:
    assert find_phone(written) is None
    with pytest.raises(InvalidInput):
        normalise_phone(written)


@pytest.mark.parametrize(("written", "stored"), [
    (" Erika@Muster.Example ", "erika@muster.example"), ("a@MÜLLER.example", "a@xn--mller-kva.example"),
    ("jörg@muster.example", "jörg@muster.example"),
])
def test_addresses_are_stored_in_one_form(written: str, stored: str) -> None:
    assert normalise_address(written) == stored


@pytest.mark.parametrize("written", ["", "a", "@b.example", "a@", "a b@c.example", "a@b..example", "a@b\nc", "<a@b.example>", "a@b@c.example",
                                     "a@-b.example", "x" * 65 + "@b.example"])
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(InvalidInput):
        normalise_address(written)


@given(st.text(max_size=80))
def test_no_text_breaks_the_readers_of_addresses(text: str) -> None:
    find_phone(text)
    for reader in (normalise_address, normalise_domain):
        try:
            assert reader(reader(text)) == reader(text)
        except InvalidInput:
            continue


def test_an_organisation_gets_a_number_and_its_domains(database: Database) -> None:
    with database.write() as unit:
        first = create_organisation(unit, SYSTEM, name="  Muster   GmbH ", domains=["Muster.example", "@muster-gmbh.example"], language="de")
        second = create_organisation(unit, SYSTEM, name="Sample Ltd")
        assert (first.name, first.number, second.number) == ("Muster GmbH", "K-10001", "K-10002")
        assert list_domains(unit, first.id) == ["muster-gmbh.example", "muster.example"]
        with pytest.raises(Conflict):
            create_organisation(unit, SYSTEM, name="Andere", domains=["muster.example"])
        for domain in ("gmail.com", "GMX.de", "not a domain"):
            with pytest.raises(InvalidInput):
                create_organisation(unit, SYSTEM, name="Andere", domains=[domain])
        with pytest.raises(InvalidInput):
            create_organisation(unit, SYSTEM, name="  ")


def test_organisations_are_found_by_mail_domain_but_never_by_a_free_mail_domain(database: Database) -> None:
    with database.write() as unit:
        organisation = create_organisation(unit, SYSTEM, name="Muster", domains=["muster.example"])
        assert find_organisation_by_domain(unit, "muster.example") is organisation
        assert find_organisation_by_domain(unit, "Berlin.MUSTER.example") is organisation
        assert find_organisation_by_domain(unit, "erika@muster.example") is organisation
        for domain in ("evilmuster.example", "example", "gmail.com", "x.gmail.com", "", "\x00"):
            assert find_organisation_by_domain(unit, domain) is None
        assert find_organisation_by_name(unit, "MUSTER") is organisation


def test_changing_an_organisation_tells_whoever_had_an_older_version(database: Database) -> None:
    with database.write() as unit:
        organisation = create_organisation(unit, SYSTEM, name="Muster", domains=["a.example", "b.example"], language="de")
        change_organisation(unit, SYSTEM, organisation.id, name="Muster AG", domains=["b.example", "c.example"], language="", version=1)
        assert (organisation.name, organisation.language, organisation.version) == ("Muster AG", None, 2)
        assert list_domains(unit, organisation.id) == ["b.example", "c.example"]
        with pytest.raises(Conflict):
            change_organisation(unit, SYSTEM, organisation.id, name="Andere", version=1)
        with pytest.raises(NotFound):
            change_organisation(unit, SYSTEM, "018f0000-0000-7000-8000-000000000000", name="x")


def test_only_who_gives_the_right_to_approve_marks_an_organisation_internal(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        technician, lead = actor_of(make_user(unit)), actor_of(make_user(unit, roles=(Role.LEAD,)))
        with pytest.raises(Forbidden):
            create_organisation(unit, technician, name="Wir", internal=True)
        organisation = create_organisation(unit, technician, name="Wir")
        with pytest.raises(Forbidden):
            change_organisation(unit, technician, organisation.id, internal=True)
        assert change_organisation(unit, lead, organisation.id, internal=True).internal


def test_a_contact_needs_something_to_be_known_by(database: Database, settings: Settings) -> None:
    with database.write() as unit:
        publish_desk_facts(unit, settings)
        assert create_contact(unit, SYSTEM, name="", phone="0221 123456").name == "+49221123456"
        assert create_contact(unit, SYSTEM, name=" ", email="A@b.example").name == "a@b.example"
        with pytest.raises(InvalidInput):
            create_contact(unit, SYSTEM, name=" ")
        with pytest.raises(Conflict):
            create_contact(unit, SYSTEM, name="Zweiter", email="a@B.example")
        with pytest.raises(InvalidInput) as refused:
            create_contact(unit, SYSTEM, name="Wir", email="support@desk.example")
        assert refused.value.field == "email"
        with pytest.raises(InvalidInput):
            create_contact(unit, SYSTEM, name="x", organisation_id="018f0000-0000-7000-8000-000000000000")


def test_the_same_address_entered_many_times_at_once_is_one_contact(database: Database) -> None:
    def enter(_: int) -> bool:
        try:
            with database.write() as unit:
                create_contact(unit, SYSTEM, name="Erika", email="erika@muster.example")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(enter, range(8))) == 1


def test_a_contact_changes_field_by_field(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        contact = make_contact(unit, make_organisation(unit), email="a@muster.example", phone="+49221123456", language="de")
        change_contact(unit, SYSTEM, contact.id, phone="", language="en", name=" Erika  Neu ", version=1)
        assert (contact.phone, contact.language, contact.name, contact.email, contact.version) == (None, "en", "Erika Neu", "a@muster.example", 2)
        change_contact(unit, SYSTEM, contact.id, name="Erika Neu")
        assert contact.version == 2
        with pytest.raises(Conflict):
            change_contact(unit, SYSTEM, contact.id, name="x", version=1)
        make_contact(unit, email="b@muster.example")
        with pytest.raises(Conflict):
            change_contact(unit, SYSTEM, contact.id, email="B@muster.example")


def test_contacts_are_found_by_name_address_number_and_organisation(database: Database) -> None:
    with database.write() as unit:
        lead = make_user(unit, roles=(Role.LEAD,))
        muster, sample = make_organisation(unit, name="Muster GmbH"), make_organisation(unit, name="Sample Ltd")
        erika = make_contact(unit, muster, name="Erika Müller", email="erika@muster.example", phone="+497433300980")
        max_ = make_contact(unit, muster, name="Max Muster", email="max_100%@muster.example")
        alice = make_contact(unit, sample, name="Alice Sample", email="alice@sample.example", phone="+442079460123")
        make_approver(unit, erika, lead)
        gone = make_contact(unit, muster, name="Udo Weg")
        mark_left(unit, SYSTEM, gone.id)

        def found(query: str) -> list[str]:
            return [row.contact.name for row in list_contacts(unit, SYSTEM, query=query).items]

        assert found("erika") == found("ERIKA muster") == found("Müller") == ["Erika Müller"]
        assert found("gmbh") == ["Erika Müller", "Max Muster"]
        assert found("07433 30098-0") == found("+49 7433 300980") == found("300980") == ["Erika Müller"]
        assert found("0100%") == []
        assert found("_") == ["Max Muster"]
        assert found("100%") == ["Max Muster"]
        assert found("nobody") == found("erika sample") == []
        assert [row.contact.name for row in list_contacts(unit, SYSTEM, query="udo", with_left=True).items] == ["Udo Weg"]
        assert {row.contact.id: row.is_approver for row in list_contacts(unit, SYSTEM, organisation_id=muster.id).items} == {
            erika.id: True, max_.id: False}
        assert find_contact_by_address(unit, " ALICE@sample.example") is alice
        assert find_contacts_by_phone(unit, "020 7946 0123") == []
        assert list(find_contacts_by_phone(unit, "0044 20 7946 0123")) == [alice]


def test_lists_of_customers_page_without_gap_or_double(database: Database) -> None:
    with database.write() as unit:
        for index in range(23):
            organisation = make_organisation(unit, name=f"Gleich {index % 4}")
            make_contact(unit, organisation, name=f"Name {index % 5}" + "ü" * 150)
        for read in (lambda cursor: list_organisations(unit, SYSTEM, cursor=cursor, limit=5),
                     lambda cursor: list_contacts(unit, SYSTEM, cursor=cursor, limit=5)):
            seen: list[str] = []
            cursor: str | None = None
            while True:
                page = read(cursor)
                seen += [getattr(item, "contact", item).id for item in page.items]
                cursor = page.next
                if cursor is None:
                    break
                assert len(cursor) <= 200
            assert len(seen) == len(set(seen)) == 23


def test_organisations_are_found_by_name_number_and_domain(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        organisation = create_organisation(unit, SYSTEM, name="Müller & Söhne", domains=["muellers.example"])
        for query in ("müller", "söhne müller", "K-10001", "muellers.ex"):
            assert [one.id for one in list_organisations(unit, SYSTEM, query=query).items] == [organisation.id]
        assert list_organisations(unit, SYSTEM, query="meier").items == []


def test_customers_are_seen_by_those_who_may(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        organisation, other = make_organisation(unit), make_organisation(unit)
        contact, colleague = make_contact(unit, organisation), make_contact(unit, organisation)
        itself = Actor(kind=ActorKind.CONTACT, id=contact.id, name="x", organisation_id=organisation.id)
        for role in (Role.TECHNICIAN, Role.LEAD, Role.AUDITOR):
            assert get_contact(unit, actor_of(make_user(unit, roles=(role,))), contact.id) is contact
        assert get_contact(unit, itself, contact.id) is contact
        assert get_organisation(unit, itself, organisation.id) is organisation
        with pytest.raises(NotFound):
            get_contact(unit, itself, colleague.id)
        with pytest.raises(NotFound):
            get_organisation(unit, itself, other.id)
        administrator = actor_of(make_user(unit, roles=(Role.ADMINISTRATOR,)))
        auditor = actor_of(make_user(unit, roles=(Role.AUDITOR,)))
        for refused in (lambda: get_contact(unit, administrator, contact.id), lambda: list_contacts(unit, administrator),
                        lambda: list_organisations(unit, itself), lambda: create_contact(unit, auditor, name="x"),
                        lambda: change_contact(unit, auditor, contact.id, name="x")):
            with pytest.raises(Forbidden):
                refused()
        with pytest.raises(NotFound):
            get_contact(unit, SYSTEM, "nonsense")


@pytest.mark.parametrize(("contact", "organisation", "detected", "expected"), [
    ("en", "de", "de", "en"), (None, "en", "de", "en"), (None, None, "en", "en"), (None, None, None, "de"), (None, None, "fr", "de"),
    ("fr", "en", None, "en"), ("de-AT", None, "en", "de"),
])
def test_the_language_is_the_contacts_then_the_organisations_then_the_detected_one(
        sqlite_database: Database, sqlite_settings: Settings, contact: str | None, organisation: str | None, detected: str | None,
        expected: str) -> None:
    with sqlite_database.write() as unit:
        company = make_organisation(unit, language=organisation)
        person = make_contact(unit, company, language=contact)
        assert language_of(person, company, detected, sqlite_settings) == expected
        assert language_of(person, company, detected, "de") == expected
    assert language_of(None, None, detected, "en") == (detected if detected in ("de", "en") else "en")


def test_customers_offer_what_is_searched_for(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        organisation = create_organisation(unit, SYSTEM, name="Muster GmbH", domains=["muster.example"])
        contact = create_contact(unit, SYSTEM, name="Erika", email="erika@muster.example", phone="0221123456", organisation_id=organisation.id)
        document = ContactDocuments().document(unit, contact.id)
        assert document is not None and all(word in document.body for word in ("erika@muster.example", "+49 221 123456", "Muster GmbH"))
        assert [one.ref_id for one in OrganisationDocuments().all_documents(unit)] == [organisation.id]
        assert ContactDocuments().document(unit, "018f0000-0000-7000-8000-000000000000") is None
