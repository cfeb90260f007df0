"""Strict JSON in both directions: one message or document payload to text and back, every field checked.

What the messages are is in messages.py; transport and signatures are elsewhere. Nothing here does I/O.
"""

import json
import re
import types
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from agents.protocol.errors import MalformedMessage
from agents.protocol.fields import Items, Text, Whole

_DEEPEST = 32
_UTC_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{3}(?:[0-9]{3})?)?Z")

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    hint: Any
    required: bool


def parse_strict_json(text: str | bytes, *, longest_bytes: int) -> dict[str, Any]:
    """Read one JSON object; refuse duplicate keys, NaN, broken Unicode, depth and anything above the size.

    Raises MalformedMessage.
    """
    try:
        raw = text.encode("utf-8") if isinstance(text, str) else text
        if len(raw) > longest_bytes:
            raise MalformedMessage(f"message has {len(raw)} bytes, at most {longest_bytes} are allowed")
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique_pairs, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise MalformedMessage(f"message is not strict JSON: {type(exc).__name__}") from exc
    if not isinstance(value, dict):
        raise MalformedMessage("message is not a JSON object")
    _check_depth(value, 0)
    return cast("dict[str, Any]", value)


def dump_json(value: dict[str, Any]) -> str:
    """Write the one canonical form: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def encode_record(record: Any) -> dict[str, Any]:
    """Turn a dataclass of the wire into a JSON object, checking every field as a reader would.

    Raises MalformedMessage, so that we never send what the other side must refuse.
    """
    values = {spec.name: _encode(spec.name, spec.hint, getattr(record, spec.name)) for spec in _specs(type(record))}
    kind = getattr(type(record), "TYPE", None)
    return values if kind is None else {"type": kind, **values}


def decode_record(cls: type[Value], value: dict[str, Any]) -> Value:
    """Build a dataclass of the wire from a JSON object.

    Unknown fields are ignored unless the object's `crit` list names them; then, and for every field out of
    type or range, MalformedMessage is raised.
    """
    specs = _specs(cls)
    known = {spec.name for spec in specs} | {"type", "crit"}
    critical = value.get("crit", [])
    if not isinstance(critical, list) or any(not isinstance(name, str) for name in cast("list[Any]", critical)):
        raise MalformedMessage("crit is not a list of names")
    for name in cast("list[str]", critical):
        if name not in known or name not in value:
            raise MalformedMessage("a critical field is not understood")
    arguments: dict[str, Any] = {}
    for spec in specs:
        if spec.name in value:
            arguments[spec.name] = _decode(spec.name, spec.hint, value[spec.name])
        elif spec.required:
            raise MalformedMessage(f"{spec.name} is missing")
    return cls(**arguments)


def encode_message(message: Any) -> str:
    """Write one message of messages.py as a line of JSON."""
    return dump_json(encode_record(message))


def decode_message(text: str | bytes, accepted: Iterable[type[Value]], *, longest_bytes: int) -> Value:
    """Read one message; its `type` must be among the accepted classes. Raises MalformedMessage."""
    value = parse_strict_json(text, longest_bytes=longest_bytes)
    kind = value.get("type")
    for cls in accepted:
        if getattr(cls, "TYPE", None) == kind and isinstance(kind, str):
            return decode_record(cls, value)
    raise MalformedMessage("type of the message is not known here")


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_depth(value: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise MalformedMessage("message is nested too deep")
    if isinstance(value, dict):
        for item in cast("dict[str, Any]", value).values():
            _check_depth(item, depth + 1)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            _check_depth(item, depth + 1)


@cache
def _specs(cls: type[Any]) -> tuple[_Field, ...]:
    hints = get_type_hints(cls, include_extras=True)
    return tuple(_Field(f.name, hints[f.name], f.default is MISSING and f.default_factory is MISSING) for f in fields(cls))


def _split(hint: Any) -> tuple[Any, Any]:
    """Return the bare type and our constraint, if there is one."""
    if get_origin(hint) is Annotated:
        bare, *extras = get_args(hint)
        return bare, next((extra for extra in extras if isinstance(extra, Text | Whole | Items)), None)
    return hint, None


def _optional_of(bare: Any) -> Any | None:
    if get_origin(bare) in (Union, types.UnionType):
        rest = [part for part in get_args(bare) if part is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return None


def _encode(name: str, hint: Any, value: Any) -> Any:
    if value is None:
        encoded = None
    elif isinstance(value, datetime):
        if value.tzinfo is None:
            raise MalformedMessage(f"{name} has no time zone")
        encoded = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    elif isinstance(value, StrEnum):
        encoded = value.value
    elif isinstance(value, tuple | list):
        bare, _ = _split(hint)
        encoded = [_encode(name, get_args(bare)[0], item) for item in cast("tuple[Any, ...]", value)]
    elif is_dataclass(value):
        encoded = encode_record(value)
    else:
        encoded = value
    _decode(name, hint, encoded)
    return encoded


def _decode(name: str, hint: Any, value: Any) -> Any:
    bare, constraint = _split(hint)
    inner = _optional_of(bare)
    if inner is not None:
        return None if value is None else _decode(name, inner, value)
    if get_origin(bare) is tuple:
        return _decode_list(name, bare, constraint, value)
    if bare is bool:
        if not isinstance(value, bool):
            raise MalformedMessage(f"{name} is not true or false")
        return value
    if bare is int:
        return _decode_whole(name, constraint, value)
    if bare is datetime:
        return _decode_time(name, value)
    if isinstance(bare, type) and issubclass(bare, StrEnum):
        try:
            return bare(value)
        except ValueError as exc:
            raise MalformedMessage(f"{name} has an unknown value") from exc
    if bare is str:
        return _decode_text(name, constraint, value)
    if is_dataclass(bare) and isinstance(bare, type):
        if not isinstance(value, dict):
            raise MalformedMessage(f"{name} is not an object")
        return decode_record(bare, cast("dict[str, Any]", value))
    raise TypeError(f"field {name} has a type the codec does not know")


def _decode_list(name: str, bare: Any, constraint: Any, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise MalformedMessage(f"{name} is not a list")
    most = constraint.most if isinstance(constraint, Items) else 256
    items = cast("list[Any]", value)
    if len(items) > most:
        raise MalformedMessage(f"{name} has more than {most} items")
    return tuple(_decode(name, get_args(bare)[0], item) for item in items)


def _decode_whole(name: str, constraint: Any, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise MalformedMessage(f"{name} is not a whole number")
    if isinstance(constraint, Whole) and not constraint.lowest <= value <= constraint.highest:
        raise MalformedMessage(f"{name} is out of range")
    return value


def _decode_time(name: str, value: Any) -> datetime:
    if not isinstance(value, str) or not _UTC_TIME.fullmatch(value):
        raise MalformedMessage(f"{name} is not a time in UTC")
    try:
        return datetime.fromisoformat(value[:-1]).replace(tzinfo=UTC)
    except ValueError as exc:
        raise MalformedMessage(f"{name} is not a time in UTC") from exc


def _decode_text(name: str, constraint: Any, value: Any) -> str:
    if not isinstance(value, str):
        raise MalformedMessage(f"{name} is not text")
    rule = constraint if isinstance(constraint, Text) else Text(500)
    if not rule.shortest <= len(value) <= rule.longest:
        raise MalformedMessage(f"{name} has a wrong length")
    if rule.pattern is not None:
        if not rule.pattern.fullmatch(value):
            raise MalformedMessage(f"{name} has a wrong form")
    elif not is_clean_text(value, many_lines=rule.many_lines):
        raise MalformedMessage(f"{name} has control characters")
    return value


def is_clean_text(value: str, *, many_lines: bool = False) -> bool:
    """Tell whether a text has no control characters, no lone surrogates and, unless allowed, one line only."""
    for character in value:
        point = ord(character)
        is_control = point < 0x20 or 0x7F <= point < 0xA0 or point in (0x2028, 0x2029)
        is_surrogate = 0xD800 <= point < 0xE000
        if is_surrogate or (is_control and not (many_lines and character in "\n\t")):
            return False
    return True
