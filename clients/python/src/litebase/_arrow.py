"""Rows as Arrow's columns: record batches and tables, and what pandas and polars make of them.

A column has the Arrow type of its type at the engine, where that has one. Of other columns (SQLite's expressions, decimals, whose
scale the protocol does not tell) the type is that of their values: of all of them in a table, of the first batch in a stream of
batches. No value is altered to fit: one that does not is an error that names it, or makes text of its column.

The packages are optional, and imported when they are needed.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import importlib
import io
import json
import operator
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable, Optional

from ._arrays import array_text
from ._errors import DataError, ProgrammingError
from ._session import Row
from ._values import adapt

#: Rows that are converted together (as many as the caches hold), and the bytes of the stream after which fewer are.
ROWS = 8_192
BYTES = 16 << 20

_NOTHING = type(None)
_INT64_MAX = 2**63 - 1


def package(name: str, extra: str) -> Any:
    """A package that is not needed for anything else. Raises: ImportError, which says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"This needs the package {name}: pip install 'litebase[{extra}]'.", name=name) from error


# Text


def _text(value: Any) -> Optional[str]:
    """A value as text, without loss; a blob as PostgreSQL writes it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return array_text(value, adapt) if isinstance(value, list) else str(adapt(value))


# Types


class _Types:
    """Arrow's types for those of the engines, and for those of Python."""

    def __init__(self) -> None:
        self.pa = pa = package("pyarrow", "arrow")
        moment = pa.timestamp("us")
        #: Of each type of a column: the Arrow type, and the Python types of its values. Of others, the values say it.
        self.of_columns: Mapping[str, tuple[Any, frozenset[type]]] = {
            "integer": (pa.int64(), frozenset({int})),
            "real": (pa.float64(), frozenset({float, int})),
            "boolean": (pa.bool_(), frozenset({bool})),
            "text": (pa.string(), frozenset({str})),
            "blob": (pa.binary(), frozenset({bytes})),
            "date": (pa.date32(), frozenset({datetime.date})),
            "timestamp": (moment, frozenset({datetime.datetime})),
            "datetime": (moment, frozenset({datetime.datetime})),
            "timestamptz": (pa.timestamp("us", tz="UTC"), frozenset({datetime.datetime})),
            "interval": (pa.duration("us"), frozenset({datetime.timedelta})),
            "time": (pa.time64("us"), frozenset({datetime.time})),
            # A time of day with a zone, and a UUID, as pandas and polars know them.
            "timetz": (pa.string(), frozenset({datetime.time, str})),
            "uuid": (pa.string(), frozenset({uuid.UUID, str})),
            # Of a catalog.
            "array": (pa.list_(pa.string()), frozenset({tuple})),
            "map": (pa.string(), frozenset({dict, str})),
        }
        self.of_elements = {
            "int2": pa.int64(), "int4": pa.int64(), "int8": pa.int64(), "oid": pa.int64(), "float4": pa.float64(),
            "float8": pa.float64(), "bool": pa.bool_(), "bytea": pa.binary(),
        }  # fmt: skip
        #: The Python types of values whose column's type is known by them alone.
        self.of_type = {self.pa.float64(): frozenset({int, float})}
        self._of_values = {
            int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string(), bytes: pa.binary(),
            datetime.date: pa.date32(), datetime.time: pa.time64("us"), datetime.timedelta: pa.duration("us"),
            uuid.UUID: pa.string(),
        }  # fmt: skip
        for python, arrow in self._of_values.items():
            self.of_type.setdefault(arrow, frozenset({python}))

    def of_column(self, engine: str, kind: str, declared: Optional[str]) -> tuple[Any, frozenset[type]]:
        """The Arrow type and the Python types of a column; None and none where the values say it."""
        if engine == "mysql" and kind == "time":
            return self.pa.duration("us"), frozenset({datetime.timedelta})
        if engine == "mysql" and kind == "integer" and (declared or "").startswith("bigint unsigned"):
            return self.pa.uint64(), frozenset({int})
        if kind == "decimal":
            return None, frozenset({decimal.Decimal})
        if engine == "postgresql" and kind.endswith("[]"):
            element = kind[:-2]
            type = (
                None
                if element == "numeric"
                else self.of_elements.get(element) or self.of_columns.get(element, (self.pa.string(),))[0]
            )
            return (None if type is None else self.pa.list_(type)), frozenset({list})
        if kind == "any":
            return None, frozenset()
        return self.of_columns.get(kind, (self.pa.string(), frozenset({str})))

    def of_values(self, values: Iterable[Any], kinds: set[type]) -> Any:
        """The Arrow type that holds values of these Python types; None where there is none."""
        if not kinds:
            return self.pa.null()
        if kinds == {decimal.Decimal}:
            return self._of_decimals(value for value in values if value is not None)
        if kinds == {list}:
            elements = [element for value in values if value is not None for element in value]
            type = self.of_values(elements, set(map(_type, elements)) - {_NOTHING})
            return None if type is None else self.pa.list_(type)
        if kinds == {int}:
            return self.pa.uint64() if max(value for value in values if value is not None) > _INT64_MAX else self.pa.int64()
        return self.pa.float64() if kinds == {int, float} else self._of_values.get(next(iter(kinds))) if len(kinds) == 1 else None

    def _of_decimals(self, values: Iterable[decimal.Decimal]) -> Any:
        """With the most digits behind the point that one has, and room for as many before it as there can be."""
        scale = digits = 0
        for value in values:
            exponent = value.as_tuple().exponent
            if isinstance(exponent, int):  # NaN and infinity have none, and fit nowhere.
                scale = max(scale, -exponent)
                digits = max(digits, value.adjusted() + 1)
        if scale + digits <= 38:
            return self.pa.decimal128(38, scale)
        return self.pa.decimal256(76, min(scale, 76))

    def common(self, one: Any, other: Any) -> Any:
        """The type that holds the values of both, without loss as far as types can say; None where there is none."""
        pa = self.pa
        if one is None or one == other or pa.types.is_null(one):
            return other
        if pa.types.is_null(other):
            return one
        if pa.types.is_list(one) and pa.types.is_list(other):
            type = self.common(one.value_type, other.value_type)
            return None if type is None else pa.list_(type)
        if pa.types.is_decimal(one) and pa.types.is_decimal(other):
            scale = max(one.scale, other.scale)
            before = max(type.precision - type.scale for type in (one, other))
            is_wide = pa.types.is_decimal256(one) or pa.types.is_decimal256(other) or scale > 38
            return pa.decimal256(76, scale) if is_wide else pa.decimal128(38, scale) if before >= 0 else None
        if {one, other} == {pa.int64(), pa.float64()}:
            return pa.float64()
        return None


