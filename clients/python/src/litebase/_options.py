"""Keywords that both kinds of connections take, and that are fields of a request.

Each set of them is a `TypedDict`, so that names, types and meaning stand once: `**options: Unpack[…]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Optional, Union


def check_options(function: str, known: Any, options: Mapping[str, Any]) -> None:
    """Raises TypeError for a keyword that `known`, a TypedDict, does not have: Python does not look."""
    for name in options:
        if name not in known.__annotations__:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")


def said(options: Mapping[str, Any], *others: str) -> dict[str, Any]:
    """Those that say something else than what holds without them. `others` are left out."""
    return {
        name: value
        for name, value in options.items()
        # Of all flags, only `header` is set by itself.
        if name not in others and value is not None and value is not (name == "header")
    }


def texts(value: Optional[Union[str, Iterable[str]]]) -> Optional[list[str]]:
    """Names; one may stand by itself."""
    if value is None:
        return None
    return [value] if isinstance(value, str) else list(value)
