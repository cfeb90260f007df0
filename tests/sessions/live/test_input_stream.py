"""Input: once or not at all, never late, never miscounted."""

from __future__ import annotations

import pytest

from agents.protocol.limits import INPUT_CREDIT_BYTES
from sessions.live.errors import PositionRefused
from sessions.live.input_stream import InputStream, KeyboardClosed, KeyboardOpen, Order, SendInput, SendRebase


def stream(*, attached: bool = True, applied: int | None = 0) -> InputStream:
    made = InputStream(first_generation=7, applied=applied)
    if attached:
        made.agent_attached(applied or 0, 0.0)
    return made


def sent(orders: list[Order]) -> bytes:
    return b"".join(order.data for order in orders if isinstance(order, SendInput))


def test_a_key_goes_out_at_once() -> None:
    assert stream().accept(b"a", 0.0) == [SendInput(b"a")]


def test_keys_typed_while_the_channel_opens_are_sent_when_the_agent_attaches() -> None:
    made = stream(attached=False)
    assert made.open_keyboard(new_controller=True) == KeyboardOpen(0, 8)
    assert made.accept(b"early", 0.0) == []
    assert sent(made.agent_attached(0, 0.3)) == b"early"


def test_nothing_is_accepted_before_the_agent_has_said_how_much_it_applied() -> None:
    made = stream(attached=False, applied=None)
    assert made.open_keyboard(new_controller=True) is None
    assert made.accept(b"x", 0.0) == []
    assert made.agent_attached(500, 1.0) == []
    assert made.open_keyboard(new_controller=True) == KeyboardOpen(500, 7)
    assert made.accept(b"x", 1.0) == [SendInput(b"x")]


def test_after_a_reconnect_exactly_what_was_not_applied_is_sent_again() -> None:
    made = stream()
    made.accept(b"hello ", 0.0)
    made.accept(b"world", 0.0)
    made.note_applied(3)
    made.agent_detached()
    made.accept(b"!", 1.0)
    assert sent(made.agent_attached(8, 2.0)) == b"rld!"


def test_input_beyond_the_credit_is_refused() -> None:
    made = stream()
    made.accept(b"x" * INPUT_CREDIT_BYTES, 0.0)
    with pytest.raises(PositionRefused):
        made.accept(b"y", 0.0)
    made.note_applied(10)
    assert made.credit == 10


@pytest.mark.parametrize("applied", [4, 100])
def test_an_agent_that_acknowledges_what_it_was_not_sent_is_refused(applied: int) -> None:
    made = stream()
    made.accept(b"abc", 0.0)
    with pytest.raises(PositionRefused):
        made.note_applied(applied)


def test_an_agent_that_counts_back_is_refused() -> None:
    made = stream()
    made.accept(b"abc", 0.0)
    made.note_applied(3)
    made.agent_detached()
    with pytest.raises(PositionRefused):
        made.agent_attached(2, 1.0)


def test_input_that_the_terminal_does_not_take_for_five_seconds_is_dropped_and_counted() -> None:
    made = stream()
    made.accept(b"rm -rf old", 0.0)
    made.note_applied(3)
    assert made.look(4.9) == []
    (order,) = made.look(5.0)
    assert isinstance(order, SendRebase)
    assert made.accept(b"late", 5.1) == []
    assert made.note_rebased(order.generation, 4) == [KeyboardOpen(4, order.generation, dropped=6)]
    assert made.accept(b"new", 6.0) == [SendInput(b"new")]


def test_an_answer_to_an_older_rebase_changes_nothing() -> None:
    made = stream()
    made.accept(b"x", 0.0)
    (order,) = made.look(6.0)
    assert isinstance(order, SendRebase)
    assert made.note_rebased(order.generation - 1, 0) == []
    assert not made.is_open


def test_input_is_given_up_while_the_agent_is_away_and_told_exactly_when_it_is_back() -> None:
    made = stream()
    made.accept(b"0123456789", 0.0)
    made.agent_detached()
    assert made.look(5.5) == [KeyboardClosed(0)]
    assert made.accept(b"late", 6.0) == []
    (opened,) = made.agent_attached(7, 60.0)
    assert opened == KeyboardOpen(7, 8, dropped=3)
    assert made.accept(b"new", 60.0) == [SendInput(b"new")]


def test_old_input_is_not_sent_by_an_agent_that_comes_back_just_in_time() -> None:
    made = stream()
    made.agent_detached()
    made.accept(b"rm", 0.0)
    (opened,) = made.agent_attached(0, 5.0)
    assert opened == KeyboardOpen(0, 8, dropped=2)


def test_a_stalled_record_holds_input_back_and_drops_it_when_it_lasts() -> None:
    made = stream()
    made.gate(True)
    assert made.accept(b"abc", 0.0) == []
    assert sent(made.gate(False)) == b"abc"
    made.note_applied(3)
    made.gate(True)
    made.accept(b"def", 1.0)
    assert made.look(6.5) == [KeyboardOpen(3, 8, dropped=3)]
    assert made.gate(False) == []


def test_another_controller_starts_a_generation_and_keeps_the_count() -> None:
    made = stream()
    made.accept(b"abc", 0.0)
    assert made.open_keyboard(new_controller=True) == KeyboardOpen(3, 8)


def test_after_a_restart_the_page_goes_on_with_its_own_generation_only_if_its_count_fits() -> None:
    made = stream(applied=None, attached=False)
    made.agent_attached(50, 0.0)
    made.adopt(123, low=40, high=60)
    assert made.open_keyboard(new_controller=False) == KeyboardOpen(50, 123)
    other = stream(applied=None, attached=False)
    other.agent_attached(50, 0.0)
    other.adopt(123, low=51, high=60)
    assert other.open_keyboard(new_controller=False) == KeyboardOpen(50, 7)


def test_nothing_passes_after_the_end() -> None:
    made = stream()
    made.accept(b"abc", 0.0)
    assert made.kill() == 3
    assert made.accept(b"x", 0.0) == []
    assert made.agent_attached(1, 0.0) == []
    assert made.open_keyboard(new_controller=True) is None
