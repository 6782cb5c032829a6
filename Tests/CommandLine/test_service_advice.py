"""What `config` knows of the system's service: whose eyes a check has, and what the sandbox keeps from it."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
from daemon import LITEBASE, LITEBASED

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root works on the system's configuration")
pytestmark = needs_root

SHIPPED = """LoadState=loaded
RootDirectory=/run/litebase-root
BindReadOnlyPaths=/etc:/etc:rbind /usr/lib:/usr/lib:rbind -/run/litebase:/run/litebase:rbind
PrivateNetwork=yes
"""


@pytest.fixture
def system():
    """A system's configuration in a directory, a user "litebase" without a right to anything, and a systemctl."""
    directory = Path(tempfile.mkdtemp(prefix="lb-test-", dir="/tmp"))
    directory.chmod(0o755)
    (directory / "etc").mkdir(mode=0o755)
    users = Path("/etc/passwd").read_text().splitlines()
    (directory / "passwd").write_text("\n".join([line for line in users if not line.startswith("litebase:")]
                                               + ["litebase:x:64999:64999::/nonexistent:/usr/sbin/nologin", ""]))
    groups = Path("/etc/group").read_text().splitlines()
    (directory / "group").write_text("\n".join([line for line in groups if not line.startswith("litebase:")] + ["litebase:x:64999:", ""]))

    def run(program, *arguments, status=0, says=SHIPPED):
        systemctl = directory / "systemctl"
        systemctl.write_text(f"#!/bin/sh\n[ \"$1 $2\" = 'show litebase.service' ] || exit 1\ncat <<'END'\n{says}END\n" if says
                             else "#!/bin/sh\nexit 1\n")
        systemctl.chmod(0o755)
        environment = {**os.environ, "CONFIGURATION_DIRECTORY": str(directory / "etc"), "STATE_DIRECTORY": "/var/lib/litebase",
                       "PATH": f"{directory}:{os.environ['PATH']}"}
        script = f"mount --bind {directory}/passwd /etc/passwd && mount --bind {directory}/group /etc/group && exec \"$@\""
        done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", program, *map(str, arguments)], capture_output=True,
                              text=True, timeout=30, env=environment, check=False)
        assert done.returncode == status, done
        return done.stdout + done.stderr

    run.etc = directory / "etc"
    yield run
    shutil.rmtree(directory)


@pytest.mark.parametrize("program, arguments", [(LITEBASED, ["--check-config"]), (LITEBASE, ["config", "check"])])
@pytest.mark.parametrize("what", ["main", "drop-in", "directory", "password"])
def test_a_check_has_the_service_s_eyes(system, program, arguments, what):
    main, drop_ins = system.etc / "litebase.toml", system.etc / "litebase.toml.d"
    drop_ins.mkdir(mode=0o755)
    main.write_text('log_level = "info"\n')
    (drop_ins / "a.toml").write_text('[databases.a]\nurl = "redis://a.example"\npassword_file = "%s"\n' % (system.etc / "secret"))
    (system.etc / "secret").write_text("x\n")
    hidden = {"main": main, "drop-in": drop_ins / "a.toml", "directory": drop_ins, "password": system.etc / "secret"}[what]
    for path in (main, drop_ins / "a.toml"):
        path.chmod(0o644)
    # A password must not be open to everybody.
    (system.etc / "secret").chmod(0o600)
    os.chown(system.etc / "secret", 64999, 64999)
    system(program, *arguments)
    hidden.chmod(0o700 if what == "directory" else 0o600)
    os.chown(hidden, 0, 0)
    output = system(program, *arguments, status=78)
    assert str(hidden) in output and "Permission denied" in output and "user litebase" in output, output
    # A file that is named is whoever's daemon it is.
    system(LITEBASED, "--check-config", "--config", main)


@pytest.mark.parametrize("url, setting", [
    ("/var/lib/litebase/a.db", None), ("/var/lib/litebase/below/a.db", None), ("/var/lib/litebaseball/a.db", "BindPaths=-/var/lib/litebaseball"),
    ("/srv/music/a.db", "BindPaths=-/srv/music"), ("/etc/a.db", "BindPaths=-/etc"), ("sqlite:/etc/a.db?mode=ro", None),
    ("sqlite:/srv/a%3fb/c.db?mode=ro", "BindReadOnlyPaths=-/srv/a?b"), ("sqlite::memory:", None), ("/a.db", "BindPaths=-/"),
    ("/srv/my music/a.db", 'BindPaths="-/srv/my music"'),
])
def test_a_path_out_of_reach_is_told_with_its_drop_in(system, url, setting):
    output = system(LITEBASE, "config", "add-database", "music", url)
    assert (system.etc / "litebase.toml.d/music.toml").exists()
    if setting is None:
        assert output.endswith("Next: systemctl reload litebase\n") and "sandbox" not in output
    else:
        assert f"  [Service]\n  {setting}\n" in output and "litebase.service.d/music.conf" in output, output
        # One thing is next, not two.
        assert output.count("Next: ") == 1 and "reload litebase\n" not in output
        assert output.endswith("Next: systemctl daemon-reload; systemctl restart litebase.service\n"), output
        assert system(LITEBASE, "config", "add-database", "music", url, "--replace", "--reload").count("Next: ") == 1


