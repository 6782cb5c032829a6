"""What ping and status say about a daemon that cannot start: its socket takes connections, and nobody answers."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

LITEBASE = os.environ.get("LITEBASE", str(Path(__file__).resolve().parents[2] / ".build/release/litebase"))
FAILING = "ActiveState=activating\nSubState=auto-restart\nResult=exit-code\nNRestarts=12\nStatusText=a.toml:1:1: unknown key\n"


@pytest.fixture
def silent(tmp_path):
    """A user's instance whose socket listens, and a `systemctl` that says what a test wants."""
    directory = tmp_path / "litebase"
    directory.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / "litebase.sock"))
    listener.listen(8)
    program = tmp_path / "systemctl"

    def run(*arguments, says=FAILING, path=None):
        program.write_text(f"#!/bin/sh\n[ \"$1 $2 $3\" = '--user show litebase.service' ] || exit 1\ncat <<'END'\n{says}END\n")
        program.chmod(0o755)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "LITEBASE"))}
        environment.update(XDG_RUNTIME_DIR=str(tmp_path), PATH=f"{tmp_path}:{os.environ['PATH']}")
        chosen = ["--socket", path] if path else []
        return subprocess.run([LITEBASE, *arguments, "--timeout", "0.3", *chosen], capture_output=True, text=True, timeout=10,
                              env=environment, check=False)

    yield run
    listener.close()


@pytest.mark.parametrize("command", ["ping", "status"])
def test_the_reason_is_said_and_the_status_is_known(silent, command):
    done = silent(command)
    assert done.returncode == 69 and done.stdout == ""
    assert done.stderr == ("litebase: no answer: litebase.service does not run (activating; auto-restart, exit-code, 12 restarts): "
                           "a.toml:1:1: unknown key\n")


def test_a_service_that_runs_is_not_blamed(silent):
    done = silent("ping", says="ActiveState=active\nSubState=running\n")
    assert done.returncode == 75 and "litebase.service" not in done.stderr


def test_other_sockets_are_no_service(silent, tmp_path):
    other = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(other))
        listener.listen(1)
        done = silent("status", path=str(other))
    assert done.returncode == 75 and "litebase.service" not in done.stderr


@pytest.mark.parametrize("value", ["0", "-1", "nan", "86401"])
def test_a_timeout_is_checked(value):
    done = subprocess.run([LITEBASE, "ping", f"--timeout={value}"], capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 64 and "timeout" in done.stderr
