"""What comes piece by piece in an event loop, for a thread that takes it: an import from an asynchronous iterator."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import AsyncIterator, Iterator
from typing import Any, Optional

from ._pipes import PIPE_BYTES


def is_asynchronous(file: Any) -> bool:
    """Whether it is read by awaiting it."""
    return hasattr(file, "__aiter__")


class AsyncPieces:
    """An iterator, for one thread, over what an asynchronous one gives in the loop that runs now."""

    def __init__(self, file: Any) -> None:
        self._loop = asyncio.get_running_loop()
        # A stream's own iterator gives lines, and fails at a long one.
        self._source = _read_all(file) if isinstance(file, asyncio.StreamReader) else file.__aiter__()
        self._waited_for: Optional[concurrent.futures.Future[tuple[Any, ...]]] = None
        self._is_closed = False

    def __iter__(self) -> Iterator[Any]:
        while not self._is_closed:
            self._waited_for = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
            try:
                found = self._waited_for.result()
            except concurrent.futures.CancelledError:
                if self._is_closed:
                    return
                raise
            if not found:
                return
            yield found[0]

    async def _next(self) -> tuple[Any, ...]:
        """The next piece; nothing at the end."""
        if not self._is_closed:
            async for piece in self._source:
                return (piece,)
        return ()

    def close(self) -> None:
        """Nobody wants further pieces. In the loop."""
        self._is_closed = True
        if self._waited_for is not None:
            self._waited_for.cancel()


async def _read_all(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while piece := await stream.read(PIPE_BYTES):
        yield piece
