"""The dialects as the entry points of the package name them, also where it is not installed."""

import pathlib
import re

PROJECT = pathlib.Path(__file__).resolve().parents[1] / "pyproject.toml"


def register():
    """Makes them known to SQLAlchemy. Without SQLAlchemy: nothing."""
    try:
        from sqlalchemy.dialects import registry
    except ImportError:
        return
    _, _, rest = PROJECT.read_text().partition('[project.entry-points."sqlalchemy.dialects"]\n')
    entries = re.findall(r'^"([\w.]+)" = "([\w.]+):(\w+)"$', rest.partition("\n[")[0], re.MULTILINE)
    assert entries
    for name, module, dialect in entries:
        registry.register(name, module, dialect)
