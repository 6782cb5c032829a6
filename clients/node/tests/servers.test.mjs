// Databases on servers, which test_node.py starts: LITEBASE_TEST_SERVERS is the socket of a daemon that has them.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { CancelledError, connect, LiteBaseError, toDate, TransactionRolledBackError } from "litebase";
import { ENDLESS } from "./daemon.mjs";

const socket = process.env.LITEBASE_TEST_SERVERS;

describe("servers", { skip: socket === undefined && "LITEBASE_TEST_SERVERS is not set: test_node.py starts the servers" }, () => {
  async function open(context, database, options = {}) {
    const db = await connect(database, { socket, ...options });
    context.after(() => db.destroy());
    return db;
  }

  test("values of PostgreSQL", async (context) => {
    const db = await open(context, "pg");
    assert.equal(db.engine, "postgresql");
    const row = await db.first(
      `SELECT $1::int8 AS number, 12.50::numeric(6,2) AS decimal, 'é' AS text, true AS flag, NULL::text AS nothing, $2::bytea AS blob,
       timestamp '2026-11-28 10:11:12.345678' AS moment, '{1,2}'::int4[] AS list, 2.0::float8 AS real, $3::float8 AS sent`,
      [-(2n ** 63n), Buffer.from([0, 255]), 3],
    );
    assert.deepEqual(row, {
      number: -(2n ** 63n), decimal: "12.50", text: "é", flag: true, nothing: null, blob: Buffer.from([0, 255]),
      moment: "2026-11-28 10:11:12.345678", list: "{1,2}", real: 2, sent: 3,
    });
    const moment = new Date("2026-11-28T09:11:12.345Z");
    const parsing = await open(context, "pg", { parse: { timestamptz: toDate, decimal: Number } });
    const back = await parsing.first("SELECT $1::timestamptz AS moment, 0.5::numeric AS half, 'x' AS text", [moment]);
    assert.deepEqual(back, { moment, half: 0.5, text: "x" });
    assert.equal((await db.first("SELECT 'infinity'::timestamptz AS t")).t, "infinity");
  });

  test("transactions of PostgreSQL", async (context) => {
    const db = await open(context, "pg");
    const level = await db.transaction((tx) => tx.first("SELECT current_setting('transaction_isolation') AS level"), {
      begin: "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY",
    });
    assert.deepEqual(level, { level: "serializable" });
    await assert.rejects(db.transaction(async (tx) => {
      await assert.rejects(tx.query("SELECT 1/0"), (error) => error.sqlState === "22012" && error.transaction === "failed");
    }), (error) => error instanceof TransactionRolledBackError && error.code === "transaction_rolled_back");
    // A savepoint saves the transaction; a loop that is left, too.
    await db.query("CREATE TABLE IF NOT EXISTS kept(x int)");
    await db.transaction(async (tx) => {
      await tx.query("INSERT INTO kept VALUES (1)");
      await assert.rejects(tx.transaction((inner) => inner.query("SELECT 1/0")), LiteBaseError);
      for await (const row of tx.stream("SELECT x FROM generate_series(1, 20000) AS s(x)")) if (row.x > 2) break;
      await tx.query("INSERT INTO kept VALUES (2)");
    });
    assert.deepEqual((await db.query("SELECT x FROM kept ORDER BY x")).rows, [{ x: 1 }, { x: 2 }]);
    await db.query("DROP TABLE kept");
  });

  test("notices, and stops, of PostgreSQL", async (context) => {
    const notices = [];
    const db = await open(context, "pg", { onNotice: (notice) => notices.push(notice) });
    await db.query("DO $$ BEGIN RAISE NOTICE 'look'; END $$");
    assert.deepEqual(notices.map(({ code, message, severity }) => [code, message, severity]), [["database_notice", "look", "NOTICE"]]);
    await assert.rejects(db.query("SELECT pg_sleep(60)", [], { signal: AbortSignal.timeout(50) }), CancelledError);
    let sum = 0;
    for await (const { x } of db.stream("SELECT x FROM generate_series(1::int8, 5000) AS s(x)")) sum += x;
    assert.equal(sum, (5000 * 5001) / 2);
  });

  test("MySQL", async (context) => {
    const db = await open(context, "my");
    const row = await db.first(
      "SELECT CAST(? AS UNSIGNED) AS large, CAST(12.50 AS DECIMAL(6,2)) AS d, CAST(? AS DATETIME(3)) AS moment, ? AS text",
      [2n ** 64n - 1n, new Date("2026-11-28T10:11:12.345Z"), "é"],
    );
    assert.deepEqual(row, { large: 2n ** 64n - 1n, d: "12.50", moment: "2026-11-28 10:11:12.345", text: "é" });
    await db.query("CREATE OR REPLACE PROCEDURE two() BEGIN SELECT 1 AS a UNION ALL SELECT 2; SELECT 'x' AS b, 'y' AS c; END");
    const results = await db.queryAll("CALL two()");
    assert.deepEqual(results.filter(({ columns }) => columns.length > 0).map(({ rows }) => rows), [[{ a: 1 }, { a: 2 }], [{ b: "x", c: "y" }]]);
    const { rows, resultSetsDropped } = await db.query("CALL two()");
    assert.deepEqual([rows, resultSetsDropped], [[{ a: 1 }, { a: 2 }], 1]);
    await db.query("CREATE OR REPLACE TABLE written(x int) ENGINE=InnoDB");
    await assert.rejects(db.transaction((tx) => tx.query("INSERT INTO written VALUES (1)"), { begin: "START TRANSACTION READ ONLY" }), LiteBaseError);
    await assert.rejects(db.transaction(async (tx) => {
      await tx.query("INSERT INTO written VALUES (1)");
      throw new Error("mine");
    }), /mine/);
    assert.equal((await db.first("SELECT count(*) AS n FROM written")).n, 0);
    await assert.rejects(db.query("SELECT SLEEP(60)", [], { signal: AbortSignal.timeout(50) }), CancelledError);
  });

  test("channels", async (context) => {
    for (const [name, send] of [["pg", "SELECT pg_notify($1, $2)"], ["redis", "PUBLISH"]]) {
      const db = await open(context, name);
      const changes = await db.changes([], { channels: ["news", "straße"] });
      assert.equal(changes.covers, "channels");
      const sent = [...Array.from({ length: 50 }, (_, number) => ["news", `${number}é`]), ["straße", ""]];
      await db.query(send, ["other", "not told"]);
      for (const about of sent) await db.query(send, about);
      for (const [channel, payload] of sent) {
        const { value: { message, ...rest } } = await changes.next();
        assert.equal(typeof message.pid, name === "pg" ? "number" : "undefined");
        const pid = message.pid === undefined ? {} : { pid: message.pid };
        assert.deepEqual([message, rest], [{ channel, payload, ...pid }, { position: changes.position, relations: [], schema: false }]);
      }
      assert.equal(await changes.wait(0), undefined);
      await changes.close();
      await assert.rejects(db.changes("city", { channels: "news" }), LiteBaseError);
    }
  });

  test("patterns and bytes of channels", async (context) => {
    const db = await open(context, "redis");
    const changes = await db.changes([], { channels: "sport.ski", patterns: "sport.*" });
    const payload = Buffer.from([0, 255]);
    await db.query("PUBLISH", ["sport.ski", payload]);
    const heard = [(await changes.next()).value.message, (await changes.next()).value.message];
    heard.sort((one, other) => (one.pattern ?? "").localeCompare(other.pattern ?? ""));
    assert.deepEqual(heard, [{ channel: "sport.ski", payload }, { channel: "sport.ski", payload, pattern: "sport.*" }]);
    await changes.close();
  });

  test("Redis", async (context) => {
    const db = await open(context, "redis");
    await db.query("SET", ["node test", "a value"]);
    assert.deepEqual((await db.query("GET", ["node test"], { rowMode: "array" })).rows, [["a value"]]);
    await assert.rejects(db.transaction(() => 1), LiteBaseError);
    await assert.rejects(db.query("BLPOP", ["nothing here", 0], { signal: AbortSignal.timeout(50) }), CancelledError);
    await assert.rejects(db.query(ENDLESS), LiteBaseError);
  });
});