_type: Callable[[Any], type] = type


# Columns


class _Column:
    """One column: its name, its type as far as it is known, and in a table its chunks."""

    def __init__(self, types: _Types, name: str, wanted: Any, kinds: frozenset[type], is_given: bool) -> None:
        self.types = types
        self.name = name
        #: The Arrow type; None while it is not known.
        self.type = wanted
        #: The Python types that its values may have; any where there are none.
        self.kinds = kinds
        #: Whether the program gave the type.
        self.is_given = is_given
        self.is_known = wanted is not None
        self.chunks: list[Any] = []
        #: Values of a table that are no chunk yet.
        self.pending: list[Any] = []
        # Arrow says of values of these types by itself that all of them have it; of others it takes more.
        self._is_found = not is_given and wanted in (types.pa.int64(), types.pa.string()) and len(kinds) == 1

    def _mismatch(self, values: Sequence[Any], first: int, type: Any) -> DataError:
        """The error for the first value that does not fit. Parameters: `first` is the number of the first row."""
        place = next((place for place, value in enumerate(values) if not self._fits(value, type)), 0)
        value = values[place]
        shown = f"a blob of {len(value)} bytes" if isinstance(value, bytes) else f"{value!r:.60}"
        return DataError(
            f'Row {first + place} of the column "{self.name}" has {shown}, which does not fit {type}.',
            hint='on_mismatch="text" makes text of the whole column; types={"' + self.name + '": …} says its type.',
        )

    def _fits(self, value: Any, type: Any) -> bool:
        try:
            return self._array([value], type) is not None
        except (ArithmeticError, TypeError, ValueError):
            return False

    def _array(self, values: Sequence[Any], type: Any) -> Any:
        """The values as an array; None where one has a type of Python that the column has not. Raises: what Arrow raises."""
        pa = self.types.pa
        if self._is_found and not self.is_given:
            try:
                found = pa.array(values)
            except (ArithmeticError, TypeError, ValueError):
                found = None
            if found is not None and found.type == type:
                return found
        if not self.is_given:
            # Arrow takes more than it should: the bytes of a blob for text, text for a blob, 1.0 for an integer.
            allowed = self.kinds or self.types.of_type.get(type)
            if allowed is not None and not set(map(_type, values)) - {_NOTHING} <= allowed:
                return None
        if pa.types.is_string(type):
            values = [_text(value) for value in values] if self.is_given or self.kinds != {str} else values
        elif pa.types.is_list(type) and pa.types.is_string(type.value_type):
            values = [value if value is None else [_text(element) for element in value] for value in values]
        return pa.array(values, type)

    def array(self, values: Sequence[Any], first: int, type: Any) -> Any:
        """The values as an array of this type. Raises: DataError."""
        try:
            made = self._array(values, type)
        except (ArithmeticError, TypeError, ValueError):
            made = None
        if made is None:
            raise self._mismatch(values, first, type)
        return made

    def natural(self, values: Sequence[Any], first: int) -> Any:
        """The values as an array of the type that they have. Raises: DataError, also where the rows before had another type."""
        if self.is_known:
            return self.array(values, first, self.type)
        kinds = set(map(_type, values)) - {_NOTHING}
        found = self.types.of_values(values, kinds)
        type = None if found is None else self.types.common(self.type, found)
        if type is None:
            # What came first is what the column is.
            start = [value for value in values if value is not None][:1]
            raise self._mismatch(values, first, self.type or self.types.of_values(start, set(map(_type, start))))
        made = self.array(values, first, found)
        self.type = type
        return made

    def as_text(self, values: Sequence[Any]) -> Any:
        return self.types.pa.array([_text(value) for value in values], self.types.pa.string())

    def becomes_text(self) -> None:
        """From now on the column is text, with what is there already."""
        self.chunks = [self.as_text(chunk.to_pylist()) for chunk in self.chunks]
        self.type, self.is_known, self.is_given, self.kinds = self.types.pa.string(), True, True, frozenset()


