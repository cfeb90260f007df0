"""Whatever comes in, the API answers with problem details, never with an error of ours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from orchestrator.core.ids import new_id
from tests.web.api.office import Office, problem

ODD_PATHS = ("%00", "..%2f..%2fetc%2fpasswd", "%F0%9F%90%99" * 80, "'; drop table tickets;--", "%0d%0aSet-Cookie:a=b", "%ff%fe")
ODD_TEXTS = ("", "a\x00b", "x" * 5000, "%s\u202e\U0001f419", "' or 1=1 --", "-1")
ODD_JSON = (
    b"", b"{", b"null", b"[5]", b"[" * 100_000, b"\xff\xfe", b'{"a": NaN}', b'{"a": ' + b"9" * 5000 + b"}",
    b'{"subject": "\\u0000", "text": "\\u0000", "name": "\\u0000"}', b'{"name": "\\ud800", "subject": "\\ud800", "text": "a"}',
)


def _routes(office: Office) -> Iterator[tuple[str, str]]:
    for route in iter_route_contexts(office.whole.app.routes):
        if isinstance(route.original_route, APIRoute) and (route.path or "").startswith("/api/v1/") and route.methods:
            assert route.path
            yield from ((method, route.path.removeprefix("/api/v1")) for method in route.methods if route.name != "api:openapi")


def _filled(pattern: str, value: str) -> str:
    return re.sub(r"\{\w+\}", lambda _match: value, pattern)


def _check(answer: httpx.Response, what: str) -> None:
    assert answer.status_code < 500, f"{what}: {answer.status_code} {answer.text}"
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json", what
        body = answer.json()
        assert body["status"] == answer.status_code and body["title"] and body["type"].startswith("urn:fernwart:problem:"), what


def test_odd_addresses_are_not_found_and_break_nothing(each_office: Office) -> None:
    api = each_office.api("lead")
    for method, pattern in _routes(each_office):
        if "{" not in pattern:
            continue
        for odd in ODD_PATHS:
            answer = api.request(method, _filled(pattern, odd), json=_body_for(pattern) if method != "GET" else None)
            _check(answer, f"{method} {pattern} {odd[:30]!r}")
            assert answer.status_code in (404, 405, 409, 422), f"{method} {pattern} {odd[:30]!r}: {answer.status_code}"


def _body_for(pattern: str) -> dict[str, Any]:
    bodies: dict[str, dict[str, Any]] = {
        "/entries": {"kind": "note", "text": "a"}, "/accept": {"fingerprint": "a", "class": "server", "responsible": "a@b.example"},
        "/channels": {"kind": "shell"}, "/approver": {"scopes": ["terminal"], "until": "2027-01-01T00:00:00Z"},
        "/sessions": {"endpoint_id": new_id(), "purpose": "a", "scopes": ["terminal"], "user": "a", "minutes": 5},
        "/{article_id}": {"title": "a", "version": 1}, "/{endpoint_id}": {"responsible": "a@b.example"},
    }
    return next((body for ending, body in bodies.items() if pattern.endswith(ending)), {})


def test_odd_queries_break_nothing(each_office: Office) -> None:
    """Every query parameter that the API describes, with every odd text."""
    api, ids = each_office.api("lead"), each_office.ticket().number
    asked = 0
    for path, operations in api.get("/openapi.json").json()["paths"].items():
        for parameter in operations.get("get", {}).get("parameters", []):
            if parameter["in"] == "query":
                for odd in ODD_TEXTS:
                    what = f"{path}?{parameter['name']}={odd[:20]!r}"
                    _check(api.get(_filled(path.removeprefix("/api/v1"), ids), params={parameter["name"]: odd}), what)
                    asked += 1
    assert asked > 200


def test_bodies_that_are_no_bodies_are_refused_and_break_nothing(each_office: Office) -> None:
    api = each_office.api("lead")
    number = each_office.ticket().number
    posts = [(method, _filled(pattern, number)) for method, pattern in _routes(each_office) if method in ("POST", "PATCH", "PUT")]
    assert len(posts) > 15
    for method, path in posts:
        for odd in ODD_JSON:
            answer = api.request(method, path, content=odd, headers={"content-type": "application/json"})
            _check(answer, f"{method} {path} {odd[:40]!r}")


def test_texts_that_no_database_stores_are_stored_marked(each_office: Office) -> None:
    api = each_office.api()
    made = api.post("/tickets", json={"subject": "a\x00b", "text": "c\x00d"})
    assert made.status_code == 201, made.text
    assert made.json()["subject"] == "a\ufffdb"
    number = made.json()["number"]
    assert api.get(f"/tickets/{number}/entries").json()["items"][0]["text"] == "c\ufffdd"
    note = api.post(f"/tickets/{number}/entries", json={"kind": "note", "text": "e\x00f {{7*7}} <b>"})
    assert note.json()["text"] == "e\ufffdf {{7*7}} <b>"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""])
def test_a_body_that_does_not_call_itself_json_is_refused(office: Office, content_type: str) -> None:
    body = json.dumps({"name": "Form"}).encode()
    answer = office.api().post("/organisations", content=body, headers={"content-type": content_type} if content_type else {})
    problem(answer, 400 if "multipart" in content_type else 422)


def test_unknown_addresses_and_methods_are_problems_too(office: Office) -> None:
    problem(office.api().get("/nothing"), 404)
    problem(office.api().get("/tickets/"), 404)
    problem(office.api().delete("/tickets"), 405)
    problem(httpx.get(f"{office.whole.url}/api/v2/tickets"), 404)


def test_nobody_and_wrong_tokens_are_told_to_authenticate(office: Office) -> None:
    good = office.whole.token_of(office.people["technician"])["Authorization"].removeprefix("Bearer ")
    for headers in ({}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Bearer x"}, {"Authorization": "Basic YTpi"},
                    {"Authorization": f"Token {good}"}, {"Authorization": f"Bearer {good}x"}, {"Authorization": f"Bearer {good[:-1]}"},
                    {"Authorization": good}, {"X-API-Key": good}, {"Cookie": f"__Host-fernwart-login={good}"}):
        for method, path in (("GET", "/tickets"), ("POST", "/tickets"), ("GET", f"/tickets?access_token={good}")):
            answer = httpx.request(method, f"{office.whole.url}/api/v1{path}", headers=headers, json={} if method == "POST" else None)
            problem(answer, 401)
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert httpx.get(f"{office.whole.url}/api/v1/tickets", headers={"Authorization": f"bearer {good}"}).status_code == 200


def test_an_answer_is_never_kept_by_caches(office: Office) -> None:
    for path in ("/tickets", f"/contacts/{office.contact.id}"):
        assert office.api().get(path).headers["cache-control"] == "private, no-store"
