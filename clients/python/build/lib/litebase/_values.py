"""Values between Python and the protocol, and the types of columns by which PEP 249 tells them apart.

Parameters: None, bool, int (64 bits), float, str, bytes and what `adapt` makes one of these of. Results of SQLite are what it
stores: None, int, float, str, bytes. A server's column has a type, and where Python has the same one, its values become that:
see `CONVERTERS`.
"""

from __future__ import annotations

import datetime
import decimal
import functools
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional

from ._arrays import array_converter

Converter = Callable[[str], Any]


def _duration_text(value: datetime.timedelta) -> str:
    """As PostgreSQL reads an interval and MySQL a TIME: hours, minutes, seconds, with a sign before all of them."""
    microseconds = value // datetime.timedelta(microseconds=1)
    sign, rest = ("-" if microseconds < 0 else ""), abs(microseconds)
    seconds, fraction = divmod(rest, 1_000_000)
    text = f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{fraction:06}" if fraction else text


def adapt(value: Any) -> Any:
    """What a value that the protocol has no form for is sent as.

    Decimals, dates, times and UUIDs go as text: that is exact, and every engine reads it (docs/protocol.md, Values).
    Raises: OverflowError for an integer without a form; TypeError for anything else: a wrong guess would be stored.
    """
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return _duration_text(value)
    if isinstance(value, int):
        raise OverflowError("an integer has more than 64 bits")
    raise TypeError(f"a parameter cannot be of type {type(value).__name__}")


# Results

_ZONE = re.compile(r"([+-]\d\d)(?::?(\d\d))?(?::?(\d\d))?$")
_FRACTION = re.compile(r"\.(\d{1,6})")


def _iso(text: str) -> str:
    """Times as datetime.fromisoformat reads them in Python 3.9: six digits of a fraction, minutes in a zone."""
    text = _FRACTION.sub(lambda match: "." + match[1].ljust(6, "0"), text, count=1)
    return _ZONE.sub(lambda match: f"{match[1]}:{match[2] or '00'}" + (f":{match[3]}" if match[3] else ""), text, count=1)


def _or_text(convert: Converter) -> Converter:
    """What Python's type has no room for ("infinity", "0000-00-00", years before 1) stays the text that the engine writes."""

    def converter(text: str) -> Any:
        try:
            return convert(text)
        except (ValueError, ArithmeticError):
            return text

    return converter


def _time(text: str) -> datetime.time:
    return datetime.time.fromisoformat(_iso(text))


def _timestamp(text: str) -> datetime.datetime:
    # A date alone would be read, too, as its midnight.
    if len(text) < 19:
        raise ValueError(text)
    return datetime.datetime.fromisoformat(_iso(text) if "." in text or "+" in text or "-" in text[10:] else text)


_MYSQL_TIME = re.compile(r"(-?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?$")


def _mysql_time(text: str) -> datetime.timedelta:
    """MySQL's TIME is a duration from −838 to 838 hours."""
    match = _MYSQL_TIME.match(text)
    if match is None:
        raise ValueError(text)
    hours, minutes, seconds = int(match[2]), int(match[3]), int(match[4])
    value = datetime.timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=int((match[5] or "").ljust(6, "0")))
    return -value if match[1] else value


_INTERVAL = re.compile(r"(?:(-?\d+) days?)?(?: ?([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?$")


def _interval(text: str) -> datetime.timedelta:
    """An interval of PostgreSQL's without years and months, which have no length."""
    match = _INTERVAL.match(text)
    if match is None or not text:
        raise ValueError(text)
    hours, minutes, seconds, fraction = (
        int(part or 0) for part in (match[3], match[4], match[5], (match[6] or "").ljust(6, "0"))
    )
    time_of_day = datetime.timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=fraction)
    return datetime.timedelta(days=int(match[1] or 0)) + (-time_of_day if match[2] == "-" else time_of_day)


_DECIMAL = _or_text(decimal.Decimal)
_DATE = _or_text(datetime.date.fromisoformat)