def test_what_a_drop_in_gives_is_known(system):
    given = SHIPPED + "BindPaths=/srv/music:/srv/music:rbind -/srv/my files:/srv/my files:rbind -/data:/srv/data:\n"
    for url in ("/srv/music/a.db", "/srv/my files/a.db", "/srv/data/x/a.db"):
        assert "sandbox" not in system(LITEBASE, "config", "add-database", "m", url, "--replace", says=given)
    assert "BindPaths=-/data" in system(LITEBASE, "config", "add-database", "m", "/data/a.db", "--replace", says=given)
    # The machine's own root directory (machine-root.conf): what is protected there cannot be seen from here.
    plain = SHIPPED.replace("RootDirectory=/run/litebase-root\n", "")
    assert "sandbox" not in system(LITEBASE, "config", "add-database", "m", "/data/a.db", "--replace", says=plain)


def test_a_directory_that_the_service_cannot_write_is_told(system):
    """The drop-in alone would not help; and where the sandbox has it, nothing else would say so before the first request."""
    place = system.etc.parent / "place"
    given = SHIPPED + f"BindPaths={system.etc.parent}:{system.etc.parent}:rbind\n"
    add = ("config", "add-database", "m", place / "a.db", "--replace")

    def told(says=given):
        return system(LITEBASE, *add, says=says)

    assert f"install -d -o litebase -g litebase -m 0750 {place}" in told()
    assert told().endswith("Next: systemctl reload litebase\n")
    place.mkdir(mode=0o755)
    output = told()
    assert f"User litebase may not write to {place}" in output and output.endswith("Next: systemctl reload litebase\n"), output
    output = told(SHIPPED)
    assert "User litebase may not write" in output and f"BindPaths=-{place}" in output and output.endswith("litebase.service\n")
    os.chown(place, 64999, 64999)
    assert "may not" not in told()
    (place / "a.db").write_text("")
    assert "may not" in told()
    os.chown(place / "a.db", 64999, 64999)
    assert "may not" not in told() and "must be there" not in told()
    # Read only: the directory needs to be no more than there.
    os.chown(place, 0, 0)
    assert "may not" not in system(LITEBASE, "config", "add-database", "m", f"sqlite:{place}/a.db?mode=ro", "--replace", says=given)


def test_without_systemd_the_shipped_unit_is_meant(system):
    assert "BindPaths=-/data" in system(LITEBASE, "config", "add-database", "m", "/data/a.db", says=None)


def test_a_server_out_of_reach_is_told(system):
    add = ("config", "add-database", "shop", "postgresql://a@db.example.org/shop", "--replace")
    output = system(LITEBASE, *add)
    assert "remote-databases.conf" in output and output.count("Next: ") == 1 and "restart litebase.service" in output
    reachable = SHIPPED.replace("PrivateNetwork=yes", "PrivateNetwork=no")
    assert system(LITEBASE, *add, says=reachable).endswith("Next: systemctl reload litebase\n")
    output = system(LITEBASE, *add, "--credential", "shop.password", says=reachable)
    assert "LoadCredential=shop.password:" in output and "remote-databases.conf" not in output
    assert output.endswith("Next: systemctl daemon-reload; systemctl restart litebase.service\n")


@pytest.mark.parametrize("program, arguments, status, text", [
    (LITEBASED, ["--version"], 0, "litebased "), (LITEBASED, ["--no-such-flag"], 64, "unknown flag"),
    (LITEBASE, ["--version"], 0, "litebase "), (LITEBASE, ["query"], 64, "sql")])
def test_arguments_are_read_without_proc(program, arguments, status, text):
    """Without /proc, Swift says that there are none, and a daemon would serve something else than what was asked for."""
    script = "mount -t tmpfs none /proc && exec \"$@\""
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", program, *arguments], capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == status and text in done.stdout + done.stderr, done
