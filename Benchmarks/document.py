"""The results as text: the table with its caption, the same in docs/performance.md, the figures as JSON."""

import json
import os
import pathlib
import resource
import time

import peers
import plot

ROOT = pathlib.Path(__file__).resolve().parent.parent


class OthersWatch:
    """How many cores other programs kept busy during the run: what makes figures of a shared machine doubtful."""

    def __init__(self):
        self.start, self.busy, self.own = time.monotonic(), self.busy_seconds(), self.own_seconds()

    @staticmethod
    def busy_seconds():
        fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        return (sum(fields[:8]) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")  # all but idle and iowait

    @staticmethod
    def own_seconds():
        return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))

    def cores(self):
        """To be called when every server has been waited for, so that its time counts as our own."""
        others = (self.busy_seconds() - self.busy) - (self.own_seconds() - self.own)
        return max(0.0, others / (time.monotonic() - self.start))


def machine():
    model = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{os.cpu_count()} cores, {model}, Linux {os.uname().release}"


def table(bench, busy_cores):
    """Caption, table and notes, in Markdown."""
    lines = [bench.lines[number] for number in sorted(bench.lines)]
    notes = ["", *(f"- {note}" for note in bench.notes)] if bench.notes else []
    return "\n".join([
        f"{time.strftime('%Y-%m-%d')}, {machine()}; {', '.join(peers.versions())}. Medians of {bench.repetitions} alternating "
        f"repetitions (smallest–largest); other programs kept {busy_cores:.2f} cores busy.", "",
        "| # | what | ours | peer | ratio of medians | goal | met? |", "|---|---|---|---|---|---|---|", *lines, *notes]) + "\n"


class MarkedPart:
    """What a benchmark has measured in docs/performance.md, between two marks with its name. Opened before rights are dropped."""

    def __init__(self, name, docs=ROOT / "docs"):
        self.page = open(docs / "performance.md", "r+")
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        before, found, rest = self.page.read().partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise RuntimeError(f"{self.page.name} lacks the marks {begin.strip()} and {end}")
        self.before, self.after = before + begin, end + after

    def replace(self, text):
        rewrite(self.page, f"{self.before}{text}{self.after}")


class Documents:
    """docs/performance.md, whose measured part is replaced, and docs/performance.svg."""

    def __init__(self, docs=ROOT / "docs"):
        self.part, self.plot = MarkedPart("measured", docs), open(docs / "performance.svg", "a+")

    def write(self, bench, text):
        self.part.replace(f"{text}\n![how many times each goal is reached](performance.svg)\n")
        rewrite(self.plot, plot.draw(bench.figures))


def rewrite(file, text):
    file.seek(0)
    file.truncate()
    file.write(text)
    file.close()


def figures(bench, busy_cores):
    """For programs: every figure that has a goal."""
    return json.dumps({
        "date": time.strftime("%Y-%m-%d"), "machine": machine(), "versions": peers.versions(), "busy_cores_of_others": busy_cores,
        "repetitions": bench.repetitions, "figures": bench.figures}, indent=1, ensure_ascii=False) + "\n"
