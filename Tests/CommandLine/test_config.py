"""`litebase config`: what it writes, what it refuses, what a failure leaves behind, and a real daemon that takes it up."""

import os
import pty
import resource
import select
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
from daemon import LITEBASE, SANITIZER, Daemon

USAGE, NO_INPUT, NO_PERMISSION, CONFIG_ERROR = 64, 66, 77, 78
SECRET = "Xq7-of-the-shop"


@pytest.fixture
def place():
    """A directory with litebase.toml, as short as a socket's name needs."""
    directory = Path(tempfile.mkdtemp(prefix="lb-test-", dir="/tmp"))
    (directory / "litebase.toml").write_text('[databases.first]\nurl = "sqlite::memory:"\n')
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def config(place):
    def run(command, *arguments, status=0, stdin=None, **options):
        result = subprocess.run([LITEBASE, "config", command, *map(str, arguments), "--config", place / "litebase.toml"],
                                input=stdin, capture_output=True, text=True, timeout=30, cwd=place, **options)
        assert result.returncode == status, result
        return result
    return run


@pytest.fixture
def daemon(place):
    instance = Daemon("--config", place / "litebase.toml", directory=place)
    yield instance
    instance.finish()


def snapshot(directory):
    return {str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None for path in directory.rglob("*")}


def add(place, name="shop"):
    return place / f"litebase.toml.d/{name}.toml"


# What is written


def test_a_database_is_there_after_a_reload(config, place, daemon):
    client = daemon.connect()
    client.query_fails("SELECT 1", database="music")
    result = config("add-database", "music", "./mu?sic.db", "--access", "read_only", "--reload", "--socket", daemon.socket_path)
    assert result.stdout == f"Written: {add(place, 'music')}\nConfiguration reloaded: 3 databases\n" and result.stderr == ""
    assert add(place, "music").read_text() == (
        '# Written by "litebase config add-database".\n[databases.music]\n'
        f'url = "sqlite:{place}/mu%3fsic.db"\naccess = "read_only"\n')
    listed = client.call("list_databases").data["databases"]
    assert [entry["access"] for entry in listed if entry["name"] == "music"] == ["read_only"]
    result = config("remove-database", "music", "--reload", "--socket", daemon.socket_path)
    assert result.stdout == f"Removed: {add(place, 'music')}\nConfiguration reloaded: 2 databases\n"
    assert not any(entry["name"] == "music" for entry in client.call("list_databases").data["databases"])


def test_what_was_done_is_said_although_no_daemon_reloads(config, place):
    """A daemon that does not answer: the file is gone, and whoever reads only the error would try again."""
    nowhere = ("--reload", "--socket", place / "none.sock")
    done = config("add-database", "music", "sqlite::memory:", *nowhere, status=69)
    assert done.stdout == f"Written: {add(place, 'music')}\n" and "none.sock" in done.stderr, done
    done = config("remove-database", "music", *nowhere, status=69)
    assert done.stdout == f"Removed: {add(place, 'music')}\n" and "none.sock" in done.stderr, done


def test_without_a_reload_the_next_step_is_told(config):
    assert config("add-database", "a.b", "sqlite::memory:").stdout.endswith("Next: litebase reload\n")
    assert '[databases."a.b"]' in config("check").stdout


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_files_are_for_their_owner_alone(config, place, mask):
    config("add-database", "shop", "postgresql://app@/shop", "--ask-password", stdin=SECRET + "\n",
           preexec_fn=lambda: os.umask(mask))
    for path, mode in [(add(place), 0o600), (place / "credentials/shop.password", 0o600),
                       (place / "credentials", 0o700), (place / "litebase.toml.d", 0o700)]:
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
    assert (place / "credentials/shop.password").read_text() == SECRET + "\n"
    assert f'password_file = "{place}/credentials/shop.password"\n' in add(place).read_text()
    assert SECRET not in add(place).read_text()
    assert "shop.password" in config("remove-database", "shop").stdout, "the password that is left is named"


