"""The comparison with other drivers runs, with few rows: what it measures is right, how fast it is another question."""

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
