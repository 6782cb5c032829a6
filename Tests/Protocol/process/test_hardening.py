"""How the programs are linked: what makes an attack that has got hold of a pointer go no further."""

import pathlib
import re
import subprocess

import pytest

from daemon import LITEBASE, LITEBASED, SANITIZER

pytestmark = pytest.mark.skipif(bool(SANITIZER), reason="programs with a sanitizer are linked otherwise")


def readelf(option, program):
    return subprocess.run(["readelf", option, "-W", program], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("program", [LITEBASED, LITEBASE], ids=["litebased", "litebase"])
def test_linked_as_hardened(program):
    dynamic, segments = readelf("-d", program), readelf("-l", program)
    assert re.search(r"FLAGS_1.*\bPIE\b", dynamic), "loaded at a random address"
    assert re.search(r"FLAGS_1.*\bNOW\b", dynamic) and "GNU_RELRO" in segments, "its tables of functions are read-only"
    assert not re.search(r"RUNPATH|RPATH", dynamic), "libraries come from the system alone"
    assert "TEXTREL" not in dynamic
    stack = re.search(r"GNU_STACK .* (R\w*) ", segments)
    assert stack and stack[1] == "RW", "nothing on the stack is executed"
    assert not re.search(r"LOAD .* RWE ", segments), "nothing that can be written is executed"


def calls_of(program, function):
    """How often its code calls that function directly: x86's E8, with the distance of the function from the next instruction.

    (objdump would write half a gigabyte of text to find out.)
    """
    symbols = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
    [target] = re.findall(rf"^([0-9a-f]+) [tT] {function}$", symbols, re.MULTILINE)
    [section] = re.findall(r" \.text +PROGBITS +([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+)", readelf("-S", program))
    address, offset, size = (int(text, 16) for text in section)
    code = pathlib.Path(program).read_bytes()[offset:offset + size]
    # Wherever the byte is, since nobody says where instructions begin: that four others are such a distance by accident, one in a
    # thousand millions is.
    distance = int(target, 16) - address - 5
    return sum(distance - at.start() == int.from_bytes(at[1], "little", signed=True)
               for at in re.finditer(rb"(?=\xe8(.{4}))", code, re.DOTALL))


@pytest.mark.parametrize("program", [LITEBASED, LITEBASE], ids=["litebased", "litebase"])
def test_exclusive_access_is_checked(program):
    """swift_beginAccess is called: -enforce-exclusivity=unchecked leaves none of our own code's calls."""
    calls = calls_of(program, "swift_beginAccess")
    # The standard library has some of its own.
    assert calls > 200, f"{calls} calls of swift_beginAccess"


def test_libraries():
    """systemd's library is the daemon's alone; those of engines are opened when one is named."""
    def needed(program):
        return set(re.findall(r"\(NEEDED\).*\[(.*?)\.so[.\d]*\]", readelf("-d", program)))

    base = {name for name in needed(LITEBASE) if not name.startswith("ld-linux")}
    assert base == {"libc", "libm"}
    assert {name for name in needed(LITEBASED) if not name.startswith("ld-linux")} == base | {"libsqlite3", "libsystemd"}
