"""What is said of files that the daemon writes into: `export` and `backup`."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Optional

from ._errors import ProgrammingError

#: Is told how many bytes are written, and how many it will be where that is known.
Progress = Callable[[int, Optional[int]], None]

FORMATS = ("csv", "tsv", "json", "jsonl")
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


def export_options(format: str, header: bool, max_rows: Optional[int]) -> dict[str, Any]:
    """Fields of an `export` request, those that say something. Raises: ProgrammingError for a format that there is not."""
    if format not in FORMATS:
        raise ProgrammingError(f"There is no format {format!r}.", hint=f"Formats: {', '.join(FORMATS)}.")
    options: dict[str, Any] = {"format": format}
    if not header:
        options["header"] = False
    return options if max_rows is None else {**options, "max_rows": max_rows}


class Passing:
    """A step: a frame is to be sent together with a descriptor."""

    def __init__(self, frame: bytes, descriptor: int) -> None:
        self.frame = frame
        self.descriptor = descriptor
