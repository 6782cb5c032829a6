"""The comparison with other drivers runs, with few rows: what it measures is right, how fast it is another question."""

import json
import pathlib
import re
import subprocess
import sys

BENCHMARK = pathlib.Path(__file__).resolve().parents[1] / "benchmarks/compare.py"


def test_each_driver_is_measured():
    command = [sys.executable, BENCHMARK, "--rows", "1000", "--repetitions", "1", "--selects", "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    measured = re.findall(r"^\| (\w+) \| (\w+) \| (\d+) µs \| (\d+\.\d\d) s", done.stdout, re.MULTILINE)
    assert {"sqlite", "postgresql", "mariadb"} == {engine for engine, *_ in measured}, done.stdout
    for engine, driver in (("sqlite", "sqlite3"), ("postgresql", "psycopg"), ("mariadb", "pymysql")):
        drivers = {name: int(point) for found, name, point, _ in measured if found == engine}
        missing = f"{driver} is not installed" in done.stderr
        assert drivers.keys() >= {"litebase"} | (set() if missing else {driver}), done.stdout + done.stderr
        assert all(point > 0 for point in drivers.values()), done.stdout


def test_each_way_to_a_frame_is_measured():
    command = [sys.executable, BENCHMARK.with_name("frames.py"), "--rows", "1000", "--repetitions", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    measured = re.findall(r"^\| ([^|]+) \| \d+\.\d\d \| \d+\.\d\d \| \d+\.\d\d \|$", done.stdout, re.MULTILINE)
    assert len(measured) == 7, done.stdout + done.stderr


def test_the_table_of_all_languages(tmp_path):
    """Of this one alone: the others' programs take minutes to be compiled (`make bench-clients`)."""
    benchmark = BENCHMARK.parents[3] / "Benchmarks/clients.py"
    figures = tmp_path / "figures.json"
    command = [sys.executable, benchmark, "--languages", "Python", "--rows", "1000", "--repetitions", "1", "--selects", "20"]
    done = subprocess.run([*command, "--json", figures], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    measured = {(each["engine"], each["what"], each["peer"]): each for each in json.loads(figures.read_text())}
    wanted = {
        ("SQLite", "rows", "sqlite3"),
        ("SQLite", "arrow", "adbc"),
        ("SQLite", "frame", "pandas"),
        ("PostgreSQL", "rows", "psycopg"),
    }
    assert measured.keys() == {each for each in wanted if f"left out: {each[2]} of Python" not in done.stderr}
    for (engine, what, _), each in measured.items():
        fields = ["seconds", "point_us"] if what == "rows" else ["seconds"]
        assert all(each[f"{side}_{field}"] > 0 for side in ("ours", "theirs") for field in fields), (engine, each)
    # Goals 17 and 18, in the same table.
    goals = re.findall(r"\| 1[78]: [^|]+ \| (?:yes|\*\*no\*\*) \|$", done.stdout, re.MULTILINE)
    assert len(goals) == sum(what != "frame" for _, what, _ in measured)
