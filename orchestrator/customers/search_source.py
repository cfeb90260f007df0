"""What customers offer to the search index."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from orchestrator.core.db import ReadUnit
from orchestrator.core.ports import SearchDocument
from orchestrator.customers.addresses import show_phone
from orchestrator.customers.models import Contact, Organisation
from orchestrator.customers.queries import list_domains

_BATCH = 500


class ContactDocuments:
    """One document a person: name, address, number (in both ways of writing), organisation."""

    kind = "contact"

    def document(self, unit: ReadUnit, ref_id: str) -> SearchDocument | None:
        contact = unit.db.get(Contact, ref_id)
        return None if contact is None else self._document(unit, contact)

    def all_documents(self, unit: ReadUnit) -> Iterator[SearchDocument]:
        for contact in unit.db.scalars(select(Contact).order_by(Contact.id).execution_options(yield_per=_BATCH)):
            yield self._document(unit, contact)

    def _document(self, unit: ReadUnit, contact: Contact) -> SearchDocument:
        organisation = unit.db.get(Organisation, contact.organisation_id) if contact.organisation_id else None
        parts = [contact.email or "", contact.phone or "", show_phone(contact.phone) if contact.phone else "",
                 organisation.name if organisation else ""]
        return SearchDocument(
            kind=self.kind, ref_id=contact.id, title=contact.name, body="\n".join(part for part in parts if part),
            language=contact.language, ticket_id=None, organisation_id=contact.organisation_id, queue_id=None, internal=True,
            happened_at=contact.created_at)


class OrganisationDocuments:
    """One document a company: name, customer number, mail domains, note."""

    kind = "organisation"

    def document(self, unit: ReadUnit, ref_id: str) -> SearchDocument | None:
        organisation = unit.db.get(Organisation, ref_id)
        return None if organisation is None else self._document(unit, organisation)

    def all_documents(self, unit: ReadUnit) -> Iterator[SearchDocument]:
        for organisation in unit.db.scalars(select(Organisation).order_by(Organisation.id).execution_options(yield_per=_BATCH)):
            yield self._document(unit, organisation)

    def _document(self, unit: ReadUnit, organisation: Organisation) -> SearchDocument:
        body = "\n".join([organisation.number, " ".join(list_domains(unit, organisation.id)), organisation.note])
        return SearchDocument(
            kind=self.kind, ref_id=organisation.id, title=organisation.name, body=body, language=organisation.language, ticket_id=None,
            organisation_id=organisation.id, queue_id=None, internal=True, happened_at=organisation.created_at)
