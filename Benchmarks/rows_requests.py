"""Rows 1 to 4 and 7: many small requests."""

import itertools

import peers
from bench import median_of, microseconds, rate_text, run_json, spread_of

SELECT_SCRIPT = f"\\set id random(1, {peers.ROW_COUNT})\nSELECT id, name, price, stock, tag FROM item WHERE id = :id;\n"
INSERT_SCRIPT = ("\\set n random(1, 1000000)\n"
                 "INSERT INTO entry (name, price, stock, tag) VALUES ('item number ' || :n, :n * 0.25, :n % 1000, 'a tag');\n")
WRITING_CONNECTION_COUNT = 64


def rates_row(bench, number, subject, what, contenders, goals):
    """A row of rates. `subject` names it in the plot; `contenders`: ours first; `goals`: {peer: smallest ratio of ours to it}."""
    results = bench.alternate(contenders)
    ours = results.get("LiteBase")
    ratios, met = [], []
    for peer in results:
        if ours and peer != "LiteBase":
            ratio = median_of(ours, "requests_per_second") / median_of(results[peer], "requests_per_second")
            ratios.append(f"{ratio:.2f} × {peer}")
            if peer in goals:
                met.append(bench.at_least(number, f"{subject} × {peer}", ratio, goals[peer]))
    bench.row(number, what, rate_text(ours) if ours else "–",
              "<br>".join(f"{name}: {rate_text(result)}" for name, result in results.items() if name != "LiteBase"),
              "<br>".join(ratios) or "–", ", ".join(f"≥ {smallest} × {peer}" for peer, smallest in goals.items()),
              # Without all of the peers a row can be missed, not reached.
              False if not all(met) else True if len(met) == len(goals) else None)


def health_contenders(bench, depth):
    named = [("LiteBase", "litebase", "health"), ("Redis", "redis", "redis-ping"), ("C echo", "echo", "echo")]
    return {title: (lambda name=name, workload=workload: bench.load(bench.server(name), workload, 16, depth))
            for title, name, workload in named if bench.server(name)}


def row_1(bench):
    rates_row(bench, 1, "health check", "`health_check`, 16 connections, one in flight each", health_contenders(bench, 1),
              {"Redis": 1.3, "C echo": 0.85})


def row_2(bench):
    rates_row(bench, 2, "64 in flight", "the same, 64 in flight each", health_contenders(bench, 64), {"Redis": 1.0})


def row_3(bench):
    contenders = {}
    if bench.server("litebase"):
        contenders["LiteBase"] = lambda: bench.load(bench.server("litebase"), "select", 16, 1)
    if bench.server("postgresql"):
        contenders["PostgreSQL"] = lambda: bench.pgbench(16, SELECT_SCRIPT)
    if bench.server("redis"):
        contenders["Redis GET"] = lambda: bench.load(bench.server("redis"), "redis-get", 16, 1)
    rates_row(bench, 3, "point SELECT", "point `SELECT` of 5 columns in 1 M rows, 16 connections", contenders, {"PostgreSQL": 3, "Redis GET": 0.9})


def row_4(bench):
    contenders = {}
    if bench.server("litebase"):
        contenders["LiteBase"] = lambda: bench.load(bench.server("litebase"), "select", 1, 1)
    if bench.server("postgresql"):
        contenders["PostgreSQL"] = lambda: bench.pgbench(1, SELECT_SCRIPT)
    results = bench.alternate(contenders)
    show = {name: spread_of(result, "p50_us", microseconds) for name, result in results.items()}
    ratio, met = None, None
    if {"LiteBase", "PostgreSQL"} <= set(results):
        ratio = median_of(results["LiteBase"], "p50_us") / median_of(results["PostgreSQL"], "p50_us")
        met = bench.at_most(4, "point SELECT, p50 ÷ PostgreSQL's", ratio, 0.5)
    bench.row(4, "the same, 1 connection: p50", show.get("LiteBase", "–"), f"PostgreSQL: {show.get('PostgreSQL', '–')}",
              f"{ratio:.2f} ×" if ratio else "–", "≤ 0.5 ×", met)


def row_7(bench):
    """Every reply stands for a row that survives a loss of power. All files are in one directory, so on one disk."""
    contenders, numbers = {}, itertools.count()
    if server := bench.server("litebase"):
        peers.execute_litebase(server, f"CREATE TABLE IF NOT EXISTS {peers.ENTRY_TABLE_SQLITE}")
        contenders["LiteBase"] = lambda: bench.load(server, "insert", WRITING_CONNECTION_COUNT, 1)
    if "sqlite-commit" in bench.tools:
        contenders["sqlite3 library"] = lambda: run_json(
            [bench.tools["sqlite-commit"], str(bench.directory / f"commits-{next(numbers)}.db"), str(bench.seconds)])
    else:
        bench.notes.append("row 7: the sqlite3 library's headers are missing (libsqlite3-dev)")
    if bench.server("postgresql"):
        contenders["PostgreSQL"] = lambda: bench.pgbench(WRITING_CONNECTION_COUNT, INSERT_SCRIPT)
    if bench.server("mariadb"):
        contenders["MariaDB"] = lambda: peers.load_mariadb(bench.server("mariadb"), WRITING_CONNECTION_COUNT, bench.seconds)
    rates_row(bench, 7, "durable insert", f"durable inserts of single rows (`synchronous=FULL`), {WRITING_CONNECTION_COUNT} connections; "
              "the sqlite3 library: one", contenders, {"sqlite3 library": 5, "PostgreSQL": 1})
