"""The output buffer: offsets, bounds, and those who wait."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.channels.stream_buffer import OutputBuffer


def test_offsets_are_absolute_and_survive_acknowledgement() -> None:
    buffer = OutputBuffer(capacity=10)
    buffer.append(b"abcdef")
    buffer.acknowledge(4)
    assert (buffer.low, buffer.high, buffer.room) == (4, 6, 8)
    assert buffer.read_from(4, 100) == b"ef"
    buffer.append(b"ghij")
    assert buffer.read_from(5, 3) == b"fgh"


def test_reading_what_was_freed_is_refused_and_never_spliced() -> None:
    buffer = OutputBuffer()
    buffer.append(b"abc")
    buffer.acknowledge(2)
    with pytest.raises(ValueError, match="not held"):
        buffer.read_from(1, 1)
    with pytest.raises(ValueError, match="not held"):
        buffer.read_from(4, 1)


def test_acknowledging_more_than_was_produced_is_refused() -> None:
    buffer = OutputBuffer()
    buffer.append(b"abc")
    with pytest.raises(ValueError, match="only 3"):
        buffer.acknowledge(4)
    buffer.acknowledge(3)
    buffer.acknowledge(1)
    assert buffer.low == 3


def test_full_buffer_takes_nothing_and_tells_when_there_is_room() -> None:
    told: list[int] = []
    buffer = OutputBuffer(capacity=4)
    buffer.on_room = lambda: told.append(buffer.room)
    buffer.append(b"abcd")
    with pytest.raises(ValueError, match="room"):
        buffer.append(b"e")
    buffer.acknowledge(0)
    assert told == []
    buffer.acknowledge(3)
    assert told == [3]


def test_waiting_ends_with_the_byte_or_with_the_stream() -> None:
    async def scenario() -> None:
        buffer = OutputBuffer()
        first = [asyncio.ensure_future(buffer.wait_beyond(0)) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in first)
        buffer.append(b"x")
        await asyncio.wait_for(asyncio.gather(*first), 1)
        second = asyncio.ensure_future(buffer.wait_beyond(1))
        await asyncio.sleep(0)
        assert not second.done()
        buffer.close()
        await asyncio.wait_for(second, 1)

    asyncio.run(scenario())


def test_nothing_can_be_appended_after_the_end() -> None:
    buffer = OutputBuffer()
    buffer.close()
    with pytest.raises(ValueError, match="ended"):
        buffer.append(b"x")


@given(st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 40), st.integers(0, 40)), max_size=30))
def test_any_order_of_calls_keeps_exactly_the_unacknowledged_bytes(steps: list[tuple[bytes, int, int]]) -> None:
    buffer = OutputBuffer(capacity=100)
    stream = b""
    for data, free, limit in steps:
        accepted = data[: buffer.room]
        buffer.append(accepted)
        stream += accepted
        buffer.acknowledge(min(buffer.low + free, buffer.high))
        assert buffer.high == len(stream)
        assert buffer.read_from(buffer.low, limit) == stream[buffer.low : buffer.low + limit]
        assert buffer.room == 100 - (buffer.high - buffer.low)