def test_places_of_passwords(config, place):
    (place / "secret").touch(0o600)
    config("add-database", "a", "postgresql://app@/shop", "--password-file", "secret")
    assert f'password_file = "{place}/secret"' in add(place, "a").read_text()
    config("add-database", "b", "postgresql://app@/shop", "--credential", "shop")
    assert 'password_credential = "shop"' in add(place, "b").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_users_and_groups(config, place, daemon):
    place.chmod(0o755)
    config("add-database", "closed", "sqlite::memory:", "--users", "nobody,daemon", "--groups", "adm", "--reload", "--socket",
           daemon.socket_path)
    assert 'users = ["nobody", "daemon"]\ngroups = ["adm"]\n' in add(place, "closed").read_text()
    assert 'no user of this machine' in config("add-database", "x", "sqlite::memory:", "--users", "nix-da",
                                               status=CONFIG_ERROR).stderr
    assert "--users" in config("add-database", "x", "sqlite::memory:", "--users", "a,,b", status=USAGE).stderr


def test_texts_are_quoted(config, place):
    config("add-database", "odd", '/a "b"\\c/ü%.db')
    assert f'url = "sqlite:/a \\"b\\"\\\\c/ü%25.db"' in add(place, "odd").read_text()
    config("check")


# What is refused, and changes nothing


@pytest.mark.parametrize("arguments,status,word", [
    (["shop", f"postgresql://app:{SECRET}@/shop"], USAGE, "the URL holds a password"),
    (["shop", f"postgresql://app@/shop?password={SECRET}"], USAGE, "the URL holds a password"),
    (["shop", f"postgresql://app:{SECRET}/x@/shop"], CONFIG_ERROR, "postgresql://"),
    (["shop", f"gopher://app:{SECRET}@/shop"], CONFIG_ERROR, "gopher"),
    (["shop", "sqlite:relative.db"], CONFIG_ERROR, "shop.toml:3"),
    (["shop", "sqlite:/a.db", "--ask-password"], CONFIG_ERROR, "for databases on servers"),
    (["shop", "postgresql://app@/shop", "--credential", "a/b"], CONFIG_ERROR, "name of a credential"),
    (["shop", "postgresql://app@/shop", "--credential", "a", "--ask-password"], USAGE, "only one of"),
    (["first", "sqlite::memory:"], USAGE, "another file has a database"),
    (["taken", "sqlite::memory:", "--replace"], USAGE, "edit it by hand"),
    (["taken", "sqlite::memory:"], USAGE, "--replace"),
    (["../shop", "sqlite::memory:"], USAGE, "A name is"), (["a/b", "sqlite::memory:"], USAGE, "A name is"),
    ([".hidden", "sqlite::memory:"], USAGE, "A name is"), (["x" * 65, "sqlite::memory:"], USAGE, "A name is"),
    (["", "sqlite::memory:"], USAGE, "A name is"), (["shop", "sqlite::memory:", "--access", "all"], USAGE, "access"),
], ids=lambda value: "-".join(value)[:40] if isinstance(value, list) else None)
def test_refusals(config, place, arguments, status, word):
    (place / "litebase.toml.d").mkdir()
    add(place, "taken").write_text('[databases.other]\nurl = "sqlite::memory:"\n')
    before = snapshot(place)
    result = config("add-database", *arguments, status=status, stdin=SECRET)
    assert word in result.stderr and SECRET not in result.stderr + result.stdout
    assert "litebase-config-" not in result.stderr, "the name of a file that nobody knows"
    assert snapshot(place) == before


@pytest.mark.parametrize("secret", ["", "\n", "a\nb\n", "a\0b", "x" * 4097])
def test_bad_passwords(config, place, secret):
    before = snapshot(place)
    result = config("add-database", "shop", "postgresql://app@/shop", "--ask-password", status=65, stdin=secret)
    assert "the password" in result.stderr and snapshot(place) == before


