"""Every text of the program is translated, and the pages find the translation."""

from __future__ import annotations

import html
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from starlette.routing import NoMatchFound

from orchestrator.core.i18n import Language, find_language, translator
from web.i18n import TEMPLATES, add_catalogues, build_environment, choose_language
from web.static_files import StaticFiles

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_text_has_a_finished_german_translation_with_the_same_placeholders() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / "messages.py"), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


def test_the_catalogue_check_finds_a_missing_text(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import messages
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    empty = messages.CatalogueFolder(tmp_path, ("web",))
    faults = messages.list_faults(empty, "de")
    assert ("Take next", "not translated") in faults


def test_a_german_reader_gets_german_and_an_english_one_the_source() -> None:
    add_catalogues()
    assert translator("de")("Take next") == "Nächstes Ticket"
    assert translator("en")("Take next") == "Take next"
    assert translator("de")("a text that nobody knows") == "a text that nobody knows"
    assert translator("de").plural("%(num)s minute", "%(num)s minutes", 1) == "1 Minute"
    assert translator("de").plural("%(num)s minute", "%(num)s minutes", 5) == "5 Minuten"


@pytest.mark.parametrize(("code", "expected"), [
    ("de", Language.GERMAN), ("de-AT", Language.GERMAN), ("EN_gb", Language.ENGLISH), ("fr", None), ("", None), (None, None), ("x" * 9000, None),
])
def test_a_language_code_is_understood_or_refused(code: str | None, expected: Language | None) -> None:
    assert find_language(code) is expected


@pytest.mark.parametrize(("chosen", "accepted", "expected"), [
    ("de", "en", Language.GERMAN), (None, "fr, en;q=0.8, de;q=0.5", Language.ENGLISH), ("xx", "de-DE,de", Language.GERMAN),
    (None, None, Language.GERMAN), (None, "fr", Language.GERMAN),
])
def test_the_reader_is_spoken_to_in_the_chosen_language_else_the_browsers(chosen: str | None, accepted: str | None,
                                                                         expected: Language) -> None:
    assert choose_language(chosen=chosen, accept_language=accepted, fallback=Language.GERMAN) is expected


@pytest.mark.parametrize("language", list(Language))
def test_every_template_compiles_in_every_language(language: Language) -> None:
    environment = build_environment(language, page_globals={"static": StaticFiles().url})
    for path in sorted(TEMPLATES.rglob("*.html")):
        environment.get_template(path.relative_to(TEMPLATES).as_posix())


def test_what_a_customer_wrote_is_shown_as_text_never_run() -> None:
    environment = build_environment(Language.ENGLISH, page_globals={"static": StaticFiles().url})
    shown = environment.from_string("{{ text }}|{{ _('Search: %(query)s', query=text) }}").render(text="<script>{{ 7*7 }}</script>")
    assert "<script>" not in shown
    assert "{{ 7*7 }}" in shown


def test_an_undefined_name_is_an_error_not_an_empty_place() -> None:
    from jinja2 import UndefinedError

    environment = build_environment(Language.ENGLISH, page_globals={})
    with pytest.raises(UndefinedError):
        environment.from_string("{{ nobody_set_this }}").render()


def test_moments_in_a_template_are_in_the_readers_zone_and_language() -> None:
    moment = datetime(2026, 11, 23, 8, 2, tzinfo=UTC)
    source = "{{ moment|when }} {{ moment|iso }} {{ 6120|span }}"
    names = {"moment": moment, "now": datetime(2026, 11, 23, 12, 0, tzinfo=UTC)}
    german = build_environment(Language.GERMAN, page_globals={}).from_string(source).render(**names, time_zone="Europe/Berlin")
    english = build_environment(Language.ENGLISH, page_globals={}).from_string(source).render(**names, time_zone="America/New_York")
    assert german == "09:02 2026-11-23T08:02:00Z 1 h 42 min"
    assert english == "03:02 2026-11-23T08:02:00Z 1 h 42 min"


def test_an_address_is_a_path_with_its_values_quoted() -> None:
    app = FastAPI()

    @app.get("/things/{name}/parts/{part}", name="things:show")
    def show(name: str, part: str) -> str:
        return name + part

    environment = build_environment(Language.ENGLISH, page_globals={})
    source = environment.from_string("{{ url_for('things:show', name=name, part='x', query={'q': query, 'empty': '', 'many': [1, 2]}) }}")

    def address(name: str, query: str = "") -> str:
        return html.unescape(source.render(name=name, query=query, request=SimpleNamespace(app=app)))

    assert address("2026-000123-4", "ä&b=c") == "/things/2026-000123-4/parts/x?q=%C3%A4%26b%3Dc&many=1&many=2"
    assert address("other") == "/things/other/parts/x?many=1&many=2"
    assert address('a?b#c"<é') == "/things/a%3Fb%23c%22%3C%C3%A9/parts/x?many=1&many=2"
    with pytest.raises(NoMatchFound):
        environment.from_string("{{ url_for('no:such') }}").render(request=SimpleNamespace(app=app))
