"""Where a viewer stands: missing bytes, snapshots, credit, detachment."""

from __future__ import annotations

from sessions.live.attach import CREDIT_BYTES, CaughtUp, Reset, ViewerPosition
from sessions.live.ring import Frame, Ring


def grow(ring: Ring, data: bytes) -> None:
    for start in range(0, len(data), 4096):
        piece = data[start : start + 4096]
        ring.append(piece, piece, ring.end + len(piece))


def steps_of(position: ViewerPosition, *, now: float = 0.0) -> list[Frame | Reset | CaughtUp]:
    found = []
    while (step := position.next_step()) is not None:
        found.append(step)
        position.note_sent(now)
    return found


def text_of(steps: list[Frame | Reset | CaughtUp]) -> bytes:
    return b"".join(step.data for step in steps if isinstance(step, Frame))


def viewer(ring: Ring, *, have: int | None = None, acknowledges: bool = True) -> ViewerPosition:
    position = ViewerPosition(ring, acknowledges=acknowledges, now=0.0)
    position.begin(have)
    return position


def test_a_new_window_gets_a_reset_the_history_and_then_the_word_that_it_is_live() -> None:
    ring = Ring()
    grow(ring, b"hello\n")
    position = viewer(ring)
    assert [type(step) for step in steps_of(position)] == [Reset, Frame, CaughtUp]
    grow(ring, b"more")
    assert text_of(steps_of(position)) == b"more"


def test_the_same_page_gets_exactly_the_missing_bytes_without_a_reset() -> None:
    ring = Ring()
    grow(ring, b"0123456789")
    steps = steps_of(viewer(ring, have=4))
    assert text_of(steps) == b"456789"
    assert not any(isinstance(step, Reset) for step in steps)


def test_a_page_ahead_of_a_restarted_server_waits_and_misses_nothing_twice() -> None:
    ring = Ring()
    grow(ring, b"0123")
    position = viewer(ring, have=6)
    assert text_of(steps_of(position)) == b""
    grow(ring, b"456789")
    assert text_of(steps_of(position)) == b"6789"


def test_a_page_that_was_away_for_too_long_gets_a_snapshot() -> None:
    ring = Ring(keep_bytes=10_000)
    grow(ring, b"a line\n" * 20_000)
    ring.forget(ring.end)
    steps = steps_of(viewer(ring, have=3))
    assert isinstance(steps[0], Reset)
    assert len(text_of(steps)) <= 10_000


def test_no_more_than_the_credit_is_sent_before_an_answer() -> None:
    ring = Ring()
    grow(ring, b"x" * (CREDIT_BYTES * 2))
    position = viewer(ring, have=0)
    assert len(text_of(steps_of(position))) == CREDIT_BYTES
    assert position.paces()
    position.acknowledge(1000, 0.1)
    assert len(text_of(steps_of(position))) == 1000


def test_an_answer_for_more_than_was_sent_is_ignored() -> None:
    ring = Ring()
    grow(ring, b"x" * (CREDIT_BYTES * 2))
    position = viewer(ring, have=0)
    steps_of(position)
    position.acknowledge(CREDIT_BYTES * 10, 0.1)
    assert position.next_step() is None


def test_a_silent_controller_is_detached_after_two_seconds_and_returns_to_a_snapshot() -> None:
    ring = Ring(keep_bytes=100_000)
    grow(ring, b"a line\n" * 100_000)
    position = viewer(ring, have=0)
    position.detach_if_silent(0.0)
    steps_of(position)
    assert not position.detach_if_silent(1.9)
    assert position.paces()
    assert position.detach_if_silent(2.1)
    assert not position.paces()
    grow(ring, b"later\n" * 50_000)
    ring.forget(ring.end)
    assert position.next_step() is None
    position.acknowledge(5, 9.0)
    steps = steps_of(position)
    assert isinstance(steps[0], Reset)
    assert text_of(steps).endswith(b"later\n")


def test_a_controller_that_answers_is_never_detached_however_slow_it_is() -> None:
    ring = Ring()
    grow(ring, b"x" * (CREDIT_BYTES * 2))
    position = viewer(ring, have=0)
    steps_of(position)
    for second in range(1, 20):
        position.acknowledge(second * 100, float(second))
        steps_of(position)
        assert not position.detach_if_silent(second + 0.9)


def test_an_interrupted_backlog_passes_unseen_and_its_end_is_shown() -> None:
    ring = Ring(keep_bytes=100_000)
    position = viewer(ring)
    steps_of(position)
    grow(ring, b"flood\n" * 100_000)
    steps_of(position)
    assert position.skip_ahead(1.0)
    assert not position.paces()
    grow(ring, b"more\n" * 100_000 + b"$ ")
    ring.forget(ring.end)
    position.acknowledge(5000, 1.1)
    assert position.next_step() is None
    assert not position.return_if_due(1.2)
    assert position.return_if_due(1.31)
    steps = steps_of(position)
    assert isinstance(steps[0], Reset)
    assert text_of(steps).endswith(b"more\n$ ")


def test_an_interrupt_without_a_backlog_changes_nothing() -> None:
    ring = Ring()
    grow(ring, b"$ ")
    position = viewer(ring)
    steps_of(position)
    assert not position.skip_ahead(1.0)


def test_a_quiet_controller_is_not_silent() -> None:
    ring = Ring()
    grow(ring, b"prompt$ ")
    position = viewer(ring, have=0)
    steps_of(position)
    assert not position.detach_if_silent(1000.0)


def test_a_client_without_answers_is_paced_by_its_socket() -> None:
    ring = Ring()
    grow(ring, b"x" * (CREDIT_BYTES * 3))
    position = viewer(ring, have=0, acknowledges=False)
    assert position.paces()
    assert len(text_of(steps_of(position, now=1.0))) == CREDIT_BYTES * 3
    assert not position.paces()


def test_a_watcher_that_falls_out_of_the_ring_skips_to_a_snapshot() -> None:
    ring = Ring(keep_bytes=10_000)
    position = viewer(ring, acknowledges=False)
    steps_of(position)
    grow(ring, b"a line\n" * 30_000)
    ring.forget(ring.end)
    steps = steps_of(position)
    assert isinstance(steps[0], Reset)
    assert position.sent == ring.end
