"""Every example of the guide, of the README and of the repository's runs, in its order, as one program."""

import pathlib
import re
import runpy

import pytest
from daemon import Daemon
from redis_server import Redis

PACKAGE = pathlib.Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parents[1]
DOCUMENTS = [PACKAGE / "README.md", ROOT / "docs/clients/python.md", ROOT / "README.md"]


@pytest.fixture(scope="module")
def cached():
    """A daemon with a Redis beside its default database."""
    cache = Redis()
    started = Daemon(databases={"cache": cache.url()})
    yield started
    started.discard()
    cache.discard()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_examples_run(document, cached, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LITEBASE_SOCKET", cached.socket_path)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)
    program = tmp_path / "program.py"
    program.write_text("\n".join(blocks))
    runpy.run_path(str(program), run_name="__main__")
    printed = capsys.readouterr().out
    assert "Oslo" in printed
    if document.name == "python.md":
        assert (tmp_path / "cities.csv").read_bytes().startswith(b"name,people\r\n")
        assert (tmp_path / "copy.db").stat().st_size > 0
        assert "line 3 It has 1 field instead of 2." in printed
        assert "sport.ski says snow in Tromsø" in printed
