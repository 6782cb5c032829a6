"""Types on PostgreSQL that SQLAlchemy 2 has and 1.4 has not: ranges, and the vectors of the catalogue. They travel as text."""

from __future__ import annotations

import decimal
import re
from typing import Any, Callable

from sqlalchemy.dialects.postgresql import ranges
from sqlalchemy.dialects.postgresql.pg_catalog import INT2VECTOR, OIDVECTOR

from litebase._values import CONVERTERS

_KNOWN = CONVERTERS["postgresql"]
#: What makes a bound of its text, by the name of the type without "range" or "multirange".
_BOUNDS: dict[str, Callable[[str], Any]] = {
    "int4": int,
    "int8": int,
    "num": decimal.Decimal,
    "date": _KNOWN["date"],
    "ts": _KNOWN["timestamp"],
    "tstz": _KNOWN["timestamptz"],
}
_RANGE = re.compile(r'([\[(])("[^"]*"|[^,"]*),("[^"]*"|[^\])"]*)([\])])|empty')


def _text(value: Any) -> str:
    if value.empty:
        return "empty"
    lower, upper = ("" if bound is None else str(bound) for bound in (value.lower, value.upper))
    return f"{value.bounds[0]}{lower},{upper}{value.bounds[1]}"


def _ranges_of(kind: Any, text: str) -> list[Any]:
    convert = _BOUNDS[re.sub("(multi)?range$", "", kind.__visit_name__.lower())]

    def bound(text: str) -> Any:
        return convert(text.strip('"')) if text else None

    def made(match: re.Match[str]) -> Any:
        bounds: Any = f"{match[1]}{match[4]}"
        return ranges.Range(bound(match[2]), bound(match[3]), bounds=bounds) if match[1] else ranges.Range(empty=True)

    return [made(match) for match in _RANGE.finditer(text)]


class _Range(ranges.AbstractSingleRangeImpl):
    def bind_processor(self, dialect: Any) -> Callable[[Any], Any]:
        return lambda value: _text(value) if isinstance(value, ranges.Range) else value

    def result_processor(self, dialect: Any, coltype: Any) -> Callable[[Any], Any]:
        return lambda value: _ranges_of(self, value)[0] if isinstance(value, str) else value


class _MultiRange(ranges.AbstractMultiRangeImpl):
    def bind_processor(self, dialect: Any) -> Callable[[Any], Any]:
        return lambda value: value if value is None or isinstance(value, str) else "{" + ",".join(map(_text, value)) + "}"

    def result_processor(self, dialect: Any, coltype: Any) -> Callable[[Any], Any]:
        return lambda value: ranges.MultiRange(_ranges_of(self, value)) if isinstance(value, str) else value


class _Vector:
    """Numbers with blanks between them."""

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        return lambda value: [int(number) for number in value.split()] if isinstance(value, str) else value


class _Int2Vector(_Vector, INT2VECTOR):
    pass


class _OidVector(_Vector, OIDVECTOR):
    pass


COLSPECS: dict[Any, Any] = {
    ranges.AbstractSingleRange: _Range,
    ranges.AbstractMultiRange: _MultiRange,
    INT2VECTOR: _Int2Vector,
    OIDVECTOR: _OidVector,
}
