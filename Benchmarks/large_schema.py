"""SQLite databases of very many tables, for rows 12 and 13."""

import sqlite3


def make(file, definitions):
    """`definitions`: name and CREATE TABLE of each.

    All but the first are written into the schema's own table, with one empty page: CREATE TABLE looks through the whole schema, each time.
    """
    definitions = iter(definitions)
    _, first = next(definitions)
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(first)
        database.execute("PRAGMA writable_schema=ON")
        database.executemany(
            "INSERT INTO sqlite_schema VALUES ('table', ?, ?, 2, ?)", ((name, name, text) for name, text in definitions))
    database.close()
