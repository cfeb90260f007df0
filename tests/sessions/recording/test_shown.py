"""Text of a stranger's terminal never moves, hides or turns what is shown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.recording.shown import plain_text, show_line


@pytest.mark.parametrize(("line", "shown"), [
    ("ls -l", "ls -l"),
    ("echo Grüße 日本 🙂", "echo Grüße 日本 🙂"),
    ("a\tb\nc", "a\\x09b\\x0ac"),
    ("rm\x1b[2K\recho", "rm\\x1b[2K\\x0decho"),
    ("x\u202egnp.exe", "x\\u202egnp.exe"),
    ("zero\u200bwidth\u00ad\ufeff", "zero\\u200bwidth\\u00ad\\ufeff"),
    ("tag\U000e0041", "tag\\U000e0041"),
    ("\x9b31m", "\\x9b31m"),
])
def test_what_could_deceive_is_written_out(line: str, shown: str) -> None:
    assert show_line(line) == shown


@given(st.text())
def test_nothing_shown_is_a_control_or_turns_the_text(line: str) -> None:
    for character in show_line(line):
        assert unicodedata.category(character) != "Cc"
        assert unicodedata.bidirectional(character) not in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def test_output_becomes_plain_lines() -> None:
    output = b"\x1b]0;title\x07\x1b[1;31mred\x1b[0m\r\nprogress 10%\rprogress 100%\r\nab\bc\x1b(B\r\n\xff\r\n\x1b]52;c;eA==\x1b\\end"
    assert plain_text(output) == "red\nprogress 100%\nac\n\ufffd\nend"


@given(st.binary(max_size=300))
def test_no_output_leaves_a_control_character(output: bytes) -> None:
    assert not {character for character in plain_text(output) if unicodedata.category(character) == "Cc"} - {"\n", "\t"}
