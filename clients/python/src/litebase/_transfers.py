"""What is said of files that the daemon writes into or reads: `export`, `backup`, `import_rows`, `restore`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable, Optional, TypedDict

from ._errors import ProgrammingError
from ._options import check_options, said, texts

#: Is told how many bytes are written, and how many it will be where that is known.
Progress = Callable[[int, Optional[int]], None]

FORMATS = ("csv", "tsv", "json", "jsonl", "arrow")
#: How often `progress` is called at most.
PROGRESS_MS = 100


@dataclasses.dataclass(frozen=True)
class ExportResult:
    """What `export` has written.

    Attributes:
        bytes: into the file.
        rows: how many there were.
        truncated: whether `max_rows` cut the result.
    """

    bytes: int
    rows: int
    truncated: bool


@dataclasses.dataclass(frozen=True)
class BackupResult:
    """What `backup` has copied: `bytes`, all of the database."""

    bytes: int


@dataclasses.dataclass(frozen=True)
class RestoreResult:
    """What `restore` has read: `bytes`, all of the file."""

    bytes: int


@dataclasses.dataclass(frozen=True)
class ImportProgress:
    """How far an import is.

    Attributes:
        bytes: that are done.
        total_bytes: of the file; None of a pipe.
        rows: that are written, of a dry run those that were looked at.
        rejected: lines that were refused.
    """

    bytes: int
    total_bytes: Optional[int]
    rows: int
    rejected: int


@dataclasses.dataclass(frozen=True)
class RejectedLine:
    """A line of the file, of Arrow a row, counted from 1, that is no row of the table, and the reason."""

    line: int
    reason: str


@dataclasses.dataclass(frozen=True)
class ImportedColumn:
    """A column of the table. Attributes: `type`, such as "integer" or "any", None where it is not known."""

    name: str
    type: Optional[str]


@dataclasses.dataclass(frozen=True)
class ImportResult:
    """What `import_rows` has done.

    Attributes:
        bytes: of the file.
        rows: that were written; in a dry run, how many there are.
        rejected_count: lines that were refused.
        rejected: the first 100 of them, in the order in which they were found.
        columns: those that the fields belong to.
        sql: the statement that makes the table, where `create` was wanted.
    """

    bytes: int
    rows: int
    rejected_count: int
    rejected: tuple[RejectedLine, ...]
    columns: tuple[ImportedColumn, ...]
    sql: Optional[str]


class RowFormat(TypedDict, total=False):
    """How rows stand in a file (docs/protocol.md, Transfers).

    Attributes:
        format: "csv", which it is without, "tsv", "json", "jsonl" or "arrow".
        header: False where the first line of CSV and TSV is a row, and does not name the columns.
        delimiter: one character, instead of the comma or the tab.
        null: what stands for null, instead of the empty field of CSV or `\\N` of TSV.
    """

    format: str
    header: bool
    delimiter: Optional[str]
    null: Optional[str]


class ExportOptions(RowFormat, total=False):
    """What is written; with `RowFormat`, the keywords of `export`.

    Attributes:
        max_rows: the most that are wanted.
        text_columns: of Arrow, the columns that are to be text, whatever is in them.
    """

    max_rows: Optional[int]
    text_columns: Sequence[str]


class ImportOptions(RowFormat, total=False):
    """How a file is read, and what becomes of its rows; with `RowFormat`, the keywords of `import_rows`.

    Attributes:
        namespace: the schema of the table, on MySQL its database.
        columns: for the fields of each line, in order; without them those that the first line names, or all of the table. In
            JSON and Arrow, those that are taken, by their names: others are left out.
        encoding: "utf-8", "utf-16le", "utf-16be" or "latin-1"; without, what the first bytes say.
        create: whether the table is to be made, with types by the first rows, of Arrow by the schema.
        dry_run: whether the file is only looked at: nothing is changed.
        atomic: whether none of the rows shall stay where one is refused; on SQLite other writers wait until the end.
        max_rejected: how many lines, of Arrow rows, may be refused, and be named in the result, before it is an error.
    """

    namespace: Optional[str]
    columns: Optional[Iterable[str]]
    encoding: Optional[str]
    create: bool
    dry_run: bool
    atomic: bool
    max_rejected: int


def export_data(options: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of an `export` request, but for its statement. Raises: TypeError, ProgrammingError."""
    check_options("export", ExportOptions, options)
    check_format(options.get("format", "csv"))
    text_columns = texts(options.get("text_columns"))
    return {**said(options, "text_columns"), **({"text_columns": text_columns} if text_columns else {})}


def import_data(relation: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The data of an `import` request, but for its session. Raises: TypeError, ProgrammingError."""
    check_options("import_rows", ImportOptions, options)
    check_format(options.get("format", "csv"))
    columns = texts(options.get("columns"))
    data = {"relation": relation, **said(options, "columns"), **({} if columns is None else {"columns": columns})}
    if data.get("max_rejected") == 0:
        # The protocol has no word for what holds without one.
        del data["max_rejected"]
    return data


def import_result(reply: Mapping[str, Any]) -> ImportResult:
    """What the last reply to an `import` says."""
    return ImportResult(
        bytes=reply["bytes"],
        rows=reply["row_count"],
        rejected_count=reply.get("rejected_count", 0),
        rejected=tuple(RejectedLine(entry["line"], entry["reason"]) for entry in reply.get("rejected") or ()),
        columns=tuple(ImportedColumn(column["name"], column.get("type")) for column in reply.get("columns") or ()),
        sql=reply.get("sql"),
    )


def byte_progress(progress: Optional[Progress]) -> Optional[Callable[[Mapping[str, Any]], None]]:
    """What tells a reply before the last one to the program."""
    if progress is None:
        return None
    return lambda reply: progress(reply["bytes"], reply.get("total_bytes"))


def row_progress(progress: Optional[Callable[[ImportProgress], None]]) -> Optional[Callable[[Mapping[str, Any]], None]]:
    """The same of an import."""
    if progress is None:
        return None
    return lambda reply: progress(
        ImportProgress(reply["bytes"], reply.get("total_bytes"), reply.get("row_count", 0), reply.get("rejected_count", 0))
    )


def check_format(format: object) -> None:
    """Raises ProgrammingError for a format that there is not."""
    if format not in FORMATS:
        raise ProgrammingError(f"There is no format {format!r}.", hint=f"Formats: {', '.join(FORMATS)}.")


class Passing:
    """A step: a frame is to be sent together with a descriptor."""

    def __init__(self, frame: bytes, descriptor: int) -> None:
        self.frame = frame
        self.descriptor = descriptor
