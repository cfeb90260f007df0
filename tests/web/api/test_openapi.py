"""The OpenAPI document is whole: every operation says what it does, what it takes and what it answers."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from tests.web.api.office import Office


@pytest.fixture(scope="module")
def document(office: Office) -> dict[str, Any]:
    return httpx.get(f"{office.whole.url}/api/v1/openapi.json").json()


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, operation) for path, methods in document["paths"].items() for method, operation in methods.items()]


def test_every_operation_has_a_sentence_and_an_id_of_its_own(document: dict[str, Any]) -> None:
    operations = _operations(document)
    ids = [operation["operationId"] for _path, _method, operation in operations]
    assert len(ids) == len(set(ids)) > 40
    for path, method, operation in operations:
        assert len(operation["summary"]) > 8, f"{method} {path}"
        assert operation["tags"], f"{method} {path}"


def test_every_operation_describes_its_answers_and_its_errors(document: dict[str, Any]) -> None:
    for path, method, operation in _operations(document):
        assert operation["responses"]["default"]["content"]["application/problem+json"]["schema"]["$ref"].endswith("/Problem"), path
        good = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        assert len(good) == 1, f"{method} {path}"
        assert method == "delete" or any("schema" not in kind or kind["schema"] for kind in good[0]["content"].values()), f"{method} {path}"


def test_every_post_takes_an_idempotency_key(document: dict[str, Any]) -> None:
    for path, method, operation in _operations(document):
        headers = {parameter["name"].lower() for parameter in operation.get("parameters", []) if parameter["in"] == "header"}
        assert ("idempotency-key" in headers) == (method == "post"), f"{method} {path}"
        assert ("if-match" in headers) == (method in ("patch", "put")), f"{method} {path}"


def test_every_list_answers_items_and_next_and_takes_a_cursor(document: dict[str, Any]) -> None:
    lists = 0
    for path, method, operation in _operations(document):
        schema = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
        shape = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
        if method == "get" and "items" in shape.get("properties", {}):
            lists += 1
            assert shape["required"] == ["items", "next"], path
            assert {"cursor", "limit"} <= {parameter["name"] for parameter in operation["parameters"]}, path
    assert lists == 15


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references <= set(document["components"]["schemas"])
    assert not {"HTTPValidationError", "ValidationError"} & set(document["components"]["schemas"])


def test_the_names_that_interface_and_clients_rely_on_are_there(document: dict[str, Any]) -> None:
    """Written by hand from the description of the interface."""
    shapes = document["components"]["schemas"]
    assert {"subject", "text", "queue", "contact_id", "contact", "organisation_id"} <= set(shapes["NewTicket"]["properties"])
    assert set(shapes["NewTicket"]["required"]) == {"subject", "text"}
    assert {"name", "domains"} <= set(shapes["NewOrganisation"]["properties"])
    assert {"name", "email", "organisation_id", "language"} <= set(shapes["NewContact"]["properties"])
    assert {"scopes", "until"} <= set(shapes["NewApprover"]["properties"])
    assert set(shapes["EndpointAcceptance"]["required"]) == {"fingerprint", "class", "responsible"}
    assert {"id", "name", "organisation_id", "online", "last_seen_at"} <= set(shapes["EndpointShape"]["properties"])
    assert {"endpoint_id", "contact_id", "purpose", "scopes", "user", "minutes", "start_within_minutes", "recording", "method"} <= set(
        shapes["NewSession"]["properties"])
    assert {"id", "state"} <= set(shapes["SessionShape"]["properties"])
    assert {"kind", "columns", "rows"} <= set(shapes["NewChannel"]["properties"])
    assert {"id", "kind", "state", "console"} <= set(shapes["ChannelShape"]["properties"])
    assert {"line", "directory", "exit_status", "started_at", "seconds", "source", "channel_id"} <= set(shapes["CommandShape"]["properties"])
    assert set(shapes["SessionEnd"]["properties"]) == {"summary"}
    for path in ("/tickets", "/tickets/{number}", "/tickets/{number}/entries", "/tickets/{number}/sessions", "/tickets/take-next", "/organisations",
                 "/contacts", "/endpoints", "/enrolment-tokens", "/sessions/{session_id}", "/sessions/{session_id}/end",
                 "/sessions/{session_id}/channels", "/sessions/{session_id}/commands", "/sessions/{session_id}/events",
                 "/sessions/{session_id}/recordings/{channel_id}.cast", "/consents/{consent_id}", "/articles", "/search", "/audit"):
        assert f"/api/v1{path}" in document["paths"], path
