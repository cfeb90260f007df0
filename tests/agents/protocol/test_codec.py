"""Messages survive the way to text and back; everything else is refused."""

import json
import types
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.protocol import channel_messages, messages
from agents.protocol import fields as wire_fields
from agents.protocol.codec import decode_message, dump_json, encode_message, is_clean_text, parse_strict_json
from agents.protocol.errors import MalformedMessage

ALL_SETS = (
    messages.AGENT_MESSAGES,
    messages.SERVER_MESSAGES,
    channel_messages.AGENT_CHANNEL_MESSAGES,
    channel_messages.SERVER_CHANNEL_MESSAGES,
)
ALL_CLASSES = [(group, cls) for group in ALL_SETS for cls in group]
LONGEST = 10_000_000


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    rule: Any = None
    if get_origin(hint) is Annotated:
        hint, rule = get_args(hint)[:2]
    if get_origin(hint) is types.UnionType:
        inner = next(part for part in get_args(hint) if part is not type(None))
        return st.none() | values_of(inner)
    if get_origin(hint) is tuple:
        return st.lists(values_of(get_args(hint)[0]), max_size=3).map(tuple)
    if hint is bool:
        return st.booleans()
    if hint is int:
        return st.integers(rule.lowest, rule.highest)
    if hint is datetime:
        return st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2200, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))
    if hint is str:
        if rule.pattern is not None:
            return st.from_regex(rule.pattern, fullmatch=True).filter(lambda t: rule.shortest <= len(t) <= rule.longest)
        return st.text(min_size=rule.shortest, max_size=min(rule.longest, 40)).filter(
            lambda t: is_clean_text(t, many_lines=rule.many_lines)
        )
    if issubclass(hint, StrEnum):
        return st.sampled_from(hint)
    assert is_dataclass(hint)
    return records_of(hint)


def fixed_text(length: int) -> st.SearchStrategy[str]:
    return st.text("abcXYZ019_-", min_size=length, max_size=length)


FIXED = {
    wire_fields.KeyText: fixed_text(43),
    wire_fields.Nonce: fixed_text(43),
    wire_fields.SignatureText: fixed_text(86),
    wire_fields.Secret: fixed_text(43),
    wire_fields.Digest: st.text("0123456789abcdef", min_size=64, max_size=64),
    wire_fields.MarksNonce: st.text("0123456789abcdef", min_size=32, max_size=32),
    wire_fields.Document: st.just("aaa.bbb.ccc"),
}


def records_of(cls: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls, include_extras=True)
    parts = {f.name: FIXED[hints[f.name]] if hints[f.name] in FIXED else values_of(hints[f.name]) for f in fields(cls)}
    return st.builds(cls, **parts)


@pytest.mark.parametrize(("group", "cls"), ALL_CLASSES, ids=lambda item: getattr(item, "__name__", None))
def test_every_message_survives_the_way_to_text_and_back(group: Any, cls: Any) -> None:
    @settings(max_examples=8, deadline=None)
    @given(records_of(cls))
    def check(message: Any) -> None:
        assert decode_message(encode_message(message), group, longest_bytes=LONGEST) == message

    check()


def test_every_type_of_a_set_has_its_own_name() -> None:
    for group in ALL_SETS:
        assert len({cls.TYPE for cls in group}) == len(group)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_arbitrary_input_is_a_message_or_a_refusal(text: bytes | str) -> None:
    with pytest.raises(MalformedMessage):
        decode_message(text, messages.SERVER_MESSAGES, longest_bytes=1000)


@settings(max_examples=60, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda kids: st.lists(kids, max_size=3), max_leaves=5))
def test_a_field_of_any_wrong_type_is_refused_or_valid(value: Any) -> None:
    text = json.dumps({"type": "pong", "count": value})
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
        assert decode_message(text, messages.SERVER_MESSAGES, longest_bytes=1000) == messages.Pong(value)
    else:
        with pytest.raises(MalformedMessage):
            decode_message(text, messages.SERVER_MESSAGES, longest_bytes=100_000)


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "ping", "count": 1, "count": 2}',
        '{"type": "ping", "count": NaN}',
        '{"type": "ping", "count": 1e3}',
        '{"type": "ping", "count": true}',
        '{"type": "ping", "count": -1}',
        '{"type": "ping", "count": ' + "9" * 5000 + "}",
        '{"type": "ping"}',
        '{"count": 1}',
        '{"type": ["ping"], "count": 1}',
        '["ping"]',
        '{"type": "ping", "count": 1, "x": ' + "[" * 100 + "]" * 100 + "}",
        '{"type": "ping", "count": 1, "x": ' + "[" * 20000 + "]" * 20000 + "}",
        '{"type": "ping", "count": 1, "crit": ["must"], "must": 1}',
        '{"type": "ping", "count": 1, "crit": ["absent"]}',
        '{"type": "ping", "count": 1, "crit": "count"}',
        '{"type": "pong", "count": 1}',
        '{"type": "ping", "count": 1}\x00',
        "",
    ],
)
def test_malformed_text_is_refused(text: str) -> None:
    with pytest.raises(MalformedMessage):
        decode_message(text, messages.AGENT_MESSAGES, longest_bytes=200_000)


def test_an_unknown_field_is_ignored_unless_it_is_critical() -> None:
    accepted = decode_message('{"type":"ping","count":1,"later":[1]}', messages.AGENT_MESSAGES, longest_bytes=100)
    assert accepted == messages.Ping(1)
    critical = decode_message('{"type":"ping","count":1,"crit":["count"]}', messages.AGENT_MESSAGES, longest_bytes=100)
    assert critical == messages.Ping(1)


def test_a_message_larger_than_the_limit_is_refused() -> None:
    text = encode_message(messages.Ping(1))
    assert decode_message(text, messages.AGENT_MESSAGES, longest_bytes=len(text)) == messages.Ping(1)
    with pytest.raises(MalformedMessage):
        decode_message(text, messages.AGENT_MESSAGES, longest_bytes=len(text) - 1)


@pytest.mark.parametrize("reason", ["two\nlines", "\x1b[2J", "\x9b31m", "\ud800", "x" * 501])
def test_text_from_a_stranger_has_no_control_characters(reason: str) -> None:
    text = dump_json({"type": "refused", "code": "busy", "reason": reason})
    with pytest.raises(MalformedMessage):
        decode_message(text, messages.SERVER_MESSAGES, longest_bytes=10_000)


@pytest.mark.parametrize("moment", ["2026-11-23T12:00:00", "2026-11-23T12:00:00+01:00", "2026-W47-1T12:00:00Z", "2026-13-01T00:00:00Z", 5])
def test_a_time_is_in_utc_and_of_one_form(moment: Any) -> None:
    with pytest.raises(MalformedMessage):
        decode_message(
            dump_json({"type": "ask_consent", "request": "aaa.bbb.ccc", "expires_at": moment}),
            messages.SERVER_MESSAGES,
            longest_bytes=1000,
        )


def test_we_never_send_what_the_other_side_must_refuse() -> None:
    with pytest.raises(MalformedMessage):
        encode_message(messages.Ping(-1))
    with pytest.raises(MalformedMessage):
        encode_message(messages.AskConsent(request="aaa.bbb.ccc", expires_at=datetime(2026, 1, 1)))


def test_lone_surrogates_in_the_text_itself_are_refused() -> None:
    with pytest.raises(MalformedMessage):
        parse_strict_json('{"a": "\ud800"}', longest_bytes=100)
