"""Ticket numbers: the check digit, and what is recognised in subjects."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import InvalidInput
from orchestrator.tickets.numbers import DEFAULT_NUMBER_FORMAT, check_digit, check_format, find_numbers, format_number, subject_tag

COUNTERS = st.integers(min_value=1, max_value=999_999)
YEARS = st.integers(min_value=2020, max_value=2099)
NUMBER = format_number(DEFAULT_NUMBER_FORMAT, year=2026, counter=123)


def test_the_check_digit_is_damms() -> None:
    assert check_digit("572") == "4"  # the example of the published table
    assert check_digit("5724") == "0"


@given(YEARS, COUNTERS, st.data())
def test_every_single_wrong_digit_is_caught(year: int, counter: int, data: st.DataObject) -> None:
    number = format_number(DEFAULT_NUMBER_FORMAT, year=year, counter=counter)
    positions = [index for index, character in enumerate(number) if character.isdigit()]
    position = data.draw(st.sampled_from(positions))
    wrong = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != number[position]]))
    assert find_numbers(number[:position] + wrong + number[position + 1:]) == []


@given(YEARS, COUNTERS)
def test_every_swap_of_neighbours_is_caught(year: int, counter: int) -> None:
    number = format_number(DEFAULT_NUMBER_FORMAT, year=year, counter=counter)
    digits = number.replace("-", "")
    for index in range(len(digits) - 1):
        swapped = digits[:index] + digits[index + 1] + digits[index] + digits[index + 2:]
        if swapped != digits:
            assert find_numbers(f"{swapped[:4]}-{swapped[4:10]}-{swapped[10]}") == []


FRAMES = ["Re: [#{}] Drucker", "AW: WG: {}", "{}", "Ticket {}: x", "({})"]


@given(YEARS, st.integers(min_value=1, max_value=99_999_999), st.sampled_from(FRAMES))
def test_every_number_is_found_in_its_surroundings(year: int, counter: int, frame: str) -> None:
    number = format_number(DEFAULT_NUMBER_FORMAT, year=year, counter=counter)
    assert find_numbers(frame.format(number)) == [number]


@pytest.mark.parametrize("subject", [
    subject_tag(NUMBER), NUMBER, f"#{NUMBER}", NUMBER.replace("-", "–"), NUMBER.replace("-", " - "), NUMBER.replace("-", "."),
    f"Ticket {NUMBER.replace('-', '')}", f"#{NUMBER.replace('-', '')}", f"Vorgang Nr. {NUMBER.replace('-', ' ')}",
    f"Re: AW: [# {NUMBER} ] Drucker", f"ticketnummer: {NUMBER.replace('-', '')}",
])
def test_several_ways_of_writing_mean_the_same_number(subject: str) -> None:
    assert find_numbers(subject) == [NUMBER]


@pytest.mark.parametrize("subject", [
    "Rechnung 20260001234", "Tel. 0221-202600-0123", "", "IBAN DE89 3704 0044 0532 0130 00", f"9{NUMBER}", f"{NUMBER}7", "2026-000123-x",
])
def test_what_is_no_number_is_not_found(subject: str) -> None:
    assert find_numbers(subject) == []


def test_several_numbers_come_in_order_and_once() -> None:
    other = format_number(DEFAULT_NUMBER_FORMAT, year=2025, counter=7)
    assert find_numbers(f"[#{other}] wie in {NUMBER} und {other}") == [other, NUMBER]


def test_old_formats_stay_recognised() -> None:
    formats = ("T{year}{counter:05d}-{check}", DEFAULT_NUMBER_FORMAT, "{year}/{counter:04d}")
    old = format_number(formats[2], year=2019, counter=42)
    new = format_number(formats[0], year=2026, counter=42)
    assert find_numbers(f"{new} {NUMBER} {old}", formats) == [new, NUMBER, old]


@pytest.mark.parametrize("text", [
    "{counter}", "{year}", "{year}-{counter}-{other}", "{year", "{year}-{year}-{counter}", "{}" * 3, "{year.real}{counter}",
])
def test_a_format_without_unique_numbers_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        check_format(text)


def test_the_default_format_is_accepted() -> None:
    check_format(DEFAULT_NUMBER_FORMAT)
    assert NUMBER.startswith("2026-000123-")


@pytest.mark.parametrize("text", ["#" * 100_000, "2026-" * 20_000, "ticket " * 15_000, "1" * 100_000, "2026 - " * 15_000])
def test_no_subject_makes_the_search_slow(text: str) -> None:
    begun = time.perf_counter()
    find_numbers(text)
    assert time.perf_counter() - begun < 0.05
