"""The manifest in docs/client-swift.md: what it names is there. (Its examples: Tests/LiteBaseClientTests/ExamplesTests.swift.)"""

import json
import shutil
import subprocess

import pytest

import examples
from daemon import PATIENCE


def dumped(package):
    """A manifest as SwiftPM understands it; nothing is built or fetched."""
    done = subprocess.run(["swift", "package", "--package-path", package, "dump-package"], capture_output=True, text=True,
                          timeout=120 * PATIENCE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not shutil.which("swift"), reason="needs the Swift compiler")
def test_the_manifest_is_good(directory):
    [block] = [block for block in examples.blocks("docs/client-swift.md") if block.text.startswith("// swift-tools-version")]
    (directory / "litebase").symlink_to(examples.ROOT)
    package = directory / "cities"
    (package / "Sources/cities").mkdir(parents=True)
    (package / "Package.swift").write_text(block.text, encoding="utf-8")
    shown, ours = dumped(package), dumped(examples.ROOT)
    [[dependency]] = [entry["fileSystem"] for entry in shown["dependencies"]]
    assert dependency["path"] == str(directory / "litebase")
    [target] = shown["targets"]
    [[product, identity, *_]] = [entry["product"] for entry in target["dependencies"]]
    assert identity == dependency["identity"] == ours["name"]
    assert product in [entry["name"] for entry in ours["products"] if "library" in entry["type"]]
    assert f"Sources/{target['name']}/main.swift" in (examples.ROOT / "docs/client-swift.md").read_text(encoding="utf-8")
