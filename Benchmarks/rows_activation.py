"""Row 8: cold activation under systemd, measured by the system tests on the machine that they boot.

Only root can boot it, so this is measured before run.py becomes an unprivileged user.
"""

import json
import os
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEST = "test_activation_costs_little_more_than_that_of_a_minimal_c_service"
WHAT = "cold activation: connect → first `health_response` under systemd"


def measure(package):
    """The table of activation/measure.py, by unit: its cells as text. Raises RuntimeError with the reason why not."""
    if os.geteuid() != 0:
        raise RuntimeError("needs root, to boot a machine with systemd")
    with tempfile.TemporaryDirectory(prefix="lb-activation-") as results:
        environment = {**os.environ, "LITEBASE_TEST_RESULTS": results}
        if package:
            environment["LITEBASE_DEB"] = str(package)
        done = subprocess.run([ROOT / "scripts/system-test.sh", "-k", TEST], env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=1500)
        # The test has thresholds of its own; its figures are there whether it passes or not.
        figures = pathlib.Path(results) / "figures.json"
        lines = json.loads(figures.read_text()).get(TEST, {}).get("table") if figures.exists() else None
    if not lines:
        output = (done.stdout + done.stderr).strip().splitlines()
        raise RuntimeError(f"the system test did not run: {output[-1] if output else done.returncode}")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {cells[0]: cells[1:] for cells in rows}


def row_8(bench):
    if isinstance(bench.activation, str):
        return bench.not_measured(8, WHAT, bench.activation)
    # exposure, processor ms, best, connect to health ms, best, first row ms
    ours, minimal = bench.activation["as it is"], bench.activation["minimal C service"]
    exposure, health, row, floor = float(ours[0]), float(ours[3]), float(ours[5]), float(minimal[3])
    met = [bench.at_most(8, "activation: ms more than C", max(health - floor, 0.1), 5),
           bench.at_most(8, "activation: ms more for a row", max(row - health, 0.1), 10),
           bench.at_most(8, "activation: ms in all", health, 40), exposure <= 1.0]
    bench.row(8, WHAT, f"{health:.1f} ms (best {ours[4]}); first row {row:.1f} ms; exposure {exposure}",
              f"C service in the same unit: {floor:.1f} ms (best {minimal[4]})", f"{health - floor:+.1f} ms; row {row - health:+.1f} ms",
              "≤ 5 ms more; row ≤ 10 ms more; ≤ 40 ms at an exposure of 1.0", all(met))
