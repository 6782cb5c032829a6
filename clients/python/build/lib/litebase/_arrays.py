"""PostgreSQL's arrays as lists: the text that the server writes, and the text that it reads (its manual, 8.15)."""

from __future__ import annotations

import re
from typing import Any, Callable, Optional

# A brace, a quoted element, or one that is not.
_TOKEN = re.compile(r'([{}])|"((?:[^"\\]|\\.)*)"|([^{},"]+)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def array_converter(element: Optional[Callable[[str], Any]]) -> Callable[[str], Any]:
    """What makes a list of an array's text; of one with several dimensions, lists in a list.

    Parameters: `element` makes a value of an element's text; None leaves the text.
    """
    convert = element or str

    def converter(text: str) -> Any:
        if text.startswith("["):
            # Bounds that do not begin with 1. A list has none.
            text = text[text.index("=") + 1 :]
        inner = text[1:-1]
        if '"' not in inner and "{" not in inner:
            return [None if item == "NULL" else convert(item) for item in inner.split(",")] if inner else []
        top: list[Any] = []
        lists = [top]
        for brace, quoted, plain in _TOKEN.findall(text):
            if brace == "{":
                deeper: list[Any] = []
                lists[-1].append(deeper)
                lists.append(deeper)
            elif brace:
                lists.pop()
            elif plain:
                lists[-1].append(None if plain == "NULL" else convert(plain))
            else:
                lists[-1].append(convert(_ESCAPE.sub(r"\1", quoted)))
        return top[0]

    return converter


def array_text(values: Any, adapt: Callable[[Any], Any]) -> str:
    """A list as PostgreSQL reads an array. Parameters: `adapt` makes of other values what can be sent. Raises: as `adapt`."""
    return "{" + ",".join(_element_text(value, adapt) for value in values) + "}"


def _element_text(value: Any, adapt: Callable[[Any], Any]) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, (list, tuple)):
        return array_text(value, adapt)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    text = "\\x" + value.hex() if isinstance(value, bytes) else value if isinstance(value, str) else adapt(value)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
