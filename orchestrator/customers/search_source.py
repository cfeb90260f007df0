"""What the search index holds of organisations and contacts."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from orchestrator.core.db import ReadUnit
from orchestrator.core.ports import SearchDocument
from orchestrator.customers.models import Contact, Organisation


class OrganisationDocuments:
    kind = "organisation"

    def document(self, unit: ReadUnit, ref_id: str) -> SearchDocument | None:
        organisation = unit.db.get(Organisation, ref_id)
        return _of_organisation(organisation) if organisation is not None else None

    def all_documents(self, unit: ReadUnit) -> Iterator[SearchDocument]:
        for organisation in unit.db.scalars(select(Organisation).execution_options(yield_per=500)):
            yield _of_organisation(organisation)


class ContactDocuments:
    kind = "contact"

    def document(self, unit: ReadUnit, ref_id: str) -> SearchDocument | None:
        contact = unit.db.get(Contact, ref_id)
        return _of_contact(contact) if contact is not None else None

    def all_documents(self, unit: ReadUnit) -> Iterator[SearchDocument]:
        for contact in unit.db.scalars(select(Contact).execution_options(yield_per=500)):
            yield _of_contact(contact)


def _of_organisation(organisation: Organisation) -> SearchDocument:
    return SearchDocument("organisation", organisation.id, organisation.name, f"{organisation.number}\n{organisation.note}",
                          organisation.language, None, organisation.id, None, True, organisation.created_at)


def _of_contact(contact: Contact) -> SearchDocument:
    body = "\n".join(value for value in (contact.email, contact.phone) if value)
    return SearchDocument("contact", contact.id, contact.name, body, contact.language, None, contact.organisation_id, None, True,
                          contact.created_at)
