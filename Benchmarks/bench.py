"""What a run of run.py holds: servers, measurements in alternation, the table that grows, and the figures behind it."""

import json
import statistics
import subprocess
import sys
import time

import peers
from peers import find_program


class Bench:
    """One run. `lines` is the table, `figures` every ratio or limit that has a goal."""

    def __init__(self, options, directory, tools):
        self.options, self.directory, self.tools = options, directory, tools
        self.repetitions = 2 if options.quick else 5
        self.seconds = 0.7 if options.quick else 2.0
        self.servers, self.lines, self.notes, self.figures = {}, {}, [], []

    # Servers, started when the first row needs them

    def server(self, name):
        if name not in self.servers:
            print(f"starting {name}", file=sys.stderr)
            starters = {
                "litebase": lambda: self.litebased and peers.start_litebase(self.litebased, self.directory),
                "former": lambda: peers.start_litebase(self.options.former, self.directory, "former"),
                "echo": lambda: peers.start_echo(self.tools["echo"], self.directory),
                "redis": lambda: peers.start_redis(self.directory),
                "postgresql": lambda: peers.start_postgresql(self.directory),
                "pgbouncer": lambda: peers.start_pgbouncer(self.directory, self.server("postgresql")),
                "mariadb": lambda: peers.start_mariadb(self.directory),
            }
            try:
                self.servers[name] = starters[name]() or None
            except (RuntimeError, subprocess.SubprocessError, OSError) as problem:
                self.notes.append(f"{name}: {problem}")
                self.servers[name] = None
        return self.servers[name]

    @property
    def litebased(self):
        return self.options.litebased

    def stop(self):
        for server in reversed(list(self.servers.values())):
            if server:
                server.stop()

    # Measurements

    def load(self, server, workload, connections, depth):
        """One run of the load generator; adds the server's processor time for a request."""
        before = server.cpu_seconds()
        result = run_json([self.tools["lb-load"], server.socket_path, workload, str(connections), str(depth), str(self.seconds),
                           str(peers.ROW_COUNT)])
        # The warm-up is a fifth of the measured time, and part of what the server worked for.
        result["server_us_per_request"] = (server.cpu_seconds() - before) * 1e6 / (result["requests"] * 1.2)
        return result

    def pgbench(self, connections, script_text):
        """A prepared statement by pgbench; with one connection the p50 comes from its log of single transactions."""
        server = self.server("postgresql")
        script = self.directory / "pgbench.sql"
        script.write_text(script_text)
        prefix = self.directory / f"pgbench-{time.monotonic_ns()}"
        command = [find_program("pgbench"), "-h", server.directory, "-U", "bench", "-n", "-M", "prepared", "-f", str(script), "-c",
                   str(connections), "-j", str(min(2, connections)), "-T", str(max(1, round(self.seconds)))]
        if connections == 1:
            command += ["-l", f"--log-prefix={prefix}"]
        output = subprocess.run([*command, "postgres"], capture_output=True, text=True, check=True, timeout=120,
                                cwd=self.directory).stdout
        rate = next(float(line.split("=")[1].split()[0]) for line in output.splitlines() if line.startswith("tps"))
        result = {"requests_per_second": rate}
        for log in self.directory.glob(f"{prefix.name}*"):
            result["p50_us"] = statistics.median(int(line.split()[2]) for line in log.read_text().splitlines())
            log.unlink()
        return result

    def alternate(self, contenders):
        """{name: function} → {name: list of results}, one repetition of each in turn."""
        results = {name: [] for name in contenders}
        for number in range(self.repetitions):
            for name, measure in contenders.items():
                print(f"  {name} {number + 1}/{self.repetitions}", file=sys.stderr)
                results[name].append(measure())
        return results

    # The table

    def at_least(self, row, what, value, goal):
        """Notes a figure that should be large; returns whether it is."""
        self.figures.append({"row": row, "what": what, "value": value, "goal": goal, "times_goal": value / goal})
        return value >= goal

    def at_most(self, row, what, value, goal):
        """Notes a figure that should be small; returns whether it is."""
        self.figures.append({"row": row, "what": what, "value": value, "goal": goal, "times_goal": goal / max(value, 1e-9)})
        return value <= goal

    def row(self, number, what, ours, peer, ratio, goal, met):
        mark = "–" if met is None else "yes" if met else "**no**"
        self.lines[number] = f"| {number} | {what} | {ours} | {peer} | {ratio} | {goal} | {mark} |"
        print(self.lines[number], file=sys.stderr)

    def not_measured(self, number, what, why):
        self.notes.append(f"row {number}: {why}")
        self.row(number, what, "not measured", "–", "–", "–", None)


def run_json(command, timeout=180):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:3])}: {done.stderr.strip()[:500]}")
    return json.loads(done.stdout)


def median_of(results, key):
    return statistics.median(result[key] for result in results)


def spread_of(results, key, show):
    values = sorted(result[key] for result in results)
    return f"{show(statistics.median(values))} ({show(values[0])}–{show(values[-1])})"


def per_second(value):
    return f"{value / 1e6:.2f} M/s" if value >= 1e6 else f"{value / 1e3:.1f} k/s" if value >= 1000 else f"{value:.0f}/s"


def microseconds(value):
    return f"{value:.1f} µs" if value < 1000 else f"{value / 1000:.2f} ms"


def seconds(value):
    return f"{value:.3f} s"


def rate_text(results):
    """Rate with its spread, the p50 and p99, the server's own time, and a warning where the generator was the limit."""
    text = spread_of(results, "requests_per_second", per_second)
    if "p99_us" in results[0]:
        text += f"; p50 {microseconds(median_of(results, 'p50_us'))}, p99 {microseconds(median_of(results, 'p99_us'))}"
    if "server_us_per_request" in results[0]:
        text += f"; server {median_of(results, 'server_us_per_request'):.2f} µs/request"
    if results[0].get("generator_cpu_share") is not None:
        share = median_of(results, "generator_cpu_share")
        text += f"; generator {share:.0%}" + (" **(limit)**" if share > 0.95 else "")
    return text
