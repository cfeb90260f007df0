"""What the search index holds of endpoints: name, fingerprint, operating system, addresses."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from orchestrator.core.db import ReadUnit
from orchestrator.core.ports import SearchDocument
from sessions.endpoints.models import Endpoint


class EndpointDocuments:
    kind = "endpoint"

    def document(self, unit: ReadUnit, ref_id: str) -> SearchDocument | None:
        endpoint = unit.db.get(Endpoint, ref_id)
        return _of_endpoint(endpoint) if endpoint is not None else None

    def all_documents(self, unit: ReadUnit) -> Iterator[SearchDocument]:
        for endpoint in unit.db.scalars(select(Endpoint).execution_options(yield_per=500)):
            yield _of_endpoint(endpoint)


def _of_endpoint(endpoint: Endpoint) -> SearchDocument:
    facts = " ".join(str(value) for value in endpoint.inventory.values() if isinstance(value, str | int | list))
    return SearchDocument("endpoint", endpoint.id, endpoint.name, f"{endpoint.fingerprint}\n{facts[:4000]}", None, None,
                          endpoint.organisation_id, None, True, endpoint.enrolled_at)