def column_name(name: Any) -> str:
    """The name of a column as text, also of one that is not UTF-8."""
    return name if isinstance(name, str) else bytes(name).decode("utf-8", "backslashreplace")


class Converter:
    """Makes arrays of the rows of one result, as they come.

    Parameters:
        columns: name, type and declared type of each.
        on_mismatch: what becomes of a value that does not fit: "error", or "text".
        given: Arrow types by the names of columns.
    """

    def __init__(
        self, engine: str, columns: Sequence[tuple[Any, str, Optional[str]]], on_mismatch: str, given: Optional[Mapping[str, Any]]
    ) -> None:
        if on_mismatch not in ("error", "text"):
            raise ProgrammingError(f'on_mismatch is "error" or "text", not {on_mismatch!r}.')
        self.types = _Types()
        self.is_text_allowed = on_mismatch == "text"
        self.row_count = 0
        # Rows of a table that are no chunk yet, and the bytes of the stream at which they are one.
        self._pending = 0
        self._chunk_ends: Optional[int] = None
        names = [column_name(name) for name, _, _ in columns]
        unknown = set(given or ()) - set(names)
        if unknown:
            raise ProgrammingError(f"types has columns that the result does not have: {', '.join(sorted(unknown))}.")
        self.columns = [
            _Column(self.types, name, given[name], frozenset(), True)
            if given and name in given
            else _Column(self.types, name, *self.types.of_column(engine, kind, declared), False)
            for name, (_, kind, declared) in zip(names, columns)
        ]

    @property
    def schema(self) -> Any:
        pa = self.types.pa
        return pa.schema([pa.field(column.name, column.type or pa.null()) for column in self.columns])

    def _split(self, rows: Sequence[Row]) -> Iterable[tuple[_Column, Sequence[Any]]]:
        for place, column in enumerate(self.columns):
            yield column, [row[place] for row in rows]

    def add(self, rows: Sequence[Row], bytes_read: int) -> None:
        """Takes the rows of a reply for a table, while they are in the processor's caches.

        Parameters: `bytes_read` of the stream so far.
        """
        for place, column in enumerate(self.columns):
            column.pending.extend(map(operator.itemgetter(place), rows))
        self._pending += len(rows)
        if self._chunk_ends is None:
            self._chunk_ends = bytes_read + BYTES
        if self._pending >= ROWS or bytes_read >= self._chunk_ends:
            self._end_chunk()

    def _end_chunk(self) -> None:
        for column in self.columns:
            values, column.pending = column.pending, []
            try:
                column.chunks.append(column.natural(values, self.row_count + 1))
            except DataError:
                if not self.is_text_allowed:
                    raise
                column.becomes_text()
                column.chunks.append(column.as_text(values))
        self.row_count += self._pending
        self._pending, self._chunk_ends = 0, None

    def table(self) -> Any:
        """The table of all rows that were added."""
        pa = self.types.pa
        if self._pending:
            self._end_chunk()
        return pa.Table.from_arrays([self._whole(column) for column in self.columns], schema=self.schema)

    def _whole(self, column: _Column) -> Any:
        """The chunks of a column, each with the type of all of them."""
        pa = self.types.pa
        type = column.type or pa.null()
        made, first = [], 1
        try:
            for chunk in column.chunks:
                made.append(chunk if chunk.type == type else column.array(chunk.to_pylist(), first, type))
                first += len(chunk)
        except DataError:
            # An integer that a double does not hold exactly.
            if not self.is_text_allowed:
                raise
            column.becomes_text()
            return self._whole(column)
        return pa.chunked_array(made, type)

    def batch(self, rows: Sequence[Row]) -> Any:
        """A record batch. The first one decides on the types."""
        is_first = self.row_count == 0
        arrays = []
        for column, values in self._split(rows):
            try:
                arrays.append(column.natural(values, self.row_count + 1))
            except DataError as error:
                if not self.is_text_allowed:
                    raise
                if not is_first:
                    error.hint = (
                        "A batch keeps the types of the first one; "
                        f'types={{"{column.name}": pyarrow.string()}} makes text of the column from the start.'
                    )
                    raise
                column.becomes_text()
                arrays.append(column.as_text(values))
            if is_first:
                column.type, column.is_known = arrays[-1].type, True
        self.row_count += len(rows)
        return self.types.pa.RecordBatch.from_arrays(arrays, schema=self.schema)


