"""The protocol of a lane loses no wake-up, whatever comes between its steps: spin(1) looks at every interleaving of lane.pml."""

import pathlib
import re
import shutil
import subprocess

import pytest

from wire import PATIENCE

MODEL = pathlib.Path(__file__).with_name("lane.pml")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (shutil.which("spin") and shutil.which("gcc")), reason="needs spin and gcc (scripts/install-dependencies.sh test)"),
]

# Rings that are smaller than a message, and larger. Larger ones have nothing new, but millions of states more.
SIZES = [
    {"RING": 1, "REQUEST": 3, "REPLY": 3},
    {"RING": 1, "REQUEST": 1, "REPLY": 2, "IN_FLIGHT": 3},
    {"RING": 2, "REQUEST": 3, "REPLY": 3, "IN_FLIGHT": 1},
    {"RING": 2, "REQUEST": 1, "REPLY": 3, "IN_FLIGHT": 1},
]
MISTAKES = re.findall(r"^#define (\w+) +\d+ +/\* (?:whoever|the) ", MODEL.read_text(), re.MULTILINE)


def explore(directory, settings, progress=False):
    """The number of states, and how many of them are errors. Safety first: an invalid end state is a lost wake-up."""
    def run(*command):
        return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300 * PATIENCE, check=True).stdout

    run("spin", "-a", *(f"-D{name}={value}" for name, value in settings.items()), MODEL)
    # A mistake is found at once: there it is the compiler that takes the time. Elsewhere -O2 takes a second more than it saves.
    # (States are kept as they are, 150 bytes each: packing them, -DCOLLAPSE, takes a third of the time.)
    run("gcc", "-O0" if "BROKEN" in settings else "-O1", "-DMEMLIM=2048", "-DNP" if progress else "-DSAFETY", "-o", "pan", "pan.c")
    said = run("./pan", "-m3000000", *(["-l", "-f"] if progress else []))
    assert "max search depth too small" not in said and "out of memory" not in said, said
    states, = re.findall(r"^ *(\S+) states, stored", said, re.MULTILINE)
    errors, = re.findall(r"errors: (\d+)", said)
    return float(states), int(errors)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_no_wake_up_is_lost(directory, size):
    states, errors = explore(directory, size)
    assert errors == 0
    assert states > 10_000, "not even this many interleavings: the model does not run"


@pytest.mark.parametrize("ring", [1, 2])
def test_a_side_that_hangs_up_is_noticed(directory, ring):
    assert explore(directory, {"RING": ring, "IN_FLIGHT": 2 // ring, "HANG_UP": 1})[1] == 0


def test_messages_get_on(directory):
    """No cycle in which nothing is ever answered, when every process gets its turn."""
    assert explore(directory, {"RING": 1}, progress=True)[1] == 0


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(directory, mistake):
    assert explore(directory, {"BROKEN": mistake, "IN_FLIGHT": 1})[1] == 1


def test_all_mistakes_are_tried():
    text = MODEL.read_text()
    assert len(MISTAKES) == 8 and all(f"BROKEN == {mistake}" in text or f"BROKEN != {mistake}" in text for mistake in MISTAKES)
