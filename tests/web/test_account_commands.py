"""The commands for accounts and audit, run in a data folder of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.accounts.actor import SYSTEM, Right
from orchestrator.accounts.links import SET_UP, find_open_link
from orchestrator.accounts.secret_box import prepare_secret_box
from orchestrator.accounts.tokens import actor_for_token
from orchestrator.audit.chain import AUDIT_CHAIN, verify_chain
from orchestrator.audit.queries import list_audit
from orchestrator.core.db import Database
from orchestrator.core.errors import AppError, Forbidden, InvalidInput, NotFound
from orchestrator.core.settings import Settings
from tests.orchestrator.audit.tampering import tamper
from web.cli import app


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setenv("FERNWART_DATA_DIR", str(folder))
    monkeypatch.setenv("FERNWART_PUBLIC_URL", "https://desk.example")
    return folder


@pytest.fixture
def database(data: Path) -> Iterator[Database]:
    """The database that the commands use; open it after the first of them."""
    store = Database(Settings().sqlalchemy_url)
    prepare_secret_box(store, data)
    yield store
    store.dispose()


def run(*words: str) -> Result:
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and isinstance(result.exception, AppError):
        raise result.exception
    return result


def add(mail: str = "anna@desk.example", *roles: str) -> str:
    options = [word for role in roles or ("technician",) for word in ("--role", role)]
    result = run("user", "add", mail, "--name", "Anna Kaya", *options)
    assert result.exit_code == 0, result.output
    return result.output.split()[-1]


def test_user_add_prints_the_link_as_its_last_word(database: Database) -> None:
    link = add("anna@desk.example", "technician", "lead")
    assert link.startswith("https://desk.example/set-up/")
    with database.read() as unit:
        opened = find_open_link(unit, link.rsplit("/", 1)[1], SET_UP)
    assert opened.user is not None and opened.user.roles == ["lead", "technician"]


def test_user_add_refuses_what_cannot_be_used(data: Path) -> None:
    add()
    with pytest.raises(InvalidInput):
        run("user", "add", "anna@desk.example", "--name", "X", "--role", "lead")
    with pytest.raises(InvalidInput):
        run("user", "add", "nobody", "--name", "X", "--role", "lead")
    assert run("user", "add", "b@desk.example", "--name", "X", "--role", "root").exit_code == 2
    assert run("user", "add", "b@desk.example", "--name", "X").exit_code == 2


def test_user_list_in_words_and_as_json(data: Path) -> None:
    add()
    assert "anna@desk.example  Anna Kaya  technician  not set up" in run("user", "list").output
    row = json.loads(run("user", "list", "--json").output)[0]
    assert (row["email"], row["roles"], row["state"]) == ("anna@desk.example", ["technician"], "not set up")


def test_user_disable_ends_tokens(database: Database) -> None:
    add()
    token = run("token", "create", "--user", "anna@desk.example", "--rights", "all").output.split()[-1]
    with database.read() as unit:
        assert actor_for_token(unit, token, None) is not None
    assert run("user", "disable", "anna@desk.example").exit_code == 0
    with database.read() as unit:
        assert actor_for_token(unit, token, None) is None
    assert json.loads(run("user", "list", "--json").output)[0]["state"] == "disabled"
    with pytest.raises(NotFound):
        run("user", "disable", "nobody@desk.example")


def test_token_create_prints_the_token_as_its_last_word(database: Database) -> None:
    add()
    token = run("token", "create", "--user", "anna@desk.example", "--rights", "all,sessions:request,channels:open",
                "--address", "192.0.2.0/24", "--hours", "8").output.split()[-1]
    with database.read() as unit:
        actor = actor_for_token(unit, token, "192.0.2.9")
        assert actor_for_token(unit, token, "198.51.100.1") is None
    assert actor is not None and {Right.SESSIONS_REQUEST, Right.CHANNELS_OPEN, Right.TICKETS_WRITE} <= actor.rights


def test_token_create_stays_within_the_owners_rights(data: Path) -> None:
    add()
    with pytest.raises(Forbidden):
        run("token", "create", "--user", "anna@desk.example", "--rights", "audit:read")
    with pytest.raises(InvalidInput):
        run("token", "create", "--user", "anna@desk.example", "--rights", "channels:open", "--hours", "48")
    with pytest.raises(InvalidInput):
        run("token", "create", "--user", "anna@desk.example", "--rights", "everything")


def test_audit_verify_says_whole_and_names_the_first_touched_entry(database: Database) -> None:
    for number in range(4):
        add(f"user{number}@desk.example")
    whole = run("audit", "verify")
    assert whole.exit_code == 0 and "4 entries" in whole.output
    tamper(database, "update chain_links set kind = 'user.removed' where seq = 3")
    bad = run("audit", "verify")
    assert bad.exit_code == 1 and "entry 3 is the first that was touched" in bad.output
    verdict = json.loads(run("audit", "verify", "--json").stdout)
    assert (verdict["whole"], verdict["first_bad"]) == (False, 3)


def test_the_commands_are_in_the_audit_under_the_account_that_ran_them(database: Database) -> None:
    add()
    with database.read() as unit:
        assert verify_chain(unit, AUDIT_CHAIN).count == 1
        assert list_audit(unit, SYSTEM)[0].actor_name.startswith("command line (")
