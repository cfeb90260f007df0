"""The parser of shell marks: any split of the stream gives the same bytes and the same marks; forgeries are data."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessions.recording.marks import MAX_BODY_BYTES, Mark, MarkKind, MarkParser

NONCE = "0123456789abcdef"
START = f"\x1b]633;fw1;{NONCE};".encode()


def mark(body: bytes) -> bytes:
    return START + body + b"\x07"


def parse(pieces: list[bytes], *, offset: int = 0) -> tuple[bytes, list[Mark]]:
    parser = MarkParser(NONCE, offset=offset)
    visible, marks = b"", []
    for piece in pieces:
        shown, found = parser.feed(piece)
        visible += shown
        marks += found
        assert parser.visible_offset <= parser.received_offset
    shown, found = parser.finish()
    assert parser.visible_offset == parser.received_offset == offset + sum(map(len, pieces))
    return visible + shown, [*marks, *found]


def split_at_random(data: bytes, seed: int) -> list[bytes]:
    numbers = random.Random(seed)
    cuts = sorted(numbers.choices(range(len(data) + 1), k=numbers.randrange(0, 12)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def test_marks_are_taken_out_and_carry_raw_offsets() -> None:
    first, second = mark(b"A;0;/"), mark(b"D;1;0;;/")
    visible, marks = parse([b"ab" + first + b"cd" + second], offset=100)
    assert visible == b"abcd"
    assert [(m.kind, m.fields, m.offset, m.offset_end) for m in marks] == [
        (MarkKind.PROMPT, (b"0", b"/"), 102, 102 + len(first)),
        (MarkKind.END, (b"1", b"0", b"", b"/"), 104 + len(first), 104 + len(first) + len(second)),
    ]


def test_data_without_marks_is_passed_on_without_a_copy() -> None:
    parser = MarkParser(NONCE)
    data = b"\x1b[31mcoloured\x1b[0m and a long enough plain tail after the last escape sequence of it"
    visible, marks = parser.feed(data)
    assert visible is data
    assert not marks


def test_lone_escape_at_the_end_is_held_and_given_out_with_what_follows() -> None:
    parser = MarkParser(NONCE)
    assert parser.feed(b"a\x1b") == (b"a", [])
    assert (parser.visible_offset, parser.received_offset) == (1, 2)
    assert parser.feed(b"[0m")[0] == b"\x1b[0m"


@pytest.mark.parametrize(
    "forged",
    [
        b"\x1b]633;fw1;;C;9;1;/;3;bad;0\x07",
        b"\x1b]633;fw1;00000000000000000000000000000000;C;9;1;/;3;bad;0\x07",
        b"\x1b]633;fw1;0123456789abcdeX;C;9;1;/;3;bad;0\x07",
        b"\x1b]633;E;bad;0123456789abcdef\x07\x1b]633;D;0\x07",
        b"\x1b]633;fw1;unterminated",
        b"\x1b]633;fw1;0123456789abcde",
    ],
)
def test_forged_marks_are_data(forged: bytes) -> None:
    for seed in range(20):
        assert parse(split_at_random(forged + b" rest\r\n", seed)) == (forged + b" rest\r\n", [])


def test_mark_with_other_output_inside_is_damaged_and_not_shown() -> None:
    visible, marks = parse([b"x" + mark(b"C;1;1;/;6;echo \r\nnoise") + b"y"])
    assert visible == b"xy"
    assert [m.kind for m in marks] == [MarkKind.DAMAGED]


def test_mark_of_an_unknown_kind_is_damaged() -> None:
    assert [m.kind for m in parse([mark(b"Z;1"), mark(b"")])[1]] == [MarkKind.DAMAGED] * 2


@pytest.mark.parametrize("piece_bytes", [1000, 65_536, 10**9])
def test_mark_that_never_ends_becomes_data_without_its_start(piece_bytes: int) -> None:
    body = b"C;" + b"x" * (MAX_BODY_BYTES + 5000)
    data = b"a" + START + body
    visible, marks = parse([data[i : i + piece_bytes] for i in range(0, len(data), piece_bytes)])
    assert visible == b"a" + body
    assert [m.kind for m in marks] == [MarkKind.DAMAGED]


def test_mark_cut_by_the_end_of_the_stream_is_damaged() -> None:
    visible, marks = parse([b"a" + START + b"A;0;/ho"])
    assert visible == b"aA;0;/ho"
    assert [m.kind for m in marks] == [MarkKind.DAMAGED]


def test_long_mark_in_single_bytes_is_not_copied_again_and_again() -> None:
    body = b"C;1;;/;200000;" + b"x" * 200_000 + b";0"
    data = mark(body)
    visible, marks = parse([data[i : i + 1] for i in range(len(data))])
    assert visible == b""
    assert marks[0].fields[4] == b"x" * 200_000


PIECES = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"\x1b", b"\x1b]", b"\x07", START[:9], START[:-1], START, b"\x1b]633;fw1;"]),
    st.binary(max_size=12).filter(lambda body: b"\x07" not in body).map(mark),
    st.sampled_from([mark(b"A;0;/"), mark(b"C;1;1.5;/;2;ls;0"), mark(b"D;1;0;1.6;/")]),
)


@settings(max_examples=200)
@given(st.lists(PIECES, max_size=20).map(b"".join), st.integers(0, 2**32))
def test_any_split_gives_the_same_bytes_and_marks(data: bytes, seed: int) -> None:
    whole = parse([data])
    assert parse(split_at_random(data, seed)) == whole
    assert parse([data[i : i + 1] for i in range(len(data))]) == whole


@given(
    st.lists(
        st.tuples(st.binary(max_size=30).filter(lambda text: b"\x1b" not in text), st.sampled_from([b"A;0;/", b"D;1;0;;/"])), max_size=8
    )
)
def test_everything_but_the_marks_stays_in_place(parts: list[tuple[bytes, bytes]]) -> None:
    stream = b"".join(text + mark(body) for text, body in parts)
    visible, marks = parse([stream])
    assert visible == b"".join(text for text, _ in parts)
    assert [stream[m.offset : m.offset_end] for m in marks] == [mark(body) for _, body in parts]
