"""What the search index holds of endpoints: name, fingerprint, addresses and system."""

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
        for endpoint in unit.db.scalars(select(Endpoint).order_by(Endpoint.id).execution_options(yield_per=500)):
            yield _of_endpoint(endpoint)


def _of_endpoint(endpoint: Endpoint) -> SearchDocument:
    inventory = endpoint.inventory or {}
    words = [endpoint.fingerprint, *(str(inventory.get(name, "")) for name in ("host_name", "operating_system", "kernel", "processor")),
             *(str(address) for address in inventory.get("addresses", []))]
    return SearchDocument("endpoint", endpoint.id, endpoint.name, "\n".join(word for word in words if word), None, None,
                          endpoint.organisation_id, None, True, endpoint.enrolled_at)