# Streams that the daemon makes


def read_stream(file: Any, names: Sequence[Any]) -> Any:
    """The table of a stream, whose columns get these names. Raises: what Arrow raises of a stream that ends too early."""
    pa = package("pyarrow", "arrow")
    with io.BufferedReader(file) as buffered, pa.ipc.open_stream(buffered) as stream:
        table = stream.read_all()
    names = [column_name(name) for name in names]
    return table if table.column_names == names else table.rename_columns(names)


# What is made of a table


def check_backend(dtype_backend: Optional[str]) -> None:
    """Raises: ProgrammingError, or ImportError without pandas, before any row was fetched."""
    if dtype_backend not in (None, "pyarrow"):
        raise ProgrammingError(f'dtype_backend is "pyarrow" or None, not {dtype_backend!r}.')
    package("pandas", "pandas")


def data_frame(table: Any, dtype_backend: Optional[str]) -> Any:
    """A frame of pandas. Integers and booleans with nulls keep their values, in pandas' own types for that."""
    pandas = package("pandas", "pandas")
    if dtype_backend == "pyarrow":
        return table.to_pandas(types_mapper=pandas.ArrowDtype)
    columns = range(table.num_columns)
    if not any(table.column(place).null_count for place in columns):
        return table.to_pandas()
    pa = package("pyarrow", "arrow")
    nullable = {pa.int64(): pandas.Int64Dtype(), pa.uint64(): pandas.UInt64Dtype(), pa.bool_(): pandas.BooleanDtype()}

    def alone(place: int) -> Any:
        # Arrow asks for a type of pandas by its own, not for a column: each is made by itself.
        return table.select([place]).to_pandas(types_mapper=nullable.get if table.column(place).null_count else None)

    return pandas.concat([alone(place) for place in columns], axis=1)


def check_names(names: Iterable[object]) -> None:
    """Raises: ProgrammingError for two columns of one name, which polars cannot have; ImportError without polars."""
    twice = next((name for name, count in collections.Counter(names).items() if count > 1), None)
    if twice is not None:
        raise ProgrammingError(f'Two columns are named "{twice}", which polars cannot have.', hint="Name them with AS.")
    package("polars", "polars")


def polars_frame(table: Any) -> Any:
    """A frame of polars."""
    return package("polars", "polars").from_arrow(table)
