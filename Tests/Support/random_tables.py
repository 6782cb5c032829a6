"""Database files, tables and values of every form that SQLite's file format has."""

import contextlib
import math
import sqlite3

PAGE_SIZES = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
ENCODINGS = ("UTF-8", "UTF-16le", "UTF-16be")
SMALLEST, LARGEST = -2**63, 2**63 - 1


class Text(bytes):
    """Bytes that are bound as text, whatever they are."""


# Where the serial type of an integer changes, and beside it.
INTEGERS = sorted({sign * (1 << bits) + step for bits in (0, 7, 8, 15, 16, 23, 24, 31, 32, 47, 48, 53, 62) for sign in (-1, 1) for step in (-1, 0, 1)}
                  | {SMALLEST, SMALLEST + 1, LARGEST - 1, LARGEST})
# Some are stored as integers in a REAL column; NaN is stored as NULL.
REALS = (0.0, -0.0, 0.5, 1.0, -1.0, 100.0, 2.0**31, -(2.0**47), 2.0**48, 2.0**53 + 2, 2.0**63, -(2.0**63), 1e15, 1e300, 5e-324, 0.1, math.pi,
         math.inf, -math.inf, math.nan)
TEXTS = tuple(Text(raw) for raw in (
    b"", b"a", b"5", b"5.0", b" 7 ", b"-0.0", b"1e3", b"0x10", b"9223372036854775807", b"9223372036854775808", b"\0", b"a\0b", b"\0\0\0", b"x" * 57,
    b"x" * 58, "üß€😀".encode(), b"\xef\xbb\xbfbom", b"\xff", b"a\xffb", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xef\xbf\xbe",
    b"quote\"'`\\ \r\n\t"))
BLOBS = (b"", b"\0", b"\xff" * 5, bytes(range(256)), b"text")


def random_value(dice, longest=300):
    kind = dice.randrange(10)
    if kind == 0:
        return None
    if kind <= 2:
        return dice.choice(INTEGERS)
    if kind == 3:
        return dice.randrange(SMALLEST, LARGEST + 1) >> dice.randrange(64)
    if kind == 4:
        return dice.choice(REALS)
    if kind == 5:
        return dice.choice((dice.uniform(-1e6, 1e6), float(dice.randrange(-2**50, 2**50)), dice.gauss(0, 1) * 10.0 ** dice.randrange(-300, 300)))
    if kind == 6:
        return dice.choice(TEXTS)
    if kind == 7:
        return dice.choice(BLOBS)
    size = dice.choice((3, 12, 60, 130, longest)) * dice.random()
    if kind == 8:
        return Text("".join(dice.choice("abc 0ü€😀\0") for _ in range(int(size))).encode())
    return dice.randbytes(int(size))


def bound(value):
    """The expression of a value, and what is bound to it."""
    return ("CAST(? AS TEXT)", bytes(value)) if isinstance(value, Text) else ("?", value)


