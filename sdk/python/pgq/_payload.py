"""Payloads to the types that handlers name, and values to bytes."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any, Callable, Optional

from ._job import Job
from ._outcome import Reject

Reader = Callable[[Job], Any]


def reader(annotation: Any) -> Reader:
    """What reads a payload of this type: bytes, str, a dataclass, or whatever JSON has."""
    if annotation is bytes:
        return Job._bytes
    if annotation is str:
        return lambda job: job.text
    inner = _optional(annotation)
    if inner is not None:
        read = reader(inner)
        return lambda job: None if job.payload is None else read(job)

    def read_json(job: Job) -> Any:
        try:
            return build(annotation, job.json(), "")
        except Mismatch as error:
            raise Reject(f"the payload is not the JSON expected: {error}") from None

    return read_json


class Mismatch(ValueError):
    """JSON of another shape. Its text names the place."""


def build(kind: Any, value: Any, place: str) -> Any:
    """The value as this type: dataclasses from objects, with their fields checked, to any depth."""
    if kind is Any or kind is typing.Any or kind is None:
        return value
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, place)
    inner = _optional(kind)
    if inner is not None:
        return None if value is None else build(inner, value, place)
    origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin is list:
        items = _check(list, value, place)
        return [build(arguments[0], item, f"{place}[{n}]") for n, item in enumerate(items)] if arguments else items
    if origin is dict:
        fields = _check(dict, value, place)
        return {key: build(arguments[1], item, f"{place}.{key}") for key, item in fields.items()} if arguments else fields
    if origin is float and type(value) is int:
        return float(value)
    if origin in (bool, int, float, str):
        return _check(origin, value, place)
    return value


def _record(kind: Any, value: Any, place: str) -> Any:
    given = _check(dict, value, place)
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    unset = (dataclasses.MISSING, dataclasses.MISSING)
    for name, field in fields.items():
        if name not in given and (field.default, field.default_factory) == unset:
            raise Mismatch(f"{_at(place)}the field {name!r} is missing")
    # Fields that are not named are left out, so that producers can add some before handlers know them.
    return kind(**{name: build(hints[name], given[name], f"{place}.{name}") for name in fields if name in given})


def _check(kind: type, value: Any, place: str) -> Any:
    if type(value) is not kind:
        names = {dict: "an object", list: "a list", str: "text", int: "a whole number", float: "a number", bool: "true or false"}
        raise Mismatch(f"{_at(place)}expected {names[kind]}, found {json.dumps(value)[:80]}")
    return value


def _at(place: str) -> str:
    return f"{place.removeprefix('.')}: " if place else ""


def _optional(annotation: Any) -> Optional[Any]:
    """The type without None, if it has it."""
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return None
    others = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    return others[0] if len(others) == 1 and len(typing.get_args(annotation)) == 2 else None


def encode(value: Any, what: str) -> Optional[bytes]:
    """Bytes as they are, text in UTF-8, anything else as JSON."""
    if value is None:
        return None
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        return value.encode()
    return encode_json(value, what)


def encode_json(value: Any, what: str) -> bytes:
    """The value as JSON."""

    def other(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return dataclasses.asdict(value)
        raise TypeError(f"a {type(value).__name__} has no form in JSON")

    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=other).encode()
    except (TypeError, ValueError) as error:
        raise Reject(f"{what} cannot be represented as JSON: {error}") from None
