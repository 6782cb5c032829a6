"""Calls of the daemon that fail or wait: strace(1), where it may trace."""

import shutil
import subprocess

import pytest


def has_tracer():
    return shutil.which("strace") and subprocess.run(["strace", "-qq", "-e", "trace=none", "true"],
                                                     capture_output=True).returncode == 0


needs_tracer = pytest.mark.skipif(not has_tracer(), reason="strace is missing, or may not trace here")
