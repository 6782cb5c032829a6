"""The source package and the wheel, as pip and setuptools make them: both have all of the driver, and install by themselves."""

import importlib.metadata
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

import litebase

PACKAGE = pathlib.Path(__file__).resolve().parents[1]
MODULES = {str(path.relative_to(PACKAGE / "src")) for path in (PACKAGE / "src").rglob("*.py")} | {"litebase/py.typed"}


def run(*command, directory):
    return subprocess.run(
        [sys.executable, *map(str, command)], cwd=directory, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Where both are: the wheel was made of the source package, as PyPI's users have it."""
    place = tmp_path_factory.mktemp("built")
    source = place / "source"
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__", ".*", "tests"))
    made = run("-c", "from setuptools import build_meta; build_meta.build_sdist('..')", directory=source)
    assert made.returncode == 0, made.stderr
    (archive,) = place.glob("*.tar.gz")
    made = run("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", place, archive, directory=place)
    if made.returncode and "No matching distribution found for setuptools" in made.stderr:
        pytest.skip("PyPI is not reached, from which pip takes setuptools to make a wheel")
    assert made.returncode == 0, made.stderr
    return place


def test_the_source_package_is_whole(built):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert archive.name == f"litebase-{litebase.__version__}.tar.gz"
    assert {f"src/{module}" for module in MODULES} | {"README.md", "LICENSE", "pyproject.toml"} <= names


def test_the_wheel_is_whole_and_for_every_system(built):
    (archive,) = built.glob("*.whl")
    assert archive.name == f"litebase-{litebase.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(archive) as opened:
        names = set(opened.namelist())
    assert {name for name in names if ".dist-info/" not in name} == MODULES


def test_the_wheel_installs_and_runs(built, daemon, tmp_path):
    (archive,) = built.glob("*.whl")
    done = run("-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path / "site", archive, directory=tmp_path)
    assert done.returncode == 0, done.stderr
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        "import litebase\n"
        f"with litebase.connect(url='sqlite::memory:', socket={daemon.socket_path!r}) as db:\n"
        "    print(litebase.__file__, db.execute('SELECT 6 * 7').fetchone())\n"
    )
    done = run("-I", "-c", program, directory=tmp_path)
    assert done.stdout == f"{tmp_path / 'site/litebase/__init__.py'} (42,)\n", done.stderr
    (found,) = importlib.metadata.distributions(name="litebase", path=[str(tmp_path / "site")])
    dialects = {point.name for point in found.entry_points if point.group == "sqlalchemy.dialects"}
    engines = ("sqlite", "postgresql", "mysql", "mariadb")
    assert dialects == {f"{engine}.{driver}" for engine in engines for driver in ("litebase", "litebase_async")}
