"""The grammar of scopes and what covers what."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.protocol.scopes import InvalidScope, covers, is_narrowing, parse_scope

GOOD = [
    "diagnostics",
    "terminal",
    "terminal.admin",
    "terminal:db01",
    "terminal:core-switch.site_2",
    "files.read:/",
    "files.read:/var/log",
    "files.write:/srv/a b/ü",
    "desktop.view",
    "desktop.control",
    "tunnel:intranet.example:443",
    "tunnel:10.0.0.7:22",
    "tunnel:[2001:db8::1]:22",
]
BAD = [
    "",
    "Terminal",
    "terminal ",
    "terminal:",
    "terminal:-x",
    "terminal:../x",
    "terminal:A",
    "terminal.root",
    "diagnostics:x",
    "desktop",
    "files.read",
    "files.read:",
    "files.read:var",
    "files.read:/var/",
    "files.read:/var/../etc",
    "files.read:/var/./log",
    "files.read://etc",
    "files.read:/var\x00/log",
    "files.read:/var\nlog",
    "files.read:C:\\x",
    "files.exec:/x",
    "tunnel:host",
    "tunnel:host:0",
    "tunnel:host:022",
    "tunnel:host:65536",
    "tunnel:Host:22",
    "tunnel:-host:22",
    "tunnel::22",
    "tunnel:300.1.1.1:22",
    "tunnel:[::0001]:22",
    "tunnel:host:22 ",
    "terminal\n",
]

# Written by hand: which scope covers which action, apart from itself.
COVERED = {
    ("terminal.admin", "terminal"),
    ("desktop.control", "desktop.view"),
    ("files.read:/", "files.read:/var/log"),
}


@pytest.mark.parametrize("text", GOOD)
def test_a_scope_of_the_grammar_is_read(text: str) -> None:
    parse_scope(text)


@pytest.mark.parametrize("text", BAD)
def test_anything_else_is_refused_and_covers_nothing(text: str) -> None:
    with pytest.raises(InvalidScope):
        parse_scope(text)
    assert not covers([text], text)
    assert not covers(GOOD, text)
    assert not any(covers([text], good) for good in GOOD)


@pytest.mark.parametrize(("given_scope", "action"), list(itertools.product(GOOD, GOOD)))
def test_a_scope_covers_itself_and_what_the_table_names(given_scope: str, action: str) -> None:
    assert covers([given_scope], action) == (given_scope == action or (given_scope, action) in COVERED)


@pytest.mark.parametrize(
    ("given_scope", "action", "expected"),
    [
        ("files.read:/var/log", "files.read:/var/log/syslog", True),
        ("files.read:/var/log", "files.read:/var/logs", False),
        ("files.read:/var/log", "files.read:/var", False),
        ("files.read:/var/log", "files.read:/var/log/../../etc/shadow", False),
        ("files.write:/srv", "files.read:/srv/x", False),
        ("files.read:/srv", "files.write:/srv/x", False),
        ("terminal", "terminal.admin", False),
    ],
)
def test_paths_and_rights_are_never_widened(given_scope: str, action: str, expected: bool) -> None:
    assert covers([given_scope], action) is expected


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text(max_size=20) | st.sampled_from(GOOD), max_size=4), st.text(max_size=30) | st.sampled_from(GOOD))
def test_covers_never_raises_and_never_covers_beyond_one_of_its_parts(granted: list[str], action: str) -> None:
    assert covers(granted, action) == any(covers([one], action) for one in granted)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "..", ".", "", "c d"]), max_size=5))
def test_a_covered_path_never_leaves_its_folder(parts: list[str]) -> None:
    action = "files.read:/a/" + "/".join(parts)
    if covers(["files.read:/a"], action):
        assert not {"..", ".", ""} & set(parts)


def test_an_answer_may_narrow_and_never_widen() -> None:
    asked = ("terminal.admin", "files.read:/var")
    assert is_narrowing(asked, ("terminal", "files.read:/var/log"))
    assert is_narrowing(asked, ())
    assert not is_narrowing(asked, ("terminal", "desktop.view"))
    assert not is_narrowing(("terminal",), ("terminal.admin",))