#: Engine → type of a column → what makes a value of Python of the engine's text.
CONVERTERS: Mapping[str, Mapping[str, Converter]] = {
    "postgresql": {
        "decimal": _DECIMAL,
        "date": _DATE,
        "time": _or_text(_time),
        "timetz": _or_text(_time),
        "timestamp": _or_text(_timestamp),
        "timestamptz": _or_text(_timestamp),
        "interval": _or_text(_interval),
        "uuid": _or_text(uuid.UUID),
    },
    "mysql": {
        "decimal": _DECIMAL,
        "date": _DATE,
        "time": _or_text(_mysql_time),
        "datetime": _or_text(_timestamp),
        "timestamp": _or_text(_timestamp),
    },
}


#: Types of an array's elements that are values of the protocol outside of arrays, and have other names there.
_ELEMENTS: Mapping[str, Converter] = {
    "int2": int,
    "int4": int,
    "int8": int,
    "oid": int,
    "float4": float,
    "float8": float,
    "bool": lambda text: text == "t",
    "numeric": _DECIMAL,
    "bytea": _or_text(lambda text: bytes.fromhex(text.removeprefix("\\x"))),
}


def _converter(engine: str, kind: str) -> Optional[Converter]:
    known = CONVERTERS.get(engine, {})
    # Boxes are the one type whose elements a comma does not separate.
    if engine != "postgresql" or not kind.endswith("[]") or kind == "box[]":
        return known.get(kind)
    element = kind[:-2]
    return _or_text(array_converter(_ELEMENTS.get(element) or known.get(element)))


@functools.lru_cache(maxsize=256)
def row_converter(engine: str, types: tuple[str, ...]) -> Callable[[Sequence[tuple[Any, ...]]], list[tuple[Any, ...]]] | None:
    """What makes rows of Python values of rows of the protocol's, for columns of these types; None where they are the same."""
    found = [(place, _converter(engine, kind)) for place, kind in enumerate(types)]
    places = [(place, converter) for place, converter in found if converter is not None]
    if not places:
        return None

    def convert(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        converted = []
        for row in rows:
            values = list(row)
            for place, converter in places:
                value = values[place]
                if isinstance(value, str):
                    values[place] = converter(value)
            converted.append(tuple(values))
        return converted

    return convert


# PEP 249: type objects and constructors


class TypeObject:
    """A set of types of columns: `cursor.description[0][1] == litebase.NUMBER`."""

    def __init__(self, name: str, *types: str) -> None:
        self._name = name
        self._types = frozenset(types)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TypeObject):
            return self._types == other._types
        return other in self._types

    def __hash__(self) -> int:
        return hash(self._types)

    def __repr__(self) -> str:
        return f"litebase.{self._name}"


STRING = TypeObject("STRING", "text", "varchar", "bpchar", "char", "name", "json", "jsonb", "uuid", "enum", "set", "xml")
BINARY = TypeObject("BINARY", "blob", "bytea")
NUMBER = TypeObject("NUMBER", "integer", "real", "decimal", "boolean")
DATETIME = TypeObject("DATETIME", "date", "time", "timetz", "timestamp", "timestamptz", "datetime", "interval")
#: Of SQLite: its last_insert_rowid() is `cursor.lastrowid`; no column has a type of its own for it.
ROWID = TypeObject("ROWID", "rowid")

Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime
Binary = bytes


def DateFromTicks(ticks: float) -> datetime.date:  # noqa: N802 - PEP 249 gives the names
    """The date of a time in seconds since 1970, in the local zone."""
    return Date(*time.localtime(ticks)[:3])


def TimeFromTicks(ticks: float) -> datetime.time:  # noqa: N802
    """The time of day of a time in seconds since 1970, in the local zone."""
    return Time(*time.localtime(ticks)[3:6])


def TimestampFromTicks(ticks: float) -> datetime.datetime:  # noqa: N802
    """The date and time of a time in seconds since 1970, in the local zone."""
    return Timestamp(*time.localtime(ticks)[:6])
