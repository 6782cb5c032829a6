"""docs/client-swift.md: what its manifest names is there, and its examples, which Tests/LiteBaseClientTests compiles, run."""

import json
import os
import shutil
import subprocess

import pytest

import examples
from daemon import PATIENCE


# Of `swift test`, or of `swift build --build-tests`.
SWIFT_TESTS = examples.ROOT / ".build/debug/litebasePackageTests.xctest"


def dumped(package, scratch):
    """A manifest as SwiftPM understands it; nothing is built or fetched. (In the package's own directory it waits for a build there.)"""
    done = subprocess.run(["swift", "package", "--package-path", package, "--scratch-path", scratch, "dump-package"],
                          capture_output=True, text=True, timeout=120 * PATIENCE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("swift"), reason="needs the Swift compiler")
def test_the_manifest_is_good(directory):
    [block] = [block for block in examples.blocks("docs/client-swift.md") if block.text.startswith("// swift-tools-version")]
    (directory / "litebase").symlink_to(examples.ROOT)
    package = directory / "cities"
    (package / "Sources/cities").mkdir(parents=True)
    (package / "Package.swift").write_text(block.text, encoding="utf-8")
    shown, ours = dumped(package, directory / "build"), dumped(examples.ROOT, directory / "build")
    [[dependency]] = [entry["fileSystem"] for entry in shown["dependencies"]]
    assert dependency["path"] == str(directory / "litebase")
    [target] = shown["targets"]
    [[product, identity, *_]] = [entry["product"] for entry in target["dependencies"]]
    assert identity == dependency["identity"] == ours["name"]
    assert product in [entry["name"] for entry in ours["products"] if "library" in entry["type"]]
    assert f"Sources/{target['name']}/main.swift" in (examples.ROOT / "docs/client-swift.md").read_text(encoding="utf-8")


@pytest.mark.skipif(not SWIFT_TESTS.exists(), reason="needs the Swift tests, which `make unit` builds")
def test_the_examples_work(reader):
    alice = reader()
    alice.start_daemon("exec litebased")
    environment = {**os.environ, "LITEBASE_EXAMPLES": "1", "LITEBASE_SOCKET": str(alice.socket)}
    if alice.user:
        environment["LITEBASE_TRUSTED_USERS"] = alice.user.pw_name
    done = subprocess.run([SWIFT_TESTS, "--testing-library", "swift-testing", "--filter", "theExamplesWork"], env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60 * PATIENCE)
    assert done.returncode == 0 and "theExamplesWork() passed" in done.stdout, done.stdout
