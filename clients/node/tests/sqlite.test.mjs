// Against a real daemon, with SQLite.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";

import * as litebase from "litebase";

import { connect, ConstraintError, LiteBaseError, ReadOnlyError, Real, SqlSyntaxError, TimeoutError, toDate } from "litebase";
import { counting, Daemon, ENDLESS, ENDLESS_ROWS, open, until } from "./daemon.mjs";

describe("a database of SQLite", () => {
  let daemon;
  before(async () => {
    daemon = await new Daemon().start();
  });
  after(() => daemon.discard());

  test("values come back as they went", async (context) => {
    const db = await open(context, daemon);
    const values = [
      null, 0, 1, -1, 127, 128, -32, -33, -128, -129, 65535, 65536, -32769, 2 ** 31, -(2 ** 31) - 1, 2 ** 32,
      Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n), 0.1, -0.5, 1e300, Infinity, -Infinity,
      "", "é\0\u{1f600}", "x".repeat(31), "x".repeat(32), "é".repeat(200), "x".repeat(1 << 20), Buffer.alloc(0), Buffer.from([0, 255]),
      Buffer.alloc(1 << 17, 7),
    ];
    for (const value of values) {
      assert.deepEqual((await db.first("SELECT ? AS v", [value])).v, value);
    }
    const types = await db.first("SELECT typeof(?1) AS a, typeof(?2) AS b, typeof(?3) AS c, typeof(?4) AS d, typeof(?5) AS e, ?6 AS f",
      [1, new Real(1), 1.5, 5n, new Uint8Array(1), 2n]);
    assert.deepEqual(types, { a: "integer", b: "real", c: "real", d: "integer", e: "blob", f: 2 });
    assert.ok(Object.is((await db.first("SELECT ? AS zero", [-0])).zero, -0));
    const moment = new Date("2026-11-28T10:11:12.345Z");
    const { text } = await db.first("SELECT ? AS text", [moment]);
    assert.equal(text, "2026-11-28 10:11:12.345+00:00");
    assert.deepEqual(toDate(text), moment);
  });

  test("what no database has is refused by name, and nothing is sent", async (context) => {
    const db = await open(context, daemon);
    for (const [value, kind] of [
      [undefined, TypeError], [{}, TypeError], [[1], TypeError], [() => 1, TypeError], [Symbol("s"), TypeError], [2n ** 64n, RangeError],
       [new Date(NaN), RangeError], ["\ud800", RangeError], ["x".repeat(40) + "\udc00", RangeError]]) {
      await assert.rejects(db.query("SELECT ?, ?", [1, value]), kind);
    }
    await assert.rejects(db.query("SELECT ?, ?", [1, undefined]), /parameter 2 is undefined/);
    await assert.rejects(db.query("SELECT :a", { a: undefined }), /parameter a is undefined/);
    await assert.rejects(db.query("SELECT ?", "x"), TypeError);
    await assert.rejects(db.query(5), TypeError);
    await assert.rejects(db.query("SELECT 1", [], { timeout: 0 }), RangeError);
    // SQLite has none beyond 64 bits with a sign: the daemon says so.
    await assert.rejects(db.query("SELECT ?", [2n ** 63n]), LiteBaseError);
    assert.deepEqual((await db.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
  });

  test("names, positions, results", async (context) => {
    const db = await open(context, daemon);
    assert.deepEqual(await db.first("SELECT :a AS a, :b AS b", { b: 2, a: 1 }), { a: 1, b: 2 });
    await db.query("CREATE TABLE names(a INTEGER PRIMARY KEY, b VARCHAR(10), c REAL)");
    const inserted = await db.query("INSERT INTO names(b, c) VALUES (?, ?), ('y', NULL)", ["x", 1.5]);
    assert.equal(inserted.rowsAffected, 2);
    assert.equal(inserted.lastInsertId, 2);
    assert.deepEqual(inserted.rows, []);
    const found = await db.query("SELECT b, c FROM names ORDER BY a");
    assert.deepEqual(found.columns.map((column) => column.declaredType), ["VARCHAR(10)", "REAL"]);
    assert.deepEqual(found.rows, [{ b: "x", c: 1.5 }, { b: "y", c: null }]);
    assert.deepEqual((await db.query("SELECT 1, 1", [], { rowMode: "array" })).rows, [[1, 1]]);
    assert.equal(await db.first("SELECT 1 WHERE 0"), undefined);
    const cut = await db.query(counting(10), [], { maxRows: 3 });
    assert.deepEqual([cut.rows.length, cut.truncated], [3, true]);
    assert.deepEqual((await db.query("INSERT INTO names(b) VALUES ('z') RETURNING a")).rows, [{ a: 3 }]);
    assert.deepEqual(await db.describe("SELECT b FROM names WHERE a = ?"), {
      columns: [{ name: "b", type: "text", declaredType: "VARCHAR(10)" }], parameters: [null], readOnly: true,
    });
    assert.equal((await db.queryAll("SELECT 1 AS one")).length, 1);
    const { rows } = await db.query('SELECT 1 AS "__proto__", 2 AS "constructor"');
    assert.deepEqual(Object.entries(rows[0]), [["__proto__", 1], ["constructor", 2]]);
  });

  test("integers and texts may come as something else", async (context) => {
    const exact = await open(context, daemon, { integers: "bigint" });
    assert.deepEqual(await exact.first("SELECT 1 AS a, 9007199254740993 AS b, 1.0 AS c"), { a: 1n, b: 9007199254740993n, c: 1 });
    assert.equal((await exact.query("SELECT 1")).rowsAffected, 0);
    await exact.query("CREATE TABLE moments(at TEXT, note BLOB)");
    const parsed = await open(context, daemon, { parse: { text: (text) => toDate(text) ?? text } });
    await parsed.query("INSERT INTO moments VALUES ('2026-11-28 10:11:12', 'x'), ('never', NULL)");
    assert.deepEqual((await parsed.query("SELECT at FROM moments")).rows, [{ at: new Date("2026-11-28T10:11:12Z") }, { at: "never" }]);
    const wrong = await open(context, daemon, { parse: { text: () => { throw new Error("mine"); } } });
    await assert.rejects(wrong.query("SELECT at FROM moments"), /mine/);
    await assert.rejects(wrong.stream("SELECT at FROM moments").next(), /mine/);
    assert.equal((await wrong.first("SELECT 1 AS one")).one, 1);
  });

  test("dates are read as they are written", () => {
    for (const [text, wanted] of [
      ["2026-11-28", "2026-11-28T00:00:00.000Z"], ["2026-11-28 10:11:12.345678", "2026-11-28T10:11:12.345Z"],
      ["2026-11-28 10:11:12.5+01", "2026-11-28T09:11:12.500Z"], ["2026-11-28T10:11:12-03:30", "2026-11-28T13:41:12.000Z"],
      ["0099-01-01", "0099-01-01T00:00:00.000Z"], ["1883-11-18 12:00:00-04:56:02", "1883-11-18T16:56:02.000Z"],
    ]) {
      assert.equal(toDate(text)?.toISOString(), wanted, text);
    }
    for (const text of ["infinity", "0000-00-00", "2026-02-30", "10:11:12", "2026-11-28 10", "0044-03-15 BC", ""]) {
      assert.equal(toDate(text), undefined, text);
    }
  });

  test("rows stream, by one or by pages, in bounded memory", async (context) => {
    const db = await open(context, daemon);
    let sum = 0;
    for await (const { x } of db.stream(counting(100_000))) sum += x;
    assert.equal(sum, (100_000 * 100_001) / 2);
    const sizes = [];
    const stream = db.stream(counting(2500), [], { pageRows: 700 });
    for await (const page of stream.pages()) sizes.push(page.length);
    assert.deepEqual(sizes, [700, 700, 700, 400]);
    assert.equal(stream.result.truncated, false);
    assert.deepEqual((await db.stream("SELECT 1 AS a, 2 AS b").columns()).map((column) => column.name), ["a", "b"]);
    assert.deepEqual(await db.stream("SELECT 1 WHERE 0").next(), { value: undefined, done: true });
    // A loop that asks for other things meanwhile, on the same connection.
    let rounds = 0;
    for await (const { x } of db.stream(counting(3000), [], { pageRows: 100 })) {
      if (x % 100 === 0) rounds += (await db.first("SELECT ? AS one", [1])).one;
    }
    assert.equal(rounds, 30);
    // Several may take from one stream: each row comes once.
    const shared = db.stream("SELECT x, zeroblob(100000) AS large FROM (" + counting(40) + ")");
    const found = await Promise.all(Array.from({ length: 60 }, () => shared.next()));
    assert.deepEqual(found.filter(({ done }) => !done).map(({ value }) => value.x).sort((a, b) => a - b), Array.from({ length: 40 }, (_, n) => n + 1));
    // Who does not read keeps the daemon from going on: rows that were sent are counted.
    const before = (await db.request("stats")).rows_sent;
    const slow = db.stream(ENDLESS_ROWS);
    await slow.next();
    for (let turn = 0; turn < 20; turn += 1) await db.query("SELECT 1");
    assert.ok((await db.request("stats")).rows_sent - before <= 4000);
    await slow.return();
  });

  test("a loop that is left stops its statement", async (context) => {
    const db = await open(context, daemon);
    for (let count = 0; count < 20; count += 1) {
      let left = count * 100;
      for await (const row of db.stream(ENDLESS_ROWS)) {
        assert.ok(row.x > 0);
        if (left-- === 0) break;
      }
      await assert.rejects(async () => {
        for await (const row of db.stream(ENDLESS_ROWS)) throw new Error(`row ${row.x}`);
      }, /row 1/);
    }
    const { entries } = await db.request("activity");
    assert.equal(entries.filter((entry) => entry.type === "query").length, 0);
    const never = db.stream(ENDLESS_ROWS);
    await never.return();
    assert.deepEqual(await never.next(), { value: undefined, done: true });
    await assert.rejects(db.stream("SELECT nothing").next(), SqlSyntaxError);
  });

  test("more streams and sessions than a connection may have", async (context) => {
    const db = await open(context, daemon);
    const connections = async () => (await db.request("stats")).connections.open;
    await until(async () => (await connections()) === 1, "the daemon has noticed that former tests have ended");
    const streams = Array.from({ length: 40 }, () => db.stream(ENDLESS_ROWS));
    for (const { value } of await Promise.all(streams.map((stream) => stream.next()))) assert.deepEqual(value, { x: 1 });
    assert.equal(await connections(), 3);
    await Promise.all(streams.map((stream) => stream.return()));
    const answers = Array.from({ length: 40 }, (_, number) => db.transaction(async (tx) => (await tx.first("SELECT ? AS n", [number])).n));
    assert.deepEqual(await Promise.all(answers), Array.from({ length: 40 }, (_, number) => number));
    await until(async () => (await db.request("stats")).sessions.open === 0, "the sessions are closed");
    await until(async () => (await connections()) === 1, "connections that nobody needs are closed");
  });

  test("many tasks on one connection", async (context) => {
    const db = await open(context, daemon);
    await db.query("CREATE TABLE tasks(x)");
    await Promise.all(Array.from({ length: 8 }, async (_, task) => {
      for (let turn = 0; turn < 50; turn += 1) {
        await db.query("INSERT INTO tasks VALUES (?)", [task * 100 + turn]);
        assert.equal((await db.first("SELECT x FROM tasks WHERE x = ?", [task * 100 + turn])).x, task * 100 + turn);
      }
    }));
    assert.equal((await db.first("SELECT count(DISTINCT x) AS n FROM tasks")).n, 400);
    // More at once than the daemon takes of one connection, streams among them.
    const streams = Array.from({ length: 5 }, async () => {
      let sum = 0;
      for await (const { x } of db.stream(counting(5000))) sum += x;
      return sum;
    });
    const answers = await Promise.all(Array.from({ length: 5000 }, (_, number) => db.first("SELECT ? AS n", [number])));
    assert.ok(answers.every(({ n }, number) => n === number));
    assert.deepEqual(await Promise.all(streams), Array.from({ length: 5 }, () => (5000 * 5001) / 2));
  });

  test("transactions are all or nothing", async (context) => {
    const db = await open(context, daemon);
    await db.query("CREATE TABLE account(name TEXT PRIMARY KEY, money INTEGER CHECK (money >= 0))");
    const money = async () => (await db.query("SELECT name, money FROM account ORDER BY name", [], { rowMode: "array" })).rows;
    const answer = await db.transaction(async (tx) => {
      await tx.query("INSERT INTO account VALUES ('a', 10), ('b', 0)");
      return "done";
    });
    assert.equal(answer, "done");
    await assert.rejects(db.transaction(async (tx) => {
      await tx.query("UPDATE account SET money = money + 20 WHERE name = 'b'");
      await tx.query("UPDATE account SET money = money - 20 WHERE name = 'a'");
    }), (error) => error instanceof ConstraintError && error.sqlState === "23514" && error.code === "constraint_violation");
    await assert.rejects(db.transaction(async (tx) => {
      await tx.query("DELETE FROM account");
      throw new Error("mine");
    }), /mine/);
    assert.deepEqual(await money(), [["a", 10], ["b", 0]]);
    let kept;
    await db.transaction(async (tx) => {
      kept = tx;
      await tx.query("UPDATE account SET money = 1 WHERE name = 'a'");
      await assert.rejects(tx.transaction(async (inner) => {
        await assert.rejects(tx.query("SELECT 1"), TypeError);
        await inner.query("DELETE FROM account");
        throw new Error("inner");
      }), /inner/);
      await tx.transaction((inner) => inner.query("UPDATE account SET money = 2 WHERE name = 'b'"));
    }, { begin: "BEGIN IMMEDIATE" });
    await assert.rejects(kept.query("SELECT 1"), /transaction is over/);
    assert.deepEqual(await money(), [["a", 1], ["b", 2]]);
    // Statements that nobody waited for are part of it.
    await db.transaction((tx) => void tx.query("UPDATE account SET money = 3"));
    assert.deepEqual(await money(), [["a", 3], ["b", 3]]);
    // A stream that nobody has read to its end keeps nothing from being committed.
    await db.transaction(async (tx) => {
      const stream = tx.stream(ENDLESS_ROWS);
      await stream.next();
      kept = stream;
    });
    await assert.rejects(kept.next(), /over/);
    await assert.rejects(db.transaction((tx) => tx.query("COMMIT")), litebase.TransactionRolledBackError);
  });

  test("a session has what is its own", async (context) => {
    const db = await open(context, daemon);
    const memory = await db.session({ url: "sqlite::memory:" });
    assert.deepEqual([memory.engine, memory.readOnly, memory.transactionState], ["sqlite", false, "none"]);
    await memory.query("CREATE TABLE t(x)");
    await memory.batch([{ sql: "INSERT INTO t VALUES (?)", rows: [[1], [2], [3]] }]);
    await memory.query("BEGIN");
    assert.equal(memory.transactionState, "active");
    await memory.query("ROLLBACK");
    // Further statements while rows of a former one are open: these are kept.
    const stream = memory.stream(`SELECT a.x FROM t a, (${counting(2000)}) b ORDER BY b.x, a.x`);
    const first = await stream.next();
    assert.equal((await memory.first("SELECT count(*) AS n FROM t")).n, 3);
    let count = 1;
    for await (const row of stream) count += row.x > 0 ? 1 : 0;
    assert.deepEqual([first.value, count], [{ x: 1 }, 6000]);
    await memory.transaction(async (tx) => {
      await tx.query("DELETE FROM t");
      await assert.rejects(memory.query("SELECT 1"), TypeError);
      await assert.rejects(memory.transaction(() => 1), TypeError);
    });
    assert.equal((await memory.first("SELECT count(*) AS n FROM t")).n, 0);
    await memory.close();
    await memory.close();
    await assert.rejects(memory.query("SELECT 1"), /closed/);
    const reader = await db.session({ readOnly: true });
    await assert.rejects(reader.query("CREATE TABLE no(x)"), ReadOnlyError);
    await reader.close();
  });

  test("batches", async (context) => {
    const db = await open(context, daemon);
    await db.query("CREATE TABLE batch(a INTEGER PRIMARY KEY, b)");
    const results = await db.batch([
      { sql: "INSERT INTO batch(b) VALUES (?)", rows: [["x"], [null], [new Date(0)]] },
      { sql: "UPDATE batch SET b = :b WHERE a = :a", params: { a: 1, b: 2.5 } },
      { sql: "DELETE FROM batch WHERE a = 99" },
    ]);
    assert.deepEqual(results.map((result) => result.rowsAffected), [3, 1, 0]);
    assert.equal(results[0].lastInsertId, 3);
    await assert.rejects(db.batch([{ sql: "DELETE FROM batch" }, { sql: "INSERT INTO batch VALUES (?, 1)", rows: [[7], [7]] }]),
      (error) => error instanceof ConstraintError && error.statementIndex === 1 && error.rowIndex === 1);
    assert.equal((await db.first("SELECT count(*) AS n FROM batch")).n, 3);
    await assert.rejects(db.batch([{ sql: "DELETE FROM batch" }, { sql: "SELEC" }], { atomic: false }), SqlSyntaxError);
    assert.equal((await db.first("SELECT count(*) AS n FROM batch")).n, 0);
  });

  test("errors say what and where", async (context) => {
    const db = await open(context, daemon);
    await assert.rejects(db.query("SELECT\nnam FROM sqlite_schema"), (error) => {
      assert.ok(error instanceof SqlSyntaxError && error instanceof LiteBaseError && error instanceof Error);
      assert.equal(error.name, "SqlSyntaxError");
      assert.deepEqual(error.position, { offset: 7, line: 2, column: 1 });
      assert.equal(error.retryable, false);
      // The stack says where the program asked.
      assert.match(error.stack, /^SqlSyntaxError: .*\n(.*\n)*.*sqlite\.test\.mjs/);
      return true;
    });
    await assert.rejects(db.query(ENDLESS, [], { timeout: 50 }), (error) => error instanceof TimeoutError && error.name === "TimeoutError"
      && error.hint === "Raise timeout, or make the statement do less.");
    const impatient = await open(context, daemon, { timeout: 50 });
    await assert.rejects(impatient.query(ENDLESS), TimeoutError);
    await assert.rejects(db.query("SELECT ?", ["x".repeat(17 << 20)]), (error) => error.code === "frame_too_large");
    await assert.rejects(connect("no such database", { socket: daemon.socket }), (error) => error.code === "database_not_found");
    await assert.rejects(db.session({ database: "no such database" }), (error) => error.code === "database_not_found");
    await assert.rejects(db.request("no such request"), (error) => error.code === "unknown_type");
    await assert.rejects(db.request("query", { sql: "SELECT 1" }), TypeError);
    assert.equal((await db.first("SELECT 1 AS one")).one, 1);
  });

  test("the daemon tells of itself", async (context) => {
    const db = await open(context, daemon);
    assert.equal(db.engine, "sqlite");
    assert.equal(db.daemon.protocol, 1);
    assert.deepEqual((await db.databases()).map((database) => [database.name, database.engine]), [["default", "sqlite"]]);
    assert.equal((await db.health()).status, "healthy");
    assert.equal((await db.health({ database: "default" })).database.engine, "sqlite");
  });

  test("closing waits for what runs, and for nothing else", async (context) => {
    const db = await open(context, daemon);
    await db.query("CREATE TABLE closing(x)");
    const stream = db.stream(ENDLESS_ROWS);
    await stream.next();
    const session = await db.session();
    const insert = db.query("INSERT INTO closing VALUES (1)");
    await Promise.all([db.close(), db.close(), insert]);
    assert.ok(db.closed && session.closed);
    for (const request of [db.query("SELECT 1"), session.query("SELECT 1"), stream.next(), db.transaction(() => 1)]) {
      await assert.rejects(request, litebase.ConnectionLostError);
    }
    await db.close();
    if (Symbol.asyncDispose !== undefined) await (await connect({ socket: daemon.socket }))[Symbol.asyncDispose]();
  });
});

test("both kinds of modules have the same, and only what is documented", () => {
  const required = createRequire(import.meta.url)("litebase");
  assert.deepEqual(Object.keys(litebase).filter((name) => !["default", "__esModule"].includes(name)).sort(), Object.keys(required).sort());
  for (const name of Object.keys(required)) assert.equal(litebase[name], required[name]);
  const page = readFileSync(new URL("../../../docs/clients/node.md", import.meta.url), "utf8");
  for (const name of Object.keys(required)) assert.match(page, new RegExp(`\\b${name}\\b`), `${name} is not in the guide`);
});
