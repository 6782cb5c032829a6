"""Who may connect, and what the daemon itself may do."""

import json
import re

from machine import SERVICE, SOCKET, wait_until

EX_NOPERM = 77  # sysexits.h
CLOSE_ON_EXEC = 0o2000000


def test_group_membership_decides_who_is_served(machine):
    denied = machine.run("litebase", "ping", "-c", "1", "--socket", SOCKET, user="stranger", check=False)
    assert denied.returncode == EX_NOPERM and "permitted" in denied.stderr and "group" in denied.stderr, denied
    refused = machine.run("python3", "-c", f"import socket; socket.socket(socket.AF_UNIX).connect({SOCKET!r})", user="stranger",
                          check=False)
    assert "Permission denied" in refused.stderr
    assert machine.state() == "inactive", "who may not connect does not start the service"
    machine.ping(user="member")
    machine.ping()
    peer = machine.output("python3", "-c", PEER, SOCKET, user="member", environment=["PYTHONPATH=/usr/local/lib/litebase-test"])
    assert json.loads(peer)["user"] == "member"


PEER = """
import json, sys, wire
print(json.dumps(wire.Client(sys.argv[1]).call("hello").data["peer"]))
"""


def test_process_has_no_rights_that_it_does_not_need(machine):
    machine.ping()
    status = machine.process_status(machine.main_pid())
    litebase = machine.output("id", "-u", "litebase")
    assert set(status["Uid"].split()) == {litebase} and litebase != "0"
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, f"{name} {status[name]}"
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert int(status["Umask"], 8) == 0o077


def test_every_descriptor_is_closed_on_exec(machine, connect):
    clients = [connect() for _ in range(5)]
    for number, client in enumerate(clients):
        client.query(f"CREATE TABLE IF NOT EXISTS descriptors_{number}(x)")
        client.session()
    pid = machine.main_pid()
    checked = 0
    for file in machine.path(f"/proc/{pid}/fdinfo").iterdir():
        flags = int(re.search(r"^flags:\s+(\d+)", file.read_text(), re.MULTILINE)[1], 8)
        if int(file.name) > 2:
            target = machine.path(f"/proc/{pid}/fd/{file.name}").readlink()
            assert flags & CLOSE_ON_EXEC, f"descriptor {file.name}, {target}, would be inherited"
            checked += 1
    assert checked > 10


# Enters the daemon's mount namespace, where there may be no other program, as the user of argument 2.
ENTER = """
import ctypes, errno, os, pwd, sys
user, program = pwd.getpwnam(sys.argv[2]), open("/usr/bin/true", "rb").read()
libc = ctypes.CDLL(None, use_errno=True)
namespace = os.open(f"/proc/{sys.argv[1]}/ns/mnt", os.O_RDONLY)
assert libc.setns(namespace, 0) == 0, os.strerror(ctypes.get_errno())
os.setgroups([]); os.setgid(user.pw_gid); os.setuid(user.pw_uid)
"""
WRITES = """
for path in %r:
    try:
        descriptor = os.open(path + "/written-by-test", os.O_CREAT | os.O_WRONLY, 0o600)
        os.unlink(path + "/written-by-test")
        print("WRITABLE", path)
    except OSError as error:
        print(error.errno, path)
"""
EXECUTES = """
for path in ("/var/lib/litebase", "/tmp", "/var/tmp"):
    name = path + "/executed-by-test"
    with open(name, "wb", opener=lambda name, flags: os.open(name, flags, 0o700)) as file:
        file.write(program)
    child = os.fork()
    if child == 0:
        try:
            os.execv(name, [name])
        except OSError as error:
            os._exit(error.errno)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.unlink(name)
    print(path, errno.errorcode.get(status, status))
"""
PLACES = ["/", "/etc", "/etc/litebase", "/etc/litebase/litebase.toml.d", "/usr/bin", "/var", "/var/lib", "/var/log", "/home",
          "/root", "/run", "/run/lock", "/run/litebase", "/dev", "/dev/shm", "/usr/lib", "/boot", "/opt", "/srv", "/var/cache",
          "/var/lib/litebase"]


def test_nothing_but_the_state_can_be_written(machine):
    """Not even root could write in the daemon's mount namespace, which is read-only."""
    machine.ping()
    for user in ("root", "litebase"):
        output = machine.output("python3", "-c", ENTER + WRITES % (PLACES,), machine.main_pid(), user)
        writable = re.findall(r"^WRITABLE (.*)$", output, re.MULTILINE)
        assert writable == ["/var/lib/litebase"], f"{user}: {output}"


def test_what_can_be_written_cannot_be_executed(machine):
    machine.ping()
    output = machine.output("python3", "-c", ENTER + EXECUTES, machine.main_pid(), "litebase")
    assert output.splitlines() == ["/var/lib/litebase EACCES", "/tmp EACCES", "/var/tmp EACCES"]


