"""The client libraries that others use, called directly: what a statement means when nobody stands between."""

import ctypes
import threading

TUPLES_OK, COMMAND_OK = 2, 1


class NativeError(Exception):
    """The server has refused a statement; `state` is the SQLSTATE or, of MySQL, the number."""

    def __init__(self, state, message):
        super().__init__(f"{state}: {message}")
        self.state = state

    @property
    def is_loss(self):
        """Whether the connection is gone. (libpq's own errors have no state; 1053: the server stops, 1927: it was killed.)"""
        return self.state in ("?", "57P01", "57P02", "57P03", 1053, 1927, 2006, 2013)


class Rows:
    """Names of the columns, names of their types where the library tells them, and values as text."""

    def __init__(self, names=(), types=(), rows=()):
        self.names, self.types, self.rows = list(names), list(types), [list(row) for row in rows]


def can_connect(connect):
    """Whether a server lets somebody in at this moment."""
    try:
        connect().close()
    except NativeError:
        return False
    return True


class Beside:
    """Looks at a server by a connection of its own, which stays: a new one, or a program of the server's, would take ten times as long.

    Each statement is a transaction of its own, so it sees what is there at that moment.
    """

    def __init__(self, connect):
        self.connect = connect
        self.kept = None
        self.lock = threading.Lock()

    def rows(self, sql):
        """The rows of one statement as text, NULL as an empty one."""
        with self.lock:
            return [tuple("" if value is None else value for value in row) for row in self.run(sql).rows]

    def run(self, sql):
        if self.kept:
            try:
                return self.kept.run(sql)
            except NativeError as error:
                if not error.is_loss:
                    raise
                # The server was restarted, or has ended it.
                self.close()
        self.kept = self.connect()
        return self.kept.run(sql)

    def close(self):
        if self.kept:
            self.kept.close()
            self.kept = None


class NativePostgreSQL:
    """A connection by libpq. Without parameters a statement goes as PQexec sends it, simple; with some, unnamed."""

    # pg_type.dat: what the protocol calls them.
    kinds = {16: "boolean", 17: "blob", 20: "integer", 21: "integer", 23: "integer", 25: "text", 26: "integer", 1043: "text",
             1082: "date", 1114: "timestamp", 1184: "timestamptz", 1186: "interval", 1700: "decimal", 701: "real"}

    def __init__(self, url):
        library = self.library = ctypes.CDLL("libpq.so.5")
        for name in ("PQconnectdb", "PQexec", "PQexecParams"):
            getattr(library, name).restype = ctypes.c_void_p
        for name in ("PQerrorMessage", "PQfname", "PQresultErrorField", "PQgetvalue"):
            getattr(library, name).restype = ctypes.c_char_p
        self.handle = ctypes.c_void_p(library.PQconnectdb(f"{url}&options=-cclient_min_messages%3Derror".encode()))
        if library.PQstatus(self.handle) != 0:
            message = library.PQerrorMessage(self.handle)
            self.close()
            raise NativeError("08001", message)

    def run(self, sql, params=None):
        if params:
            values = (ctypes.c_char_p * len(params))(*(None if value is None else str(value).encode() for value in params))
            made = self.library.PQexecParams(self.handle, sql.encode(), len(params), None, values, None, None, 0)
        else:
            made = self.library.PQexec(self.handle, sql.encode())
        result = ctypes.c_void_p(made)
        try:
            return self.take(result)
        finally:
            self.library.PQclear(result)

    def take(self, result):
        library = self.library
        if library.PQresultStatus(result) not in (TUPLES_OK, COMMAND_OK):
            state = library.PQresultErrorField(result, ord("C")) or b"?"
            raise NativeError(state.decode(), library.PQresultErrorField(result, ord("M")))
        columns = range(library.PQnfields(result))
        rows = [[None if library.PQgetisnull(result, row, column) else library.PQgetvalue(result, row, column).decode()
                 for column in columns] for row in range(library.PQntuples(result))]
        return Rows([library.PQfname(result, column).decode() for column in columns],
                    [self.kinds.get(library.PQftype(result, column)) for column in columns], rows)

    def close(self):
        self.library.PQfinish(self.handle)


class NativeMariaDB:
    """A connection by libmariadb's protocol of text; parameters are written into the statement by the caller."""

    def __init__(self, socket, user, database=""):
        library = self.library = ctypes.CDLL("libmariadb.so.3")
        for name in ("mysql_init", "mysql_real_connect", "mysql_store_result", "mysql_fetch_field_direct"):
            getattr(library, name).restype = ctypes.c_void_p
        library.mysql_error.restype = ctypes.c_char_p
        library.mysql_num_rows.restype = ctypes.c_ulonglong
        library.mysql_fetch_row.restype = ctypes.POINTER(ctypes.c_void_p)
        library.mysql_fetch_lengths.restype = ctypes.POINTER(ctypes.c_ulong)
        self.handle = ctypes.c_void_p(library.mysql_init(None))
        character_set = 7  # MYSQL_SET_CHARSET_NAME
        library.mysql_options(self.handle, character_set, b"utf8mb4")
        client_found_rows = 2
        made = library.mysql_real_connect(self.handle, None, user.encode(), None, database.encode(), 0, str(socket).encode(),
                                          ctypes.c_ulong(client_found_rows))
        if not made:
            error = NativeError(library.mysql_errno(self.handle), library.mysql_error(self.handle))
            self.close()
            raise error

    def run(self, sql, params=None):
        assert not params
        library, text = self.library, sql.encode()
        if library.mysql_real_query(self.handle, text, ctypes.c_ulong(len(text))):
            raise NativeError(library.mysql_errno(self.handle), library.mysql_error(self.handle))
        result = ctypes.c_void_p(library.mysql_store_result(self.handle))
        if not result:
            return Rows()
        count = library.mysql_num_fields(result)
        # The name is the first member of MYSQL_FIELD.
        names = [ctypes.cast(ctypes.c_void_p(library.mysql_fetch_field_direct(result, index)), ctypes.POINTER(ctypes.c_char_p))[0]
                 for index in range(count)]
        rows = []
        while row := library.mysql_fetch_row(result):
            lengths = library.mysql_fetch_lengths(result)
            rows.append([None if not row[index] else ctypes.string_at(row[index], lengths[index]).decode("utf-8", "replace")
                         for index in range(count)])
        library.mysql_free_result(result)
        return Rows([name.decode() for name in names], [], rows)

    def close(self):
        self.library.mysql_close(self.handle)
