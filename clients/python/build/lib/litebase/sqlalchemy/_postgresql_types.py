"""SQLAlchemy's types on PostgreSQL.

The server infers a parameter's type from the statement, and parameters come as text: so each gets its type by a cast
(`$1::INTEGER`), as with other drivers that leave this to the server.
"""

from __future__ import annotations

import datetime
import decimal
import re
from typing import Any, Callable, Optional

import sqlalchemy
from sqlalchemy.dialects.postgresql import ARRAY, base, json
from sqlalchemy.dialects.postgresql.base import INTERVAL
from sqlalchemy.sql import sqltypes

from litebase._values import CONVERTERS

Processor = Callable[[Any], Any]
_interval = CONVERTERS["postgresql"]["interval"]


class _Cast:
    """A type whose parameters are cast to it."""

    render_bind_cast = True

    def get_dbapi_type(self, dbapi: Any) -> Any:
        """As SQLAlchemy 1.4 asks for it; see `_postgresql_1_4.py`."""
        return self


class _String(_Cast, sqltypes.String):
    pass


class _Boolean(_Cast, sqltypes.Boolean):
    pass


class _Integer(_Cast, sqltypes.Integer):
    pass


class _SmallInteger(_Cast, sqltypes.SmallInteger):
    pass


class _BigInteger(_Cast, sqltypes.BigInteger):
    pass


class _Date(_Cast, sqltypes.Date):
    pass


class _Time(_Cast, sqltypes.Time):
    pass


class _LargeBinary(_Cast, sqltypes.LargeBinary):
    pass


class _Enum(_Cast, base.ENUM):
    pass


class _Array(_Cast, ARRAY):
    pass


class _DateTime(_Cast, sqltypes.DateTime):
    """A timestamp without a zone takes none: the server would drop it, and store another moment."""

    def bind_processor(self, dialect: Any) -> Optional[Processor]:
        if self.timezone:
            return None

        def process(value: Any) -> Any:
            if isinstance(value, datetime.datetime) and value.tzinfo is not None:
                raise ValueError(f"{value} has a time zone, and the type has not: use DateTime(timezone=True), or a naive value.")
            return value

        return process


class _Number(_Cast):
    """Decimals as what the type promises, whatever the column's type is."""

    asdecimal: bool
    _effective_decimal_return_scale: int

    def bind_processor(self, dialect: Any) -> None:
        return None

    def result_processor(self, dialect: Any, coltype: Any) -> Processor:
        scale = self._effective_decimal_return_scale

        def to_decimal(value: Any) -> Any:
            return decimal.Decimal(f"{value:.{scale}f}") if isinstance(value, float) else value

        def to_float(value: Any) -> Any:
            return None if value is None else float(value)

        return to_decimal if self.asdecimal else to_float


class _Numeric(_Number, sqltypes.Numeric):
    pass


class _Float(_Number, sqltypes.Float):
    pass


_MONTHS = re.compile(r"(?:(-?\d+) years? ?)?(?:(-?\d+) mons? ?)?(.*)$")


class _Interval(_Cast, INTERVAL):
    """An interval with months or years has a length of its own choice: 30 and 365 days, as with other drivers."""

    @classmethod
    def adapt_emulated_to_native(cls, interval: Any, **kw: Any) -> _Interval:  # type: ignore[override]
        return _Interval(precision=interval.second_precision)

    def result_processor(self, dialect: Any, coltype: Any) -> Processor:
        def process(value: Any) -> Any:
            match = _MONTHS.match(value) if isinstance(value, str) else None
            rest = _interval(match[3] or "00:00:00") if match is not None else value
            if match is None or not isinstance(rest, datetime.timedelta):
                return value
            return rest + datetime.timedelta(days=365 * int(match[1] or 0) + 30 * int(match[2] or 0))

        return process


class _JSON(_Cast, json.JSON):
    pass


class _JSONB(_Cast, json.JSONB):
    pass


class _JSONIntIndex(_Cast, sqltypes.JSON.JSONIntIndexType):
    __visit_name__ = "json_int_index"


class _JSONStrIndex(_Cast, sqltypes.JSON.JSONStrIndexType):
    __visit_name__ = "json_str_index"


COLSPECS: dict[Any, Any] = {
    sqltypes.String: _String,
    sqltypes.Boolean: _Boolean,
    sqltypes.Integer: _Integer,
    sqltypes.SmallInteger: _SmallInteger,
    sqltypes.BigInteger: _BigInteger,
    sqltypes.Numeric: _Numeric,
    sqltypes.Float: _Float,
    sqltypes.Date: _Date,
    sqltypes.Time: _Time,
    sqltypes.DateTime: _DateTime,
    sqltypes.Interval: _Interval,
    INTERVAL: _Interval,
    sqltypes.LargeBinary: _LargeBinary,
    sqltypes.Enum: _Enum,
    sqltypes.ARRAY: _Array,
    sqltypes.JSON: _JSON,
    json.JSONB: _JSONB,
    sqltypes.JSON.JSONIntIndexType: _JSONIntIndex,
    sqltypes.JSON.JSONStrIndexType: _JSONStrIndex,
}

if sqlalchemy.__version__ >= "2":
    from ._postgresql_types_2 import COLSPECS as _MORE
else:
    from ._postgresql_1_4 import COLSPECS as _MORE
COLSPECS.update(_MORE)
