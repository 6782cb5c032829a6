"""The tables of the shop, once for all engines, and the words in which engines differ."""

import re
from typing import NamedTuple


class Column(NamedTuple):
    name: str
    kind: str  # a key of the dialects' `types`; "decimal(10,2)" and "text(80)" have numbers
    is_nullable: bool = False
    refers_to: str = ""


def columns(text):
    """Columns from lines such as `reports_to integer? -> employee`: ? may be NULL, -> refers to that table's key."""
    found = []
    for line in text.strip().splitlines():
        name, kind, optional, target = re.fullmatch(r"\s*(\w+) +([\w(),]+)(\??)(?: -> (\w+))?", line).groups()
        found.append(Column(name, kind, optional == "?", target or ""))
    return found


# In the order in which they can be filled. The key is the first column, or the columns that KEYS names.
TABLES = {name: columns(text) for name, text in {
    "employee": """
        id integer
        name text(80)
        title text(60)
        reports_to integer? -> employee
        born date
        hired date
        salary decimal(10,2)
        is_active boolean""",
    "customer": """
        id integer
        first_name text(40)
        last_name text(40)
        company text(80)?
        email text(120)
        phone text(30)?
        city text(60)
        country text(2)
        joined date
        wants_news boolean
        supporter integer? -> employee""",
    "artist": """
        id integer
        name text(120)
        country text(2)
        founded integer?
        website text(160)?""",
    "genre": """
        id integer
        name text(40)""",
    "media_type": """
        id integer
        name text(60)
        is_physical boolean""",
    "album": """
        id integer
        title text(160)
        artist integer -> artist
        released date?
        cover blob?""",
    "track": """
        id integer
        title text(200)
        album integer -> album
        position integer
        genre integer -> genre
        media_type integer -> media_type
        composer text(120)?
        milliseconds integer
        bytes bigint
        loudness real?
        price decimal(6,2)""",
    "playlist": """
        id integer
        name text(80)
        owner integer? -> customer
        is_public boolean""",
    "playlist_track": """
        playlist integer -> playlist
        position integer
        track integer -> track
        added timestamp""",
    "invoice": """
        id integer
        customer integer -> customer
        issued timestamp
        paid timestamp?
        city text(60)
        country text(2)
        discount decimal(4,2)?""",
    "invoice_line": """
        id integer
        invoice integer -> invoice
        track integer -> track
        quantity integer
        price decimal(6,2)""",
    "review": """
        id integer
        customer integer -> customer
        album integer -> album
        stars integer
        body text(2000)?
        written timestamp
        is_verified boolean""",
    "supplier": """
        id integer
        name text(80)
        country text(2)
        rating real?""",
    "stock": """
        album integer -> album
        supplier integer -> supplier
        quantity integer
        reorder_below integer
        counted date?
        cost decimal(8,3)""",
    "price_history": """
        id integer
        track integer -> track
        valid_from date
        valid_to date?
        price decimal(6,2)""",
}.items()}

KEYS = {"playlist_track": ("playlist", "position"), "stock": ("album", "supplier")}
INDEXES = ["album(artist)", "track(album)", "track(genre)", "invoice(customer)", "invoice_line(invoice)", "invoice_line(track)",
           "review(album)", "price_history(track)"]


