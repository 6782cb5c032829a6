"""The scripts in Benchmarks that decide something: thresholds, ratios, the plot. Nothing is started."""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "Benchmarks"))

import document  # noqa: E402
import plot  # noqa: E402
import thresholds  # noqa: E402
from bench import Bench  # noqa: E402


def test_what_is_above_its_threshold_is_named():
    allowed = {"instructions": {"health_check": 1000}, "allocations": {"health_check": 0.01}}
    measured = {"instructions": {"health_check": 1000.0}, "allocations": {"health_check": 0.0}}
    assert thresholds.exceeded(measured, allowed) == []
    measured["instructions"]["health_check"] = 1000.6
    (line,) = thresholds.exceeded(measured, allowed)
    assert "instructions for each health_check" in line and "1000" in line
    measured["allocations"]["point_select"] = 0.0
    assert len(thresholds.exceeded(measured, allowed)) == 2  # no limit at all is no pass


def test_thresholds_have_a_tenth_of_slack():
    found = thresholds.with_slack({"instructions": {"a": 1000.0}, "allocations": {"a": 0.0, "b": 3.0}})
    assert found == {"instructions": {"a": 1100}, "allocations": {"a": 0.01, "b": 3.3}}
    assert thresholds.exceeded({"instructions": {"a": 1099.0}, "allocations": {"a": 0.0, "b": 3.2}}, found) == []
    assert thresholds.exceeded({"instructions": {"a": 1101.0}, "allocations": {"a": 0.02, "b": 3.4}}, found) != []


@pytest.fixture
def bench():
    class Options:
        quick = True
    return Bench(Options, None, {})


def test_goals_are_met_from_the_right_side(bench):
    assert bench.at_least(1, "ratio", 1.3, 1.3) and not bench.at_least(1, "ratio", 1.29, 1.3)
    assert bench.at_most(10, "ms", 5, 5) and not bench.at_most(10, "ms", 5.1, 5)
    assert [round(figure["times_goal"], 2) for figure in bench.figures] == [1.0, 0.99, 1.0, 0.98]


def test_the_plot_shows_every_figure(bench):
    bench.at_least(2, "× <Redis>", 2.6, 1.3)
    bench.at_most(9, "MB", 16, 8)
    bench.at_most(9, "KB", 1e-6, 8)
    root = ElementTree.fromstring(plot.draw(bench.figures))
    space = "{http://www.w3.org/2000/svg}"
    texts = [text.text for text in root.iter(space + "text")]
    assert "× <Redis>" in texts and "2.6 / 1.3" in texts and "16 / 8" in texts
    bars = [line for line in root.iter(space + "line") if line.get("stroke-width") == "6"]
    assert [bar.get("stroke") for bar in bars] == [plot.GOOD, plot.BAD, plot.GOOD]
    assert float(bars[0].get("x2")) > float(bars[0].get("x1")) and float(bars[1].get("x2")) < float(bars[1].get("x1"))
    assert all(0 <= float(bar.get("x2")) <= plot.WIDTH for bar in bars)


def test_the_measured_part_of_the_page_is_replaced(bench, tmp_path):
    page = tmp_path / "performance.md"
    begin, end = "<!-- measured: begin -->", "<!-- measured: end -->"
    page.write_text(f"before\n{begin}\nold, and much longer than what is new: {'x' * 5000}\n{end}\nafter\n")
    document.Documents(tmp_path).write(bench, "new\n")
    text = page.read_text()
    assert "old" not in text and "\nnew\n" in text and "performance.svg" in text
    assert text.startswith(f"before\n{begin}\nnew\n") and text.endswith(f"{end}\nafter\n")
    assert (tmp_path / "performance.svg").read_text().startswith("<svg")


def test_a_page_without_marks_is_refused(tmp_path):
    (tmp_path / "performance.md").write_text("nothing to replace\n")
    with pytest.raises(RuntimeError):
        document.Documents(tmp_path)
