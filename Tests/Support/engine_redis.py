"""Redis for the conformance suite."""

from engine import ServerEngine
from redis_server import Redis


class RedisEngine(ServerEngine):
    name = "redis"
    library, package = "libhiredis.so.0.14", "libhiredis0.14"
    newer_libraries = ("libhiredis.so.1.1.0",)
    link, who = "CLIENT ID", "CLIENT INFO"
    lacks = {
        "sql": "statements are commands; there are no tables, types, savepoints or rollback of what was executed",
        "kinds": "every value is a string, so that there are no decimals, dates or booleans to be kept apart",
        "nested": "MULTI cannot be nested: an atomic batch is a transaction of its own",
    }
    kinds = ("integer", "text", "blob")
    begin, commit, savepoint = "MULTI", "EXEC", "PING"
    many = 1_000_000
    sleep_brief = "EVAL 'for i = 1, 200000 do end' 0"
    slow = "BLPOP nothing 0"
    slow_read = "XREAD BLOCK 0 STREAMS nothing $"
    slow_write = "BLPOP nothing 0"
    reads_only = ["ECHO 1", "HGETALL item", "LRANGE numbers 0 1", "TTL item", "TYPE item", "PING", "CLIENT ID", "SCAN 0", "DBSIZE"]
    for_sessions = ["MULTI", "exec", "DISCARD", "WATCH a", "unwatch", "Select 1", "\"MULTI\""]
    errors = {
        "first word": ("NOPE 1", "syntax_error", "42601", None),
        "syntax": ("SET item", "syntax_error", "42601", None),
        "nothing": ("", "bad_request", "42601", None),
        "type": ("LPUSH item 1", "database_error", "42804", None),
        "quotes": ("SET \"a", "syntax_error", "42601", 4),
    }
    denied = ("SET written 1", "42501")
    writes = ["HSET item 1 x", "SET written 1", "DEL item", "FLUSHDB", "FLUSHALL", "RENAME item written", "EXPIRE item 100", "LPUSH written 1",
              "INCR written", "COPY item written", "LPOP numbers", "SORT numbers BY nosort LIMIT 0 1 STORE written", "SETRANGE written 0 x",
              "EVAL \"redis.call('SET', 'written', '1')\" 0", "XADD written * a b", "PFADD written a", "BLPOP numbers 1", "GETSET written 1",
              "CONFIG SET maxmemory 1000000000", "SWAPDB 0 1", "FUNCTION FLUSH", "SCRIPT FLUSH", "RESTORE written 0 x", "MOVE item 1"]
    disguised = ["EVAL_RO \"return redis.call('SET', 'written', '1')\" 0", "SET written 1\r\nPING", "PING\r\nSET written 1", "set written 1",
                 "\"SET\" written 1", "READWRITE", "MULTI", "EXEC", "SORT numbers", "AUTH default x", "HELLO 3", "RESET", "QUIT"]
    escapes = [["MULTI"], ["SELECT 1"], ["READWRITE"], ["MULTI", "EXEC"], ["WATCH item", "MULTI"], ["CLIENT NO-EVICT ON"],
               ["AUTH default x"], ["HELLO 3"], ["RESET"], ["MULTI", "RESET"], ["MULTI", "DISCARD"], ["MULTI", "SET written 1"],
               ["EVAL_RO \"return redis.call('SET', 'written', '1')\" 0"], ["SELECT 1", "MULTI"]]

    def __init__(self):
        # A killed server must not lose what it has acknowledged.
        self.server = Redis(appendfsync="always")

        self.server.ask("ACL", "SETUSER", "reader", "on", "nopass", "allkeys", "+@read", "+@connection", "+@transaction", "+info", "+command")

    def url(self, **options):
        return self.server.url(**options)

    def reader_url(self):
        return self.url(user=self.reader, password="any")

    def say(self, number):
        return f"ECHO {number}"

    def said(self, number):
        return str(number)

    def row(self, number):
        return [f"row number {number}"]

    def rows(self, count):
        return f"LRANGE rows 0 {count - 1}"

    def counting(self, count):
        return f"LRANGE numbers 0 {count - 1}" if count else "LRANGE nothing 0 1"

    def creation(self, table, columns):
        return None

    def filling(self):
        yield "HSET item 1 one 2 two 3 three", None
        # A thousand at once.
        fill = ("for i = 1, tonumber(ARGV[2]), 1000 do local part = {} for j = i, i + 999 do part[#part + 1] = ARGV[1] .. j end "
                "redis.call('RPUSH', KEYS[1], unpack(part)) end")
        yield f"EVAL \"{fill}\" 1 rows 'row number ' 1000000", None
        yield f"EVAL \"{fill}\" 1 numbers '' 100000", None

    def insert(self, table):
        return f"HSET {table}"

    def look(self, table):
        return f"HGETALL {table}"

    def emptying(self, table):
        return f"DEL {table}"

    def echo(self, kind):
        return "ECHO"

    def refuses(self, kind, value):
        return "22004" if value is None else None

    def reads(self, kind, value):
        if isinstance(value, bytes):
            try:
                return value.decode()
            except UnicodeDecodeError:
                return value
        return str(value)

    def values(self, table):
        return [int(value) for value in self.server.ask("HVALS", table)]

    def state(self):
        return [self.server.ask(*command) for command in (("DBSIZE",), ("HGETALL", "item"), ("LLEN", "numbers"), ("TTL", "item"),
                                                          ("CONFIG", "GET", "maxmemory"))]

    def clients(self):
        """Connections of the daemon's, as the server sees them."""
        fields = [dict(pair.split("=", 1) for pair in line.split()) for line in self.server.ask("CLIENT", "LIST").splitlines()]
        return [entry for entry in fields if entry.get("name") == "litebase"]

    def busy_backends(self):
        return [each for each in self.clients() if "b" in each["flags"] or each["multi"] != "-1"]

    def backend_count(self):
        return len(self.clients())
