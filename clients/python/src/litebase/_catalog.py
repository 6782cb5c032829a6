"""What is in a database, and what may come next in a statement: the requests `catalog` and `complete`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Optional, TypedDict

from ._errors import DataError, ProgrammingError
from ._options import check_options, said, texts

#: What `catalog` tells, one level at a time.
LEVELS = (
    "namespaces",
    "relations",
    "columns",
    "keys",
    "foreign_keys",
    "indexes",
    "triggers",
    "routines",
    "types",
)


@dataclasses.dataclass(frozen=True)
class CompletionItem:
    """One proposal.

    Attributes:
        text: what is to be inserted, in quotes where it needs them.
        label: what is to be shown.
        kind: "keyword", "namespace", "relation", "column", "alias", "common_table_expression", "routine", "join",
            "join_condition", "star_expansion", "type", "value" or "command".
        detail: a type or a signature; None where there is none.
        relation: what a column belongs to; None where there is none.
    """

    text: str
    label: str
    kind: str
    detail: Optional[str] = None
    relation: Optional[str] = None


@dataclasses.dataclass(frozen=True)
class Completion:
    """What may come next, the best first: `sql[:start] + item.text + sql[end:]` is the statement with one of `items`.

    Attributes:
        start, end: what an item takes the place of, as indexes of the text.
        incomplete: whether the names of the database are not all known yet, so that it is worth asking again after a moment.
    """

    start: int
    end: int
    items: tuple[CompletionItem, ...]
    incomplete: bool


class CatalogOptions(TypedDict, total=False):
    """What is wanted of a catalog; the keywords of `catalog`.

    Attributes:
        namespace, relation: exact names, to which it is narrowed.
        match: a search text; what fits comes with the best first.
        kinds: of relations, keys, routines or types, such as ["view"].
        definitions: whether the text that makes an object comes along.
        refresh: whether the daemon is to read it anew in any case.
        etag: the cursor's `etag` of an earlier call; if it still holds, there are no rows, and the cursor is `unchanged`.
        max_rows: the most that are wanted.
    """

    namespace: Optional[str]
    relation: Optional[str]
    match: Optional[str]
    kinds: Iterable[str]
    definitions: bool
    refresh: bool
    etag: Optional[str]
    max_rows: Optional[int]


def catalog_data(level: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a `catalog` request, but for its session. Raises: TypeError, ProgrammingError for a level that there is not."""
    check_options("catalog", CatalogOptions, options)
    if level not in LEVELS:
        raise ProgrammingError(f"There is no level {level!r} of a catalog.", hint=f"Levels: {', '.join(LEVELS)}.")
    kinds = texts(options.get("kinds"))
    return {"level": level, **said(options, "kinds"), **({"kinds": kinds} if kinds else {})}


def completion_data(sql: str, cursor: Optional[int], limit: Optional[int], recent: Iterable[str]) -> dict[str, Any]:
    """The data of a `complete` request, but for its session. The protocol counts bytes. Raises: ProgrammingError, DataError."""
    place = len(sql) if cursor is None else cursor
    if not 0 <= place <= len(sql):
        raise ProgrammingError(f"The cursor is at {place}, and the text has {len(sql)} characters.")
    data: dict[str, Any] = {"sql": sql, "cursor": len(_bytes(sql[:place])), "recent": list(recent)}
    return data if limit is None else {**data, "limit": limit}


def completion(sql: str, reply: Mapping[str, Any]) -> Completion:
    """What a `complete_response` says of a text."""
    text = _bytes(sql)
    start, end = (len(text[: reply["replace"][name]].decode()) for name in ("from", "to"))
    items = tuple(
        CompletionItem(item["text"], item["label"], item["kind"], item.get("detail"), item.get("relation"))
        for item in reply["items"]
    )
    return Completion(start, end, items, bool(reply.get("incomplete")))


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"The text has a lone surrogate: {error}.") from None
