"""What arrives in the journal: fields, explanations, and never a secret."""

import re
import time

from machine import SERVICE, wait_until

SECRET = "hunter2-swordfish"


def ours(machine):
    return [entry for entry in machine.journal(machine.began, "-u", SERVICE) if entry["_SYSTEMD_UNIT"] == SERVICE]


def catalog(machine):
    """Message id -> subject, of the catalog that the package installs."""
    text = machine.path("/usr/lib/systemd/catalog/litebase.catalog").read_text()
    return dict(re.findall(r"^-- ([0-9a-f]{32})\nSubject: (.*)$", text, re.MULTILINE))


def test_entries_are_native_and_have_their_fields(machine):
    machine.ping(user="member")
    # A record is written by a thread of its own, maybe after the reply.
    wait_until(lambda: any("IPC server started" in entry["MESSAGE"] for entry in ours(machine)), "the start is in the journal")
    entries = ours(machine)
    pid = str(machine.main_pid())
    for entry in entries:
        assert entry["_TRANSPORT"] == "journal", entry
        assert entry["_PID"] == pid and entry["_COMM"] == "litebased", entry
        assert entry["SYSLOG_IDENTIFIER"] == "litebased" and entry["PRIORITY"] in "01234567", entry
        assert re.fullmatch("[0-9a-f]{32}", entry.get("MESSAGE_ID", "")), entry
    started = [entry for entry in entries if "IPC server started" in entry["MESSAGE"]]
    assert len(started) == 1 and started[0]["PRIORITY"] in "56"


def test_every_message_is_in_the_catalog_and_is_explained(machine):
    machine.ping()
    machine.systemctl("restart", SERVICE)
    machine.ping()
    known = catalog(machine)
    for entry in ours(machine):
        assert entry.get("MESSAGE_ID") in known, entry
    explained = machine.output("journalctl", "-x", "--no-pager", "-u", SERVICE, f"--after-cursor={machine.began}")
    subject = known[next(entry["MESSAGE_ID"] for entry in ours(machine) if "IPC server started" in entry["MESSAGE"])]
    assert f"Subject: {subject}" in explained and "░░" in explained, explained
    assert not re.search(r"@[A-Z_]+@", explained), "a field that no message has"


def test_a_slow_statement_is_logged_with_who_and_where(machine):
    machine.write("/etc/litebase/litebase.toml.d/test-log.toml", "[log]\nslow_statement_ms = 20\n")
    slow = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 3000000) SELECT count(*), 'not-in-the-log' FROM c"
    machine.run("litebase", "query", slow, user="member")
    wait_until(lambda: any("LITEBASE_DURATION_US" in entry for entry in ours(machine)), "the statement is in the journal")
    entry = next(entry for entry in ours(machine) if "LITEBASE_DURATION_US" in entry)
    assert int(entry["LITEBASE_DURATION_US"]) > 20_000
    assert entry["LITEBASE_DATABASE"] == "default"
    assert entry["LITEBASE_PEER_UID"] == machine.output("id", "-u", "member")
    assert int(entry["LITEBASE_PEER_PID"]) > 1
    assert entry["LITEBASE_CONNECTION"] and entry["LITEBASE_REQUEST"], entry
    assert "not-in-the-log" not in str(entry), "SQL text only if configured"


def test_no_secret_and_no_parameter_reaches_the_journal(machine):
    machine.write("/etc/litebase/litebase.toml.d/test-log.toml", 'log_level = "debug"\n[log]\nslow_statement_ms = 1\n')
    script = (f"litebase query 'SELECT ?' {SECRET}; litebase query 'INSERT INTO missing VALUES (?)' {SECRET};"
              f"litebase query \"SELECT '{SECRET}' FROM missing\"; litebase query \"SELEC '{SECRET}'\"")
    machine.shell(script, user="member", check=False)
    machine.systemctl("stop", SERVICE)
    entries = machine.journal(machine.began)
    assert len(entries) > 5
    assert not [entry for entry in entries if SECRET in str(entry)]


def test_a_flood_of_failures_is_held_back(machine, connect):
    """A client that fails ten thousand times does not fill the journal."""
    client = connect()
    for _ in range(10):
        ids = [client.send_query("SELEC 1") for _ in range(1000)]
        for id in ids:
            assert client.receive_for(id).type == "error"
    machine.systemctl("stop", SERVICE)
    assert len(ours(machine)) < 1000


def test_a_journald_that_stands_still_stops_nobody(machine, connect):
    """Stopped in the middle: clients are served, the service ends in time, and what is missing is counted afterwards."""
    machine.write("/etc/litebase/litebase.toml.d/test-log.toml", 'log_level = "debug"\n')
    client = connect()
    client.settle()
    pid = machine.main_pid()
    count = 2 * int(machine.output("cat", "/proc/sys/net/unix/max_dgram_qlen")) + 1000
    machine.systemctl("kill", "--signal=STOP", "systemd-journald.service")
    try:
        begun = time.monotonic()
        for _ in range(count):
            client.call("health_check")
        served = time.monotonic() - begun
    finally:
        machine.systemctl("kill", "--signal=CONT", "systemd-journald.service")
    assert served < 10, served
    client.settle()
    machine.systemctl("stop", "litebase.socket", SERVICE)
    entries = [entry for entry in ours(machine) if entry["_PID"] == str(pid)]
    lost = [entry for entry in entries if "LITEBASE_LOST" in entry]
    requests = sum("LITEBASE_REQUEST" in entry for entry in entries)
    assert lost and lost[0]["MESSAGE_ID"] in catalog(machine), len(entries)
    # A health check has one record at this level: here, or counted.
    assert requests + sum(int(entry["LITEBASE_LOST"]) for entry in lost) >= count, (requests, lost)
    assert "Stopped" in entries[-1]["MESSAGE"], "the order is kept to the end"


def test_debug_log_of_the_flags_that_people_know(machine):
    """`-log-level=debug` shows what happens; where standard error is not the journal, the daemon writes plain text."""
    script = ("timeout 2 litebased -socket=/tmp/litebase.sock -log-level=debug & sleep 1;"
              "litebase ping -c 1 --socket /tmp/litebase.sock; wait")
    done = machine.shell(script, user="member", environment=["HOME=/home/member"], check=False)
    assert "IPC server started" in done.stderr and "/tmp/litebase.sock" in done.stderr, done.stderr
    assert "debug" in done.stderr and not re.search("^<[0-7]>", done.stderr, re.MULTILINE), done.stderr
