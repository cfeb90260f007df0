"""State folder, ledger, words, policy, protection: what the agent keeps and what it makes of the machine."""

import json
import os
import pwd
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agents.errors import ConfigurationError, PolicyRefusal, StateError
from agents.grants import GrantLedger
from agents.hosts.boot import boot_seconds, read_boot_id
from agents.hosts.systemd import install_unit, make_unit
from agents.identity import create_key, find_key, find_server
from agents.inventory import clean_line, collect_inventory
from agents.policy import Policy, parse_policy, read_policy
from agents.protection import describe_user, is_protected, may_become_root, own_user_name
from agents.protocol.errors import GrantRefusal, GrantRefused
from agents.protocol.grants import Grant
from agents.protocol.messages import ChannelKind, ConsentPlace
from agents.protocol.signatures import SigningKey
from agents.state_folder import StateFolder
from agents.word_store import WordStore
from tests.agents.protocol.builders import build_grant, build_nonce, build_request

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # a Monday


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return StateFolder.create(tmp_path / "state")


def make_grant(**changes: object) -> Grant:
    request = build_request(SigningKey.generate().public.fingerprint)
    return replace(build_grant(request, "a" * 64, build_nonce()), **changes)  # type: ignore[arg-type]  # names of fields


def test_a_use_is_durable_before_it_counts_and_counts_once(folder: StateFolder) -> None:
    grant = make_grant()
    live = GrantLedger(folder).record_use(grant, "b" * 64, now=NOW)
    assert 0 < live.seconds_left() <= grant.max_seconds
    again = GrantLedger(folder)
    assert again.knows_nonce(grant.nonce)
    with pytest.raises(GrantRefused) as refused:
        again.record_use(replace(grant, grant_id="other"), "c" * 64, now=NOW)
    assert refused.value.refusal is GrantRefusal.USED
    entry = json.loads((folder.path / "ledger.jsonl").read_text())
    assert entry["sha256"] == "b" * 64 and entry["boot_id"] == read_boot_id()


def test_a_revocation_is_remembered_by_the_next_process(folder: StateFolder) -> None:
    grant = make_grant()
    GrantLedger(folder).record_revocation(grant.grant_id, reason="stopped", now=NOW)
    with pytest.raises(GrantRefused) as refused:
        GrantLedger(folder).record_use(grant, "b" * 64, now=NOW)
    assert refused.value.refusal is GrantRefusal.REVOKED


def test_a_torn_last_line_is_dropped_and_any_other_damage_is_an_error(folder: StateFolder) -> None:
    first = make_grant()
    GrantLedger(folder).record_use(first, "b" * 64, now=NOW)
    file = folder.path / "ledger.jsonl"
    file.write_bytes(file.read_bytes() + b'{"kind": "used", "non')
    ledger = GrantLedger(folder)
    ledger.record_use(make_grant(grant_id="second"), "c" * 64, now=NOW)
    assert len(GrantLedger(folder)._uses) == 2
    file.write_bytes(b"damaged\n" + file.read_bytes())
    with pytest.raises(StateError):
        GrantLedger(folder)


def test_a_use_that_cannot_be_written_is_no_use(folder: StateFolder) -> None:
    ledger = GrantLedger(folder)
    (folder.path / "ledger.jsonl").mkdir()
    grant = make_grant()
    with pytest.raises(StateError):
        ledger.record_use(grant, "b" * 64, now=NOW)
    assert not ledger.knows_nonce(grant.nonce)


def test_uses_of_the_last_hour_are_counted_also_when_the_clock_was_set_back(folder: StateFolder) -> None:
    ledger = GrantLedger(folder)
    for minutes in (-90, -30, 30):
        ledger.record_use(make_grant(), "b" * 64, now=NOW + timedelta(minutes=minutes))
    assert ledger.count_uses_last_hour(NOW) == 2


def test_the_clock_of_grants_runs_on() -> None:
    assert 0 < boot_seconds() <= boot_seconds()


def test_words_are_kept_until_they_are_dropped(folder: StateFolder) -> None:
    WordStore(folder).keep("channel-1", "session-1", "a.b.c")
    store = WordStore(folder)
    assert store.list_words() == [("channel-1", "session-1", "a.b.c")]
    store.drop("channel-1")
    store.drop("channel-1")
    assert WordStore(folder).list_words() == []
    (folder.path / "words.json").write_text("[]")
    with pytest.raises(StateError):
        WordStore(folder)


def test_a_state_folder_open_to_others_or_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        StateFolder.open(tmp_path / "missing")
    path = tmp_path / "open"
    path.mkdir(mode=0o755)
    with pytest.raises(ConfigurationError, match="chmod"):
        StateFolder.open(path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError):
        StateFolder.open(tmp_path / "file")


def test_a_link_in_place_of_the_state_folder_is_refused(tmp_path: Path) -> None:
    StateFolder.create(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigurationError):
        StateFolder.open(tmp_path / "link")


