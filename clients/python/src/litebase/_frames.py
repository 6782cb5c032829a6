"""Tables and data frames as streams of Arrow's, for `import_rows`: whatever has `__arrow_c_stream__`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

from ._arrow import package
from ._errors import ProgrammingError

#: Of a batch, at the most: the daemon holds one at a time.
_ROWS = 65_536
_BYTES = 4 << 20


def as_stream(file: Any, options: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """What is to be read, and the options for it: of a table the bytes of its stream, of anything else the same.

    Raises: ProgrammingError where another format is wanted; ImportError without pyarrow.
    """
    if isinstance(file, type) or not hasattr(file, "__arrow_c_stream__"):
        return file, options
    format = options.get("format", "arrow")
    if format != "arrow":
        raise ProgrammingError(f"A table is imported as a stream of Arrow's, not as {format!r}.", hint='Leave out "format".')
    package("pyarrow", "arrow")
    return _pieces(file), {**options, "format": "arrow"}


def _pieces(table: Any) -> Iterator[bytes]:
    """The stream, a piece for each batch. Raises: what pyarrow raises."""
    pa = package("pyarrow", "arrow")
    sink = _Sink()
    with pa.RecordBatchReader.from_stream(table) as reader:
        with pa.ipc.new_stream(sink, reader.schema) as writer:
            for batch in reader:
                for part in _parts(batch):
                    writer.write_batch(part)
                    yield sink.take()
        yield sink.take()


def _parts(batch: Any) -> Iterator[Any]:
    """The rows of a batch in small ones, which share its memory."""
    rows = max(1, min(_ROWS, _BYTES * batch.num_rows // max(1, batch.nbytes)))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written.append(bytes(data))
        return len(self._written[-1])

    def take(self) -> bytes:
        written = b"".join(self._written)
        self._written.clear()
        return written