def test_a_configuration_that_is_broken_already_is_not_added_to(config, place):
    (place / "litebase.toml").write_text("lops = 1\n")
    before = snapshot(place)
    result = config("add-database", "shop", "sqlite::memory:", status=CONFIG_ERROR)
    assert f'{place}/litebase.toml:1:1: unknown key "lops"; did you mean "loops"?' in result.stderr
    assert snapshot(place) == before
    assert 'unknown key "lops"' in config("check", status=CONFIG_ERROR).stderr


def test_what_another_setting_needs_stays(config, place):
    config("add-database", "main", "sqlite::memory:")
    (place / "litebase.toml").write_text('default_database = "main"\n')
    assert 'default_database names "main"' in config("remove-database", "main", status=CONFIG_ERROR).stderr
    assert add(place, "main").exists()


def test_only_what_was_added_is_removed_or_replaced(config, place):
    assert "there is no" in config("remove-database", "shop", status=NO_INPUT).stderr
    config("add-database", "shop", "sqlite:/a.db")
    config("add-database", "shop", "sqlite:/b.db", "--replace")
    assert "/b.db" in add(place).read_text() and list((place / "litebase.toml.d").iterdir()) == [add(place)]
    add(place).write_text("# mine\n" + add(place).read_text())
    assert "edit it by hand" in config("remove-database", "shop", status=USAGE).stderr


