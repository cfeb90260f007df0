"""Articles and the search over the API."""

from __future__ import annotations

import time

from tests.web.api.office import Office, problem, walk, word


def _find(office: Office, query: str, *, count: int) -> list[dict[str, object]]:
    """Search until ``count`` hits are there: the index follows the commit in under a second."""
    until = time.monotonic() + 10
    while True:
        hits = office.api().get("/search", params={"q": query}).json()["items"]
        if len(hits) == count or time.monotonic() > until:
            return hits
        time.sleep(0.02)


def test_an_article_is_written_published_found_and_withdrawn(each_office: Office) -> None:
    api, name = each_office.api(), word()
    made = api.post("/articles", json={"title": f"Spooler {name}", "problem": "The queue is stuck.", "body": "Restart it.", "language": "en"})
    assert made.status_code == 201, made.text
    article, path = made.json(), f"/articles/{made.json()['id']}"
    assert article["state"] == "draft" and article["internal"] is True and article["version"] == 1
    problem(each_office.api("auditor").get(path), 404, "not_found")
    published = api.post(f"{path}/publish")
    assert published.status_code == 200 and published.json()["state"] == "published" and published.json()["published_at"]
    assert each_office.api("auditor").get(path).status_code == 200
    hits = _find(each_office, name, count=1)
    assert [(hit["kind"], hit["id"]) for hit in hits] == [("article", article["id"])]
    assert api.post(f"{path}/withdraw").json()["state"] == "withdrawn"
    assert _find(each_office, name, count=0) == []


def test_an_article_can_be_published_at_once(office: Office) -> None:
    made = office.api().post("/articles", json={"title": word(), "language": "de", "publish": True, "internal": False})
    assert made.status_code == 201 and made.json()["state"] == "published" and made.json()["internal"] is False


def test_an_article_is_changed_only_from_the_version_that_was_read(each_office: Office) -> None:
    api, name = each_office.api(), word()
    path = f"/articles/{api.post('/articles', json={'title': name, 'language': 'en'}).json()['id']}"
    tag = api.get(path).headers["etag"]
    text = {"title": name, "problem": "P", "body": "B"}
    problem(api.put(path, json=text), 422, "invalid_input", "version")
    assert api.put(path, json=text, headers={"If-Match": tag}).json()["version"] == 2
    problem(api.put(path, json=text, headers={"If-Match": tag}), 412, "outdated")
    problem(api.put(path, json={**text, "version": 1}), 409, "conflict")
    assert api.put(path, json={**text, "version": 2}).json()["version"] == 3
    assert api.get(path).json()["body"] == "B"


def test_an_article_that_cannot_be_is_refused_by_field(office: Office) -> None:
    for body, field in (({"title": "A"}, "language"), ({"title": "", "language": "en"}, "title"), ({"title": "A", "language": "fr"}, "language"),
                        ({"title": "A", "language": "en", "state": "published"}, "state"), ({"title": " ", "language": "en"}, "title")):
        problem(office.api().post("/articles", json=body), 422, "invalid_input", field)
    problem(office.api("auditor").post("/articles", json={"title": "A", "language": "en"}), 403, "forbidden")
    problem(office.api("administrator").get("/articles"), 403, "forbidden")


def test_lists_of_articles_page_and_filter(office: Office) -> None:
    api = office.api()
    made = [api.post("/articles", json={"title": word(), "language": "de"}).json()["id"] for _ in range(5)]
    seen = [item["id"] for page in walk(api, "/articles", limit=2, state="draft", language="de") for item in page]
    assert len(seen) == len(set(seen)) and set(made) <= set(seen)
    assert all(item["state"] == "published" for item in office.api("auditor").get("/articles", params={"state": "draft"}).json()["items"])


def test_the_search_finds_what_the_asker_may_see(each_office: Office) -> None:
    api, name = each_office.api(), word()
    number = api.post("/tickets", json={"subject": f"Paper {name}", "text": "Nothing prints."}).json()["number"]
    hits = _find(each_office, name, count=1)
    assert [hit["ticket"] for hit in hits] == [number]
    assert each_office.api("stranger").get("/search", params={"q": name}).json() == {"items": [], "next": None}
    assert each_office.api("administrator").get("/search", params={"q": name}).json()["items"] == []
    assert api.get("/search").json() == {"items": [], "next": None}
    problem(api.get("/search", params={"q": name, "cursor": "-1"}), 422, "invalid_input", "cursor")


def test_the_audit_lists_who_did_what_for_those_who_may_know(each_office: Office) -> None:
    api = each_office.api("lead")
    title = word()
    api.post("/articles", json={"title": title, "language": "en", "publish": True})
    entry = api.get("/audit", params={"kind": "article"}).json()["items"][0]
    assert (entry["kind"], entry["subject"], entry["actor_name"]) == ("article.published", title, "Lead (API token)")
    pages = list(walk(api, "/audit", limit=2))
    numbers = [item["seq"] for page in pages for item in page]
    assert numbers == sorted(numbers, reverse=True) and numbers[-1] == 1
    for role, status in (("technician", 403), ("administrator", 200), ("auditor", 200)):
        assert each_office.api(role).get("/audit").status_code == status
    problem(api.get("/audit", params={"since": "yesterday"}), 422, "invalid_input", "since")
