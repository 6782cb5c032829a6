"""What SQLAlchemy 1.4 lacks for PostgreSQL's placeholders: `$1`, and casts by which the server learns a parameter's type."""

from __future__ import annotations

import json
import uuid
from typing import Any, Callable, Optional

from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.sql import sqltypes


class Placeholders:
    """Statements come with `%s`, and leave with `$1::INTEGER` and so on. It stands before the dialect."""

    default_paramstyle = "format"
    use_setinputsizes = True

    type_compiler: Any

    def do_set_input_sizes(self, cursor: Any, list_of_tuples: Any, context: Any) -> None:
        """Keeps the types for the statement that follows."""
        context.litebase_casts = [self._cast(kind) for _, kind, _ in list_of_tuples]

    def _cast(self, kind: Any) -> str:
        is_known = isinstance(kind, sqltypes.TypeEngine)
        if not is_known:
            # None, or what a type of the program's says of the driver's.
            return ""
        if isinstance(kind, sqltypes.JSON.JSONIntIndexType):
            return "::INTEGER"
        if isinstance(kind, sqltypes.JSON.JSONStrIndexType):
            return "::TEXT"
        is_native_enum = isinstance(kind, sqltypes.Enum) and kind.native_enum
        if kind._type_affinity is sqltypes.String and kind.length and not is_native_enum:
            # VARCHAR(5) would cut the value.
            return "::VARCHAR"
        return f"::{self.type_compiler.process(kind)}"

    def _numbered(self, statement: str, count: int, context: Any) -> str:
        casts = getattr(context, "litebase_casts", None) or [""] * count
        return statement % tuple(f"${number}{cast}" for number, cast in enumerate(casts, 1))

    def _get_column_info(self, *about: Any) -> Any:
        """What is known of a column. The last of it, the options of its identity, other drivers give as what they mean."""
        parent: Any = super()
        *rest, identity = about
        return parent._get_column_info(*rest, json.loads(identity) if isinstance(identity, str) else identity)

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Runs a statement."""
        parent: Any = super()
        parent.do_execute(cursor, self._numbered(statement, len(parameters), context), parameters, context)

    def do_executemany(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Runs a statement for each row of parameters."""
        cursor.executemany(self._numbered(statement, len(parameters[0]), context), parameters)


class _Uuid(UUID):
    """UUIDs, which the driver gives as such."""

    def get_dbapi_type(self, dbapi: Any) -> Any:
        return self

    def bind_processor(self, dialect: Any) -> None:
        return None

    def result_processor(self, dialect: Any, coltype: Any) -> Optional[Callable[[Any], Any]]:
        if self.as_uuid:
            return lambda value: uuid.UUID(value) if isinstance(value, str) else value
        return lambda value: None if value is None else str(value)


COLSPECS: dict[Any, Any] = {UUID: _Uuid}
