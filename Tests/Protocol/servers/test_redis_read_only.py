"""Redis behind the protocol: which commands those who may only read can send, and the server's own users."""

import pytest

from test_redis import SECRET, cache, client, fails, on, server  # noqa: F401 - fixtures among them


# Read-only

WRITES = ["SET a 1", "set a 1", "sEt a 1", "DEL k", "EVAL \"return redis.call('set','a','1')\" 0", "EVAL 'return 1' 0", "SCRIPT FLUSH",
          "SCRIPT LOAD 'return 1'", "FUNCTION FLUSH", "FCALL f 0", "SORT l STORE a", "SORT l", "GEORADIUS g 0 0 1 m STORE a",
          "GEORADIUS g 0 0 1 m", "BITFIELD k SET u8 0 1", "GETEX k EX 1", "GETDEL k", "GETSET k 1", "CONFIG SET maxmemory 1",
          "CONFIG GET requirepass", "CONFIG RESETSTAT", "CONFIG REWRITE",
          "DEBUG JMAP", "FLUSHALL", "FLUSHDB", "MIGRATE h 1 k 0 1", "RESTORE a 0 x", "COPY k a",
          "RENAME k a", "MOVE k 1", "XREADGROUP GROUP g c STREAMS s >", "PUBLISH c m", "SPUBLISH c m", "CLIENT KILL TYPE normal",
          "CLIENT PAUSE 1", "CLIENT UNBLOCK 1", "SHUTDOWN NOSAVE", "REPLICAOF NO ONE", "SLAVEOF NO ONE", "ACL SETUSER x", "ACL LIST",
          "SWAPDB 0 1", "SAVE", "BGSAVE", "BGREWRITEAOF", "EXPIRE k 1", "PERSIST k", "PFADD p a", "PFMERGE p q", "SETBIT k 1 1",
          "OBJECT HELP x y", "MEMORY PURGE", "SLOWLOG RESET", "LATENCY RESET", "MODULE LOAD /x", "CLUSTER RESET", "FAILOVER", "NOSUCH",
          "WAIT 0 0", "RESET", "AUTH x", "LMOVE l m LEFT LEFT", "BLPOP l 1", "SINTERSTORE a l", "ZRANGESTORE a z 0 1", "set\0 a b"]
READS = ["GET k", "get k", "LRANGE l 0 -1", "SCAN 0", "EVAL_RO \"return redis.call('get','k')\" 0", "SORT_RO l ALPHA",
         "BITFIELD_RO k GET u8 0", "GEORADIUS_RO g 0 0 1 m", "OBJECT ENCODING k", "MEMORY USAGE k", "TIME", "INFO", "PING", "ECHO x",
         "DBSIZE", "XREAD STREAMS s 0", "XINFO STREAM s", "COMMAND COUNT", "TTL k", "TYPE k", "EXISTS k", "DUMP k",
         "RANDOMKEY", "PFCOUNT k2", "CLIENT ID", "ACL WHOAMI", "SLOWLOG LEN", "ROLE"]


def snapshot(server):
    return sorted((key, server.ask("DUMP", key)) for key in server.ask("KEYS", "*"))


def test_read_only_access(server, start_daemon, directory):
    server.ask("FLUSHALL")
    for words in (["SET", "k", "v"], ["RPUSH", "l", "b", "a"], ["XADD", "s", "1-1", "f", "v"], ["XGROUP", "CREATE", "s", "g", 0],
                  ["GEOADD", "g", 0, 0, "m"], ["ZADD", "z", 1, "m"]):
        server.ask(*words)
    before = snapshot(server)
    config = directory / "sealed.toml"
    config.write_text(f'[databases.sealed]\nurl = "{server.url()}"\naccess = "read_only"\nread_only_scripts = true\n'
                      f'[databases.cache]\nurl = "{server.url()}"\n')
    client = start_daemon("--config", config).connect()
    for line in READS:
        client.query(line, database="sealed")
    session = client.call("db_connect", {"database": "cache", "read_only": True}).data
    assert session["read_only"] is True
    session = session["session"]
    for line in WRITES:
        words = line.split()
        ways = [({"sql": line}, {"database": "sealed"}), ({"sql": line}, {"session": session})]
        if '"' not in line and "'" not in line:
            ways += [({"sql": words[0], "params": words[1:]}, {"database": "sealed"}), ({"sql": "", "params": words}, {"session": session})]
        for statement, where in ways:
            error = client.fails("query", {**statement, **where})
            assert error["code"] == "read_only" or error["sqlstate"] == "0A000", (line, error)
            for atomic in (True, False):
                error = client.fails("batch", {"statements": [statement], "atomic": atomic, **where})
                assert error["code"] == "read_only" or error["sqlstate"] == "0A000", (line, error)
    # Within a transaction of the session, too.
    client.query("MULTI", session=session)
    assert client.query_fails("SET a 1", session=session)["code"] == "read_only"
    assert client.query("GET k", session=session).value == "QUEUED"
    assert client.query("EXEC", session=session).rows == [["v", None]]
    # A script that is allowed cannot write either: the server sees to it.
    assert "Write commands are not allowed" in client.query_fails(
        "EVAL_RO \"return redis.call('set','a','1')\" 0", database="sealed")["message"]
    client.batch([{"sql": "GET k"}, {"sql": "TIME"}], database="sealed")
    assert snapshot(server) == before
    client.settle()