def test_a_damaged_key_or_record_is_an_error_and_never_a_new_identity(folder: StateFolder) -> None:
    assert find_key(folder) is None
    create_key(folder)
    with pytest.raises(ConfigurationError):
        create_key(folder)
    (folder.path / "agent.key").write_text("zz")
    with pytest.raises(StateError):
        find_key(folder)
    for text in ("{", "[]", "{}", '{"host_class": "x"}'):
        (folder.path / "server.json").write_text(text)
        with pytest.raises(StateError):
            find_server(folder)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 23 + day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment", "uses", "allowed"),
    [
        ("", at(0, 3), 0, True),
        ('hours = "08:00-18:00"', at(0, 8), 0, True),
        ('hours = "08:00-18:00"', at(0, 7, 59), 0, False),
        ('hours = "08:00-18:00"', at(0, 18), 0, False),
        ('hours = "22:00-06:00"', at(0, 23), 0, True),
        ('hours = "22:00-06:00"', at(0, 12), 0, False),
        ('days = ["mon"]', at(0, 12), 0, True),
        ('days = ["mon"]', at(1, 12), 0, False),
        ("sessions_per_hour = 2", at(0, 12), 1, True),
        ("sessions_per_hour = 2", at(0, 12), 2, False),
        ('consent = "server"', at(0, 12), 0, True),
        ('consent = "here"', at(0, 12), 0, False),
        ('require_approval_from = ["SHA256:x"]', at(0, 12), 0, False),
    ],
)
def test_a_rule_of_the_policy_decides_when_a_session_may_begin(text: str, moment: datetime, uses: int, allowed: bool) -> None:
    policy = parse_policy(text)
    if allowed:
        policy.check_session(local_time=moment, sessions_last_hour=uses)
    else:
        with pytest.raises(PolicyRefusal):
            policy.check_session(local_time=moment, sessions_last_hour=uses)


@pytest.mark.parametrize(
    ("never", "kind", "action", "allowed"),
    [
        ((), ChannelKind.SHELL, "terminal.admin", True),
        (("shell",), ChannelKind.SHELL, "terminal", False),
        (("terminal",), ChannelKind.SHELL, "terminal", False),
        (("terminal",), ChannelKind.SHELL, "terminal.admin", False),
        (("terminal.admin",), ChannelKind.SHELL, "terminal.admin", False),
        (("terminal.admin",), ChannelKind.SHELL, "terminal", True),
        (("files.read:/etc",), ChannelKind.FILES, "files.read:/etc/shadow", False),
        (("files.read:/etc",), ChannelKind.FILES, "files.read:/", False),
        (("files.read:/etc",), ChannelKind.FILES, "files.read:/var", True),
        (("files",), ChannelKind.FILES, "files.write:/tmp/x", False),
        (("desktop.control",), ChannelKind.DESKTOP, "desktop.view", True),
        (("desktop.view",), ChannelKind.DESKTOP, "desktop.control", False),
    ],
)
def test_never_means_never(never: tuple[str, ...], kind: ChannelKind, action: str, allowed: bool) -> None:
    policy = Policy(never=never)
    if allowed:
        policy.check_action(kind, action)
    else:
        with pytest.raises(PolicyRefusal):
            policy.check_action(kind, action)


@pytest.mark.parametrize(
    "text",
    [
        "consent = 'maybe'",
        "consent",
        "unknown = 1",
        "never = 'shell'",
        "never = ['everything']",
        "never = [1]",
        "hours = '8-18'",
        "hours = 8",
        "days = ['monday']",
        "sessions_per_hour = true",
        "sessions_per_hour = -1",
        "require_approval_from = 'x'",
    ],
)
def test_a_policy_nobody_understands_refuses_everything(folder: StateFolder, text: str) -> None:
    folder.write("policy.toml", text.encode())
    with pytest.raises(PolicyRefusal):
        read_policy(folder)


def test_a_policy_that_others_can_write_refuses_everything(folder: StateFolder) -> None:
    assert read_policy(folder) == Policy()
    folder.write("policy.toml", b'consent = "here"')
    assert read_policy(folder).consent is ConsentPlace.HERE
    (folder.path / "policy.toml").chmod(0o666)
    with pytest.raises(PolicyRefusal):
        read_policy(folder)


@pytest.mark.needs("root")
def test_root_with_private_state_is_protected_until_others_can_write(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    policy = state / "policy.toml"
    policy.write_text("")
    assert is_protected(state, policy)
    policy.chmod(0o666)
    assert not is_protected(state, policy)
    policy.chmod(0o600)
    os.chown(policy, 65534, 65534)
    assert not is_protected(state, policy)
    os.chown(policy, 0, 0)
    tmp_path.chmod(0o777)
    assert not is_protected(state, policy)
    tmp_path.chmod(0o700)
    assert is_protected(state, policy)


def test_root_and_unknown_accounts_may_become_root_and_nobody_may_not() -> None:
    assert may_become_root("root")
    assert may_become_root("no-such-user")
    assert not may_become_root("nobody")
    assert not describe_user("nobody").login_allowed
    assert own_user_name() == pwd.getpwuid(os.geteuid()).pw_name


def test_the_inventory_is_clean_and_complete() -> None:
    inventory = collect_inventory()
    assert inventory.host_name and inventory.kernel and inventory.architecture
    assert own_user_name() in [user.name for user in inventory.users] or not describe_user(own_user_name()).login_allowed
    assert clean_line(" a\x1b[31m\nb ") == "a\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}b"
    assert len(clean_line("x" * 900)) == 200


def test_the_unit_file_names_program_and_state_and_nothing_can_be_smuggled_in(tmp_path: Path) -> None:
    unit = make_unit("/usr/bin/fernwart-agent", Path("/var/lib/fernwart-agent"))
    assert 'ExecStart="/usr/bin/fernwart-agent" run --state "/var/lib/fernwart-agent"' in unit
    assert install_unit(unit, folder=tmp_path, enable=False).read_text() == unit
    for bad in ('/x" "y', "/x\nExecStartPre=/bin/evil", "relative", "/x%h"):
        with pytest.raises(ConfigurationError):
            make_unit("/usr/bin/fernwart-agent", Path(bad))