def test_no_network(machine, connect):
    connect().query("SELECT 1")
    shown = machine.output("systemctl", "show", SERVICE, "-p", "RestrictAddressFamilies", "-p", "IPAddressDeny")
    assert "RestrictAddressFamilies=AF_UNIX\n" in shown + "\n" and "0.0.0.0/0" in shown and "::/0" in shown, shown
    pid = machine.main_pid()
    inodes = re.findall(r"socket:\[(\d+)\]", machine.output("ls", "-l", f"/proc/{pid}/fd"))
    internet = "".join(machine.path(f"/proc/{process}/net/{family}").read_text()
                       for process in (1, pid) for family in ("tcp", "tcp6", "udp", "udp6"))
    assert inodes and not [inode for inode in inodes if re.search(rf"\b{inode}\b", internet)]


ATTEMPT = """[Service]
Type=oneshot
Restart=no
ExecStart=
ExecStart=/usr/bin/python3 -c "import socket; socket.socket(socket.AF_INET)"
BindReadOnlyPaths=/usr/bin
"""


def test_the_sandbox_refuses_internet_sockets(machine):
    """Another program under the directives of the unit."""
    machine.write("/etc/systemd/system/tested-net.service", machine.path("/lib/systemd/system/litebase.service").read_text())
    machine.drop_in("attempt", ATTEMPT, "tested-net.service")
    assert machine.systemctl("start", "tested-net.service", check=False).returncode != 0
    text = "\n".join(machine.messages(machine.began, "-u", "tested-net.service"))
    assert "Address family not supported" in text, text
    # The negative: without that one directive, the same attempt succeeds.
    machine.drop_in("attempt", ATTEMPT + "RestrictAddressFamilies=\n", "tested-net.service")
    machine.systemctl("start", "tested-net.service")


def test_loopback_tcp_by_drop_in(machine):
    machine.systemctl("stop", "litebase.socket")
    machine.drop_in("tcp", "[Socket]\nListenStream=127.0.0.1:5005\n", "litebase.socket")
    machine.systemctl("start", "litebase.socket")
    answer = machine.output("python3", "-c", TCP, environment=["PYTHONPATH=/usr/local/lib/litebase-test"])
    assert answer == "healthy"
    assert "127.0.0.1:5005" in "\n".join(machine.messages(machine.began, "-u", SERVICE))
    machine.ping()


TCP = """
import wire
print(wire.Client(("127.0.0.1", 5005)).call("health_check").data["status"])
"""


def test_other_tcp_addresses_are_refused_with_a_reason(machine):
    machine.systemctl("stop", "litebase.socket")
    machine.drop_in("tcp", "[Socket]\nListenStream=0.0.0.0:5005\n", "litebase.socket")
    machine.systemctl("start", "litebase.socket")
    connection = machine.start("litebase", "ping", "-c", "1")
    wait_until(lambda: [text for text in machine.messages(machine.began, "-u", SERVICE) if "loopback" in text],
               "a message that names the loopback rule")
    machine.remove("/etc/systemd/system/litebase.socket.d/tcp.conf")
    machine.systemctl("daemon-reload")
    machine.systemctl("stop", "litebase.socket", SERVICE)
    assert connection.wait(timeout=15) != 0


def test_a_socket_path_that_is_too_long_is_named(machine):
    path = "/tmp/" + "x" * 110 + ".sock"
    done = machine.run("litebased", "--listen=standalone", f"--socket={path}", check=False, timeout=10)
    assert done.returncode not in (0, 124) and "107" in done.stdout + done.stderr, done


def test_a_copy_that_root_has_put_in_the_place_of_a_database_is_told_with_its_reason(machine):
    """By mv, and without the owner that the guide gives it: clients and the journal learn why, the journal once."""
    path = "/var/lib/litebase/copied.db"
    machine.write("/etc/litebase/litebase.toml.d/test-copied.toml", f'[databases.copied]\nurl = "sqlite:{path}"\n')

    def ask():
        return machine.run("litebase", "query", "-d", "copied", "SELECT 1", user="member", check=False)

    try:
        machine.run("litebase", "query", "-d", "copied", "CREATE TABLE t(x)", user="member")
        machine.shell(f"cp {path} {path}.new && chmod 600 {path}.new && mv {path}.new {path}")
        failed = wait_until(lambda: (done := ask()).returncode and done, "the new file is noticed")
        assert failed.returncode == 69 and "detail: Permission denied." in failed.stderr and "daemon's user" in failed.stderr, failed
        for _ in range(5):
            assert ask().returncode == 69
        told = [text for text in machine.messages(machine.began, "-u", SERVICE) if "cannot be opened" in text]
        assert len(told) == 1 and path in told[0] and "Permission denied." in told[0], told
        machine.run("chown", "litebase:litebase", path)
        assert ask().returncode == 0
    finally:
        machine.systemctl("stop", "litebase.socket", SERVICE)
        machine.shell(f"rm -f {path}*")
