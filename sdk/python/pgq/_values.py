"""Python's values as the ones of `pgq:plugin/sql`, and back. A value is a pair: the case's name and what is in it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Union

_EPOCH = datetime(1970, 1, 1)
_DAY = date(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Json:
    """A parameter that is JSON."""

    value: Any


@dataclass(frozen=True)
class Interval:
    """PostgreSQL's interval: its three parts do not add up to one number."""

    months: int = 0
    days: int = 0
    microseconds: int = 0


Scalar = "tuple[str, Any]"
Value = Union[Scalar, "list[tuple[str, Any]]"]


def to_value(value: Any) -> Any:
    """A list or tuple is an array, anything else one value."""
    return [to_scalar(item) for item in value] if isinstance(value, (list, tuple)) else to_scalar(value)


def to_scalar(value: Any) -> Any:
    """One value."""
    if value is None:
        return ("null", None)
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, int):
        return ("int64", value) if -(2**63) <= value < 2**63 else ("numeric", str(value))
    if isinstance(value, float):
        return ("float64", value)
    if isinstance(value, Decimal):
        return ("numeric", str(value))
    if isinstance(value, str):
        return ("text", value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return ("bytes", bytes(value))
    if isinstance(value, dict):
        return ("json", json.dumps(value))
    if isinstance(value, Json):
        return ("json", json.dumps(value.value))
    if isinstance(value, uuid.UUID):
        return ("uuid", str(value))
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return ("timestamp", (value - _EPOCH) // _MICROSECOND)
        return ("timestamptz", (value - _EPOCH.replace(tzinfo=timezone.utc)) // _MICROSECOND)
    if isinstance(value, date):
        return ("date", (value - _DAY).days)
    if isinstance(value, time):
        return ("time", ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond)
    if isinstance(value, timedelta):
        return ("interval", Interval(0, value.days, (value - timedelta(days=value.days)) // _MICROSECOND))
    if isinstance(value, Interval):
        return ("interval", value)
    raise TypeError(f"a {type(value).__name__} has no place in a statement; give text, which is good for any type")


def from_value(value: Any) -> Any:
    """An array is a list."""
    return [from_scalar(*item) for item in value] if isinstance(value, list) else from_scalar(*value)


def from_scalar(case: str, value: Any) -> Any:
    """One value. Raises OverflowError for times that Python cannot say, like `infinity`."""
    if case == "numeric":
        return Decimal(value)
    if case == "json":
        return json.loads(value)
    if case == "uuid":
        return uuid.UUID(value)
    if case == "date":
        return _DAY + timedelta(days=value)
    if case == "time":
        if value == 86_400_000_000:
            raise OverflowError("Python has no time 24:00; cast the column to text")
        return (_EPOCH + timedelta(microseconds=value)).time()
    if case == "timestamp":
        return _EPOCH + timedelta(microseconds=value)
    if case == "timestamptz":
        return _EPOCH.replace(tzinfo=timezone.utc) + timedelta(microseconds=value)
    if case == "interval" and not value.months:
        return timedelta(days=value.days, microseconds=value.microseconds)
    return value