def insert(database, table, names, values):
    """Whether the row was taken."""
    expressions, values = zip(*map(bound, values))
    try:
        cursor = database.execute(f"INSERT OR REPLACE INTO {table}({', '.join(map(quoted, names))}) VALUES ({', '.join(expressions)})", values)
    except sqlite3.Error:
        return False
    return cursor.rowcount == 1


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def make_file(path, page_size=4096, reserved=0, auto_vacuum=0, encoding="UTF-8", is_legacy=False, wal=True, secure_delete=False):
    """A new database, open. Reserved bytes and the format of before 2005 are set in the header while there is nothing else."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(f"PRAGMA page_size = {page_size}")
        database.execute(f"PRAGMA auto_vacuum = {auto_vacuum}")
        database.execute("PRAGMA user_version = 1")
    with open(path, "r+b") as file:
        file.seek(20)
        file.write(bytes([reserved]))
        file.seek(44)
        file.write((1 if is_legacy else 4).to_bytes(4, "big"))
        file.seek(56)
        file.write((ENCODINGS.index(encoding) + 1).to_bytes(4, "big"))
        file.seek(105)
        file.write(((page_size - reserved) % 65536).to_bytes(2, "big"))
    database = sqlite3.connect(path, isolation_level=None, timeout=10)
    database.execute(f"PRAGMA journal_mode = {'wal' if wal else 'delete'}")
    database.execute("PRAGMA synchronous = off")
    database.execute(f"PRAGMA secure_delete = {int(secure_delete)}")
    # Otherwise the tests would be about nothing.
    assert database.execute("PRAGMA encoding").fetchone()[0] == encoding
    assert database.execute("PRAGMA page_size").fetchone()[0] == page_size
    assert database.execute("PRAGMA auto_vacuum").fetchone()[0] == auto_vacuum
    return database


def random_form(dice):
    """Keywords of `make_file`."""
    return {"page_size": dice.choice(PAGE_SIZES), "reserved": dice.choice((0, 0, 1, 8, 32)), "auto_vacuum": dice.randrange(3),
            "encoding": dice.choice(("UTF-8", *ENCODINGS)), "is_legacy": dice.random() < 0.2, "secure_delete": dice.random() < 0.3}


TYPES = ("", "INT", "INTEGER", "REAL", "DOUBLE PRECISION", "FLOAT", "TEXT", "VARCHAR(10)", "BLOB", "NUMERIC", "DECIMAL(10,2)", "BOOLEAN", "DATE",
         "STRING", "FLOATING POINT", "BIGINT")
STRICT_TYPES = ("INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY")
DEFAULTS = ("1", "-1", "1.0", "1.5", "'text'", "x'00ff'", "NULL", "9223372036854775807", "''", "TRUE", "1e20", "'5'", "-0.0", "(1 + 1)")
# The first of them are legal in ALTER TABLE ADD COLUMN.
CONSTANT_DEFAULTS = DEFAULTS[:-1]
ODD_NAMES = ("rowid", "oid", "_rowid_", "a b", "select", "ü", 'q"q', "x'y", "[z", "Rowid ")


class RandomTable:
    """A table with some rows: `keys` are the names of the row's number, `columns` all that can be read."""

    def __init__(self, dice, name, database, rows=40):
        self.name, self.dice = name, dice
        self.is_strict = dice.random() < 0.15
        self.has_rowid = dice.random() > 0.07
        count = dice.choice((1, 2, 3, 3, 5, 9, 30, 126, 127, 128, 200))
        names = [f"c{number}" for number in range(count)]
        for _ in range(dice.choice((0, 0, 1, 2))):
            names[dice.randrange(count)] = dice.choice(ODD_NAMES)
        names = list(dict.fromkeys(names))
        self.definitions, self.columns, self.stored = [], [], []
        self.alias = None
        place = dice.randrange(len(names) + 1) if dice.random() < 0.6 or not self.has_rowid else -1
        for number in range(len(names) + 1):
            if number == place:
                self.add_key()
            if number < len(names):
                self.add_column(names[number])
        options = [option for option, is_on in (("STRICT", self.is_strict), ("WITHOUT ROWID", not self.has_rowid)) if is_on]
        database.execute(f"CREATE TABLE {name}({', '.join(self.definitions)}) {', '.join(options)}")
        self.numbers = self.choose_numbers(rows)
        self.fill(database)
        # (Behind the rows: REPLACE in a STRICT table, and texts that are none, can leave an index of SQLite 3.40 without some.)
        if dice.random() < 0.3:
            database.execute(f"CREATE INDEX {name}_index ON {name}({quoted(dice.choice(self.stored or self.columns))})")

    def add_key(self):
        form = self.dice.choice(("INTEGER PRIMARY KEY", "INTEGER PRIMARY KEY", "integer primary key autoincrement", "INTEGER PRIMARY KEY DESC",
                                 "INT PRIMARY KEY", '"INTEGER" NOT NULL PRIMARY KEY', "INTEGER PRIMARY KEY ASC"))
        if not self.has_rowid:
            form = "INTEGER PRIMARY KEY"
        self.alias = "id"
        self.is_alias = self.has_rowid and "DESC" not in form and "INT PRIMARY" not in form
        self.definitions.append(f"id {form}")
        self.columns.append("id")
        self.stored.append("id")

    def add_column(self, name):
        dice = self.dice
        type = dice.choice(STRICT_TYPES if self.is_strict else TYPES)
        definition = f"{quoted(name)} {type}"
        if self.stored and self.stored != ["id"] and dice.random() < 0.12:
            other = quoted(dice.choice([column for column in self.stored if column != "id"] or self.stored))
            definition += f" AS ({dice.choice((other, f'{other} || 1', 'NULL', f'typeof({other})'))}) {dice.choice(('VIRTUAL', 'STORED', ''))}"
        else:
            if dice.random() < 0.3:
                definition += f" DEFAULT {dice.choice(DEFAULTS)}" if not self.is_strict else ""
            if dice.random() < 0.2:
                definition += f" COLLATE {dice.choice(('NOCASE', 'RTRIM', 'BINARY'))}"
            self.stored.append(name)
        self.definitions.append(definition)
        self.columns.append(name)

    @property
    def keys(self):
        if not self.has_rowid:
            return []
        lower = {column.lower() for column in self.columns}
        return [name for name in ("rowid", "_rowid_", "oid", "RowId") if name.lower() not in lower] + (["id"] if self.alias and self.is_alias else [])

    def choose_numbers(self, rows):
        dice = self.dice
        kind = dice.randrange(4)
        if kind == 0:
            return list(range(1, rows + 1))
        if kind == 1:
            return [dice.randrange(SMALLEST, LARGEST + 1) for _ in range(rows)]
        if kind == 2:
            return [*INTEGERS, 3, 4, 5]
        return [number * dice.randrange(1, 4) - rows // 2 for number in range(rows)]

    def fill(self, database, numbers=None, longest=300):
        dice = self.dice
        taken = False
        for number in self.numbers if numbers is None else numbers:
            names = [name for name in self.stored if dice.random() < 0.9 and name != "id"]
            values = [random_value(dice, longest) for _ in names]
            key = "id" if self.alias else (self.keys or [None])[0]
            if key:
                names, values = [key, *names], [number, *values]
            # What a column refuses is replaced by NULL.
            taken |= bool(names) and (insert(database, self.name, names, values)
                                      or insert(database, self.name, names, [values[0]] + [None] * (len(values) - 1)))
        if len(self.numbers) > 8:
            for number in dice.sample(self.numbers, len(self.numbers) // 6):
                if self.keys:
                    database.execute(f"DELETE FROM {self.name} WHERE {self.keys[0]} = ?", [number])
        return taken

    def selected(self):
        """A list of result columns, perhaps with the row's number and with some twice."""
        dice = self.dice
        kind = dice.randrange(6)
        some = [quoted(name) for name in self.columns] + self.keys * 2
        if kind == 0:
            return "*"
        if kind == 1 and self.keys:
            return f"{dice.choice(self.keys)}, *"
        if kind == 2 and self.keys:
            return dice.choice(self.keys)
        if kind == 3:
            return quoted(self.columns[-1])
        return ", ".join(dice.choices(some, k=dice.choice((1, 2, 3, 7, 40))))

    def parameter(self):
        """What may be compared with the number of a row; mostly the number of a row."""
        dice = self.dice
        number = dice.choice(self.numbers)
        if dice.random() < 0.7:
            return number
        return dice.choice((number + (number < LARGEST), dice.choice(INTEGERS), str(number), f" {number} ", f"{number}.0", float(number), number % 1000 + 0.5,
                            None, dice.random() < 0.5, str(number).encode(), "", "x", f"{number}x", 1e300, -math.inf, 2.0**63, -2.0**63, "9223372036854775808"))

    # {K} is the row's number, {L} a literal.
    CONDITIONS = ("{K} = ?",) * 6 + (
        "{K} = ?1", "? = {K}", "{K} == (?)", "({K}) = ?", "{K} IN (?)", "{K} IS ?", "{K} = ? AND 1", "{K} = ? AND {K} = ?1", "{K} = ? LIMIT 1", "{K} = ? LIMIT 0",
        "{K} = ? LIMIT 2 OFFSET 1", "{K} = ? LIMIT -1", "{K} = ? ORDER BY 1", "{K} = ? ORDER BY {K} DESC", "{K} = ? OR 0", "{K} = +?", "{K} = ? + 0", "{K} = {L}",
        "{K} = -{L}", "{K} = {L}.0", "{K} = '{L}'", "{K} = ? COLLATE NOCASE", "/* {K} = 1 */ {K} = ? -- ' \" ?", "{K} >= ? LIMIT 3", "{K} <= ? ORDER BY {K} DESC LIMIT 2",
        "{K} BETWEEN ?1 AND ?1", "NOT {K} <> ?", "{K} = CAST(? AS INTEGER)", "{K} = CAST(? AS TEXT)", "{K} = :key", "{K} = @key", "{K} = $key", "{K} = :key AND :key",
        "{K} = ? AND ? IS NULL", "{K} = abs(?)", "{K} = ?;", "{K} = ? GROUP BY {K}", "{K} = 1 = ?")

    def point_requests(self, count=25):
        """One statement for single rows, with parameters of all kinds."""
        dice = self.dice
        condition = dice.choice(self.CONDITIONS)
        name = dice.choice((self.name, f"main.{self.name}", f"[{self.name}]", f"{self.name} AS x", f"{self.name} NOT INDEXED"))
        sql = f"SELECT {self.selected()} FROM {name} WHERE " + condition.format(
            K=dice.choice(self.keys) if self.keys else "id", L=abs(dice.choice(self.numbers)))
        return [(sql, self.parameters(condition)) for _ in range(count)] if "?" in condition.split("--")[0] or "key" in condition else [(sql, None)]

    def parameters(self, condition):
        value = self.parameter()
        if "key" in condition:
            return {"key": value}
        return [value, None] if "IS NULL" in condition else [value]

    def scans(self):
        """Statements for all rows."""
        dice = self.dice
        return [f"SELECT {self.selected()} FROM {self.name}{dice.choice(ending)}" for ending in (
            ("",), ("", " -- all", " NOT INDEXED", ";", " AS x"), (" WHERE 1", " LIMIT 5", " LIMIT 3 OFFSET 2", " LIMIT -1", " LIMIT 0", " ORDER BY 1"))]