def test_the_main_file_must_be_there_when_it_is_named(config, place):
    (place / "litebase.toml").unlink()
    assert "No such file" in config("add-database", "shop", "sqlite::memory:", status=CONFIG_ERROR).stderr
    assert list(place.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_without_permission(config, place):
    place.chmod(0o755)
    before = snapshot(place)
    result = config("add-database", "shop", "sqlite::memory:", status=NO_PERMISSION, user="nobody", group="nogroup", extra_groups=[])
    assert "Permission denied" in result.stderr and snapshot(place) == before


@pytest.mark.skipif(SANITIZER == "thread", reason="its report cannot be written either")
def test_a_full_disk_leaves_the_former_file(config, place):
    """The file system of litebase.toml.d takes no more bytes."""
    config("add-database", "shop", "sqlite:/a.db")
    former = add(place).read_text()
    # RLIMIT_FSIZE: the new file cannot have its content; a signal would come first, so it is ignored.
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    result = subprocess.run([LITEBASE, "config", "add-database", "shop", "sqlite:/b.db", "--replace", "--config",
                             place / "litebase.toml"], capture_output=True, text=True, timeout=30, preexec_fn=limit)
    assert result.returncode != 0 and "File too large" in result.stderr
    assert add(place).read_text() == former and list((place / "litebase.toml.d").iterdir()) == [add(place)]


# The user's own place, and the terminal


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_a_user_has_files_of_his_own(place):
    os.chown(place, 65534, 65534)
    environment = {"HOME": str(place), "PATH": os.environ["PATH"]}
    result = subprocess.run([LITEBASE, "config", "add-database", "shop", "postgresql://app@/shop", "--ask-password"],
                            input=SECRET, capture_output=True, text=True, timeout=30, env=environment, user=65534,
                            group=65534, extra_groups=[])
    assert result.returncode == 0, result
    home = place / ".config/litebase"
    assert f'password_file = "{home}/credentials/shop.password"' in (home / "litebase.toml.d/shop.toml").read_text()
    assert (home / "credentials/shop.password").read_text() == SECRET + "\n"
    assert (home / "credentials/shop.password").stat().st_uid == 65534


def typed(command, text):
    """Runs a command on a terminal, types a line when it asks, and returns its exit status and all that it showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(command[0], command)
    shown, sent, deadline = b"", False, time.monotonic() + 20
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                shown += os.read(terminal, 4096)
            except OSError:
                break
        if not sent and b"Password of database shop: " in shown:
            os.write(terminal, text)
            sent = True
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_a_typed_password_is_not_shown(place):
    command = [LITEBASE, "config", "add-database", "shop", "postgresql://app@/shop", "--ask-password", "--config",
               str(place / "litebase.toml")]
    status, shown = typed(command, SECRET.encode() + b"\n")
    assert status == 0 and SECRET not in shown, shown
    assert (place / "credentials/shop.password").read_text() == SECRET + "\n"
    before = snapshot(place)
    assert typed([*command, "--replace"], b"\x03")[0] == 130
    assert snapshot(place) == before


def test_a_name_of_a_file_is_no_url(config, place):
    result = config("add-database", "music", "music.db", status=CONFIG_ERROR)
    assert 'url: "music.db" is no URL; use sqlite:/absolute/path' in result.stderr and not add(place, "music").exists()


TOML = '[databases.shop]\nurl = "{url}"\n{more}\n[databases.default]\nurl = "sqlite::memory:"\n'


@pytest.mark.parametrize("text, words", [
    (TOML.format(url="postgresql://u@h/d?sslmode=verify_full", more=""), ["sslmode", "verify-full"]),
    (TOML.format(url="postgresql://u@h/d?target_session_attrs=readwrite", more=""), ["target_session_attrs", "read-write"]),
    (TOML.format(url="postgresql://u@h/d?gssencmode=off", more=""), ["gssencmode", "disable"]),
    (TOML.format(url="postgresql://u@h/d?channel_binding=yes", more=""), ["channel_binding", "require"]),
    (TOML.format(url="postgresql://u@h/d?ssl_min_protocol_version=TLS1.2", more=""), ["ssl_min_protocol_version", "TLSv1.2"]),
    (TOML.format(url="mysql://u@h/d?ssl-mode=require", more=""), ["ssl-mode", "required"]),
    (TOML.format(url="mysql://u@h/d?tls-version=TLS1.3", more=""), ["tls-version", "TLSv1.3"]),
    (TOML.format(url="mysql://u@a,b/d?target_session_attrs=primary", more=""), ["target_session_attrs", "read-write"]),
    (TOML.format(url="redis+sentinel://a,b", more=""), ["Sentinels call the primary", "redis+sentinel://"]),
    (TOML.format(url="postgresql://u@h/d", more='password_file = "/nowhere/at/all"'), ["shop", "/nowhere/at/all", "No such file"]),
    (TOML.format(url="postgresql://u@h/d", more='password_file = "/etc"'), ["shop", "/etc", "regular"]),
    (TOML.format(url="postgresql://u@h/d", more='read_only_url = "postgresql://r@h/d"\nread_only_password_file = "/nowhere"'), ["shop", "/nowhere"]),
    ('[socket]\ngroup = "no such group"\n', ["litebase.toml:2:", "socket.group", "no such group"]),
    ("[limit]\nrow_bytes_max = 1\n", ['did you mean "limits"?']), ("[databas.x]\nurl = 1\n", ['did you mean "databases"?']),
    ("[frame_bytes_max]\nx = 1\n", ["unknown table"]),
])
def test_mistakes_that_are_found_before_they_are_met(config, place, text, words):
    (place / "litebase.toml").write_text(text)
    result = config("check", status=CONFIG_ERROR)
    assert all(word in result.stderr for word in words), result.stderr


@pytest.mark.parametrize("text", [
    TOML.format(url="postgresql://u@h/d?sslmode=verify-full&target_session_attrs=prefer-standby&ssl_min_protocol_version=TLSv1.3", more=""),
    TOML.format(url="mysql://u@h/d?ssl-mode=required&tls-version=TLSv1.2,TLSv1.3", more=""),
    TOML.format(url="mysql://u@a,b/d?target_session_attrs=prefer-standby", more=""),
    TOML.format(url="redis+sentinel://u@a,b:1/shop/2", more=""), '[socket]\ngroup = "root"\n', "[socket]\ngroup = \"0\"\n"])
def test_what_is_right_is_no_mistake(config, place, text):
    (place / "litebase.toml").write_text(text)
    config("check")