class SQLite:
    """Words of SQL. The other dialects say what they do otherwise."""

    engine = "sqlite"
    types = {"integer": "INTEGER", "bigint": "INTEGER", "real": "REAL", "decimal": "DECIMAL{}", "text": "TEXT", "blob": "BLOB",
             "boolean": "BOOLEAN", "date": "DATE", "timestamp": "TIMESTAMP"}
    table_options = ""

    def type_of(self, kind):
        word, _, numbers = kind.partition("(")
        return self.types[word].format(f"({numbers}" if numbers else "")

    def mark(self, number):
        return "?"

    # Expressions

    def joined(self, *parts):
        """Texts, one behind the other."""
        return " || ".join(parts)

    def text(self, value):
        return f"CAST({value} AS TEXT)"

    def length(self, value):
        """Characters, not bytes."""
        return f"LENGTH({value})"

    def sorted(self, value):
        """Text in the order of its code points, whatever the database's collation is."""
        return value

    def month(self, value):
        return f"SUBSTR({value}, 1, 7)"

    def day(self, value):
        return f"SUBSTR({value}, 1, 10)"

    def days_between(self, earlier, later):
        return f"CAST(JULIANDAY({self.day(later)}) - JULIANDAY({self.day(earlier)}) AS INTEGER)"

    def octets(self, value):
        return f"LENGTH({value})"

    def hexadecimal(self, value):
        return f"NULLIF(LOWER(HEX({value})), '')"

    def divided(self, left, right):
        """Whole numbers, the rest dropped."""
        return f"({left}) / ({right})"


class PostgreSQL(SQLite):
    engine = "postgresql"
    types = {"integer": "integer", "bigint": "bigint", "real": "double precision", "decimal": "numeric{}", "text": "varchar{}",
             "blob": "bytea", "boolean": "boolean", "date": "date", "timestamp": "timestamp(0)"}

    def mark(self, number):
        return f"${number}"

    def sorted(self, value):
        return f'{value} COLLATE "C"'

    def month(self, value):
        return f"TO_CHAR({value}, 'YYYY-MM')"

    def day(self, value):
        return f"TO_CHAR({value}, 'YYYY-MM-DD')"

    def days_between(self, earlier, later):
        return f"(CAST({later} AS date) - CAST({earlier} AS date))"

    def hexadecimal(self, value):
        return f"ENCODE({value}, 'hex')"


class MariaDB(SQLite):
    engine = "mysql"
    types = {"integer": "INTEGER", "bigint": "BIGINT", "real": "DOUBLE", "decimal": "DECIMAL{}", "text": "VARCHAR{}", "blob": "BLOB",
             "boolean": "BOOLEAN", "date": "DATE", "timestamp": "DATETIME"}
    table_options = " ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

    def joined(self, *parts):
        return f"CONCAT({', '.join(parts)})"

    def text(self, value):
        return f"CAST({value} AS CHAR(500))"

    def length(self, value):
        return f"CHAR_LENGTH({value})"

    def month(self, value):
        return f"DATE_FORMAT({value}, '%Y-%m')"

    def day(self, value):
        return f"DATE_FORMAT({value}, '%Y-%m-%d')"

    def days_between(self, earlier, later):
        return f"DATEDIFF({later}, {earlier})"

    def divided(self, left, right):
        return f"({left}) DIV ({right})"


DIALECTS = {dialect.engine: dialect() for dialect in (SQLite, PostgreSQL, MariaDB)}


def creation(dialect):
    """The statements that make the empty tables."""
    statements = []
    for table, parts in TABLES.items():
        lines = [f"{part.name} {dialect.type_of(part.kind)}{'' if part.is_nullable else ' NOT NULL'}" for part in parts]
        lines.append(f"PRIMARY KEY ({', '.join(KEYS.get(table, ('id',)))})")
        lines += [f"FOREIGN KEY ({part.name}) REFERENCES {part.refers_to}(id)" for part in parts if part.refers_to]
        body = ",\n    ".join(lines)
        statements.append(f"CREATE TABLE {table}(\n    {body}\n){dialect.table_options}")
    for index in INDEXES:
        name = re.sub(r"\W+", "_", index).strip("_")
        statements.append(f"CREATE INDEX {name}_index ON {index}")
    return statements


def removal():
    return [f"DROP TABLE IF EXISTS {table}" for table in reversed(TABLES)]


def insertion(table, dialect):
    marks = ", ".join(dialect.mark(number) for number in range(1, len(TABLES[table]) + 1))
    return f"INSERT INTO {table} VALUES ({marks})"