def test_scripts_are_for_readers_only_where_an_administrator_says_so(server, start_daemon, directory):
    """While one runs, the server does nothing else, for writers neither."""
    endless = "EVAL_RO \"while true do end\" 0"
    server.ask("FUNCTION", "LOAD", "REPLACE", "#!lua name=l\nredis.register_function{function_name='f', callback=function() return 1 end, "
               "flags={'no-writes'}}")
    config = directory / "scripts.toml"
    config.write_text(f'[databases.sealed]\nurl = "{server.url()}"\naccess = "read_only"\n[databases.cache]\nurl = "{server.url()}"\n'
                      f'[databases.allowed]\nurl = "{server.url()}"\naccess = "read_only"\nread_only_scripts = true\n')
    client = start_daemon("--config", config).connect()
    session = client.call("db_connect", {"database": "cache", "read_only": True}).data["session"]
    for line in [endless, "evalsha_ro 0123456789012345678901234567890123456789 0", "FCALL_RO f 0", "\"EVAL_RO\" 'return 1' 0"]:
        for where in ({"database": "sealed"}, {"session": session}):
            error = client.query_fails(line, **where)
            assert error["code"] == "read_only" and "read_only_scripts" in error["hint"], error
            for atomic in (True, False):
                assert client.fails("batch", {"statements": [{"sql": line}], "atomic": atomic, **where})["code"] == "read_only"
    assert client.query("EVAL_RO 'return 7' 0", database="allowed").value == 7
    assert client.query("FCALL_RO f 0", database="allowed").value == 1
    assert client.query("EVAL 'return 7' 0", database="cache").value == 7


MANY = " ".join(["k"] * 9)


@pytest.mark.parametrize("line", [
    "SRANDMEMBER s -4000000000000000000", "HRANDFIELD h -10 WITHVALUES", "ZRANDMEMBER z -10", "LCS a b", f"MGET {MANY}", f"HMGET h {MANY}",
    f"SUNION {MANY}", f"ZUNION 9 {MANY}", f"ZINTER 9 {MANY} WEIGHTS 1 1 1 1 1 1 1 1 1", f"PFCOUNT {MANY}", "SORT_RO l " + "GET # " * 9,
])
def test_a_reader_asks_for_no_more_than_there_is(server, start_daemon, directory, line):
    """A few bytes that ask for one thing without an end stop the server for all, and take its memory."""
    config = directory / "readers.toml"
    config.write_text(f'[databases.sealed]\nurl = "{server.url()}"\naccess = "read_only"\n[databases.cache]\nurl = "{server.url()}"\n')
    client = start_daemon("--config", config).connect()
    session = client.call("db_connect", {"database": "cache", "read_only": True}).data["session"]
    for where in ({"database": "sealed"}, {"session": session}):
        error = client.query_fails(line, **where)
        assert error["code"] == "read_only" and "read_only_scripts" in error["hint"], error
        words = line.split()
        assert client.query_fails(words[0], params=words[1:], **where)["code"] == "read_only"
        assert client.fails("batch", {"statements": [{"sql": line}], "atomic": False, **where})["code"] == "read_only"
    server.ask("DEL", "s", "z")
    server.ask("SADD", "s", "1", "2", "3")
    server.ask("ZADD", "z", "1", "1", "2", "2")
    assert len(client.query("SRANDMEMBER s 2", database="sealed").rows) == 2
    equal_weights = "ZUNION 9 z " + " ".join(f"z{i}" for i in range(8)) + " WEIGHTS" + " 1" * 9
    assert len(client.query(equal_weights, database="sealed").rows) == 2
    assert len(client.query(f"MGET {MANY}", database="cache").rows) == 9


def test_users_and_their_rights(server, start_daemon, directory):
    server.ask("FLUSHALL")
    server.ask("ACL", "SETUSER", "reader", "on", f">{SECRET}", "~*", "+@read", "+@connection", "-@dangerous", "+info")
    server.ask("ACL", "SETUSER", "narrow", "on", f">{SECRET}", "~app:*", "+get", "+set")
    try:
        password = directory / "password"
        password.write_text(SECRET + "\n")
        password.chmod(0o600)
        daemon = start_daemon(databases={"cache": server.url("reader", SECRET), "narrow": server.url("narrow", SECRET),
                                         "wrong": server.url("reader", "no" + SECRET)})
        client = daemon.connect()
        assert on(client, "GET a").value is None
        session = client.call("db_connect", {"database": "cache", "read_only": True}).data["session"]
        assert client.query("GET a", session=session).value is None
        error = fails(client, "SET a 1")
        assert (error["code"], error["sqlstate"]) == ("permission_denied", "42501")
        assert client.query("SET app:a 1", database="narrow").value == "OK"
        error = client.query_fails("SET other 1", database="narrow")
        assert error["code"] == "permission_denied"
        # Who may not ask what commands do, cannot have read-only access: nothing is guessed.
        session = client.call("db_connect", {"database": "narrow", "read_only": True}).data["session"]
        error = client.query_fails("GET app:a", session=session)
        assert error["code"] == "permission_denied" and "+command" in error["hint"]
        error = client.query_fails("GET a", database="wrong")
        assert (error["code"], error["sqlstate"]) == ("connect_failed", "28000") and "WRONGPASS" in error["detail"]
        assert SECRET not in daemon.log()
    finally:
        server.ask("ACL", "DELUSER", "reader", "narrow")
