// What is in a database, and what may come next in a statement.

import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";

import { CancelledError, connect, ConnectionLostError, LiteBaseError } from "litebase";
import { open, pause, serve, startDaemon, until } from "./daemon.mjs";

const names = async (rows) => (await rows.toArray()).map(({ name }) => name);

async function cities(context, options) {
  const daemon = await startDaemon(context);
  const db = await open(context, daemon, options);
  for (const sql of [
    "CREATE TABLE city (name TEXT PRIMARY KEY, people INTEGER)",
    'CREATE TABLE street (id INTEGER PRIMARY KEY, city TEXT REFERENCES city(name), "to be" TEXT)',
    "CREATE INDEX street_city ON street(city, id)",
    "CREATE VIEW large AS SELECT * FROM city",
  ]) await db.query(sql);
  return { daemon, db };
}

test("each level has rows with names", async (context) => {
  const { db } = await cities(context);
  assert.deepEqual(await names(db.catalog("namespaces")), ["main"]);
  assert.deepEqual(await names(db.catalog("relations")), ["city", "large", "street"]);
  const [, people] = await db.catalog("columns", { namespace: "main", relation: "city" }).toArray();
  assert.deepEqual(people, {
    namespace: "main", relation: "city", name: "people", position: 2, type: "INTEGER", nullable: true, default: null, generated: null,
    identity: null, hidden: false, collation: null, keyPosition: null, comment: null, extra: null,
  });
  const [key] = await db.catalog("foreign_keys").toArray();
  assert.deepEqual([key.columns, key.targetRelation, key.targetColumns], [["city"], "city", ["name"]]);
  assert.deepEqual((await db.catalog("keys", { relation: "city" }).toArray()).map(({ kind }) => kind), ["primary"]);
  for (const level of ["triggers", "routines", "types"]) assert.deepEqual(await db.catalog(level).toArray(), []);
  await assert.rejects(db.catalog("tables").toArray(), LiteBaseError);
  await assert.rejects(db.catalog("columns", { maxRows: 0 }).toArray(), RangeError);
});

test("it is narrowed, searched, and asked again for nothing", async (context) => {
  const { db } = await cities(context, { integers: "bigint", rowMode: "array", parse: { text: () => assert.fail("no parser") } });
  assert.deepEqual(await names(db.catalog("relations", { kinds: ["view"], refresh: true })), ["large"]);
  assert.deepEqual(await names(db.catalog("columns", { match: "tb" })), ["to be"]);
  const first = db.catalog("relations", { maxRows: 1, definitions: true });
  assert.match((await first.toArray())[0].definition, /^CREATE TABLE city/);
  assert.equal(first.result.truncated, true);
  const columns = db.catalog("columns", { relation: "street", pageRows: 1 });
  assert.deepEqual((await columns.toArray()).map(({ position }) => position), [1, 2, 3]);
  const { etag, unchanged } = columns.result;
  assert.equal(unchanged, false);
  const again = db.catalog("columns", { etag });
  assert.deepEqual(await again.toArray(), []);
  assert.deepEqual([again.result.unchanged, again.result.etag], [true, etag]);
  await db.query("CREATE TABLE more (a)");
  const changed = db.catalog("relations", { etag });
  assert.ok((await names(changed)).includes("more"));
  assert.equal(changed.result.unchanged, false);
});

test("a session sees what only it sees", async (context) => {
  const { db } = await cities(context);
  await db.transaction(async (tx) => {
    await tx.query("CREATE TEMPORARY TABLE mine (x)");
    await tx.query("CREATE TABLE young (x)");
    const found = await names(tx.catalog("relations"));
    assert.ok(found.includes("mine") && found.includes("young"));
  });
  const session = await db.session();
  await session.query("CREATE TEMPORARY TABLE own (xyz)");
  await session.catalog("namespaces").toArray();
  assert.equal((await session.complete("SELECT xy FROM own", { cursor: 9 })).items[0].text, "xyz");
  await session.close();
});

test("a completion counts characters of JavaScript", async (context) => {
  const { db } = await cities(context);
  const sql = "SELECT '\u{1f600}é', be FROM street";
  const cursor = sql.indexOf(" FROM");
  const found = await until(async () => {
    const found = await db.complete(sql, { cursor, limit: 3, recent: ["street"] });
    return !found.incomplete && found;
  }, "the names are known");
  assert.equal(sql.slice(0, found.from) + found.items[0].text + sql.slice(found.to), "SELECT '\u{1f600}é', \"to be\" FROM street");
  assert.deepEqual(found.items[0], { text: '"to be"', label: "to be", kind: "column", detail: "TEXT", relation: "street" });
  // Within a character of two halves, it is before that.
  for (const place of [8, 9, 10]) assert.deepEqual((await db.complete(sql, { cursor: place })).items, []);
  assert.ok((await db.complete("SELECT * FROM street JOIN ")).items.some(({ kind }) => kind === "join"));
  for (const wrong of [-1, 1.5, 1000]) await assert.rejects(db.complete(sql, { cursor: wrong }), RangeError);
});

test("a signal at any moment, and a loop that is left, stop it", async (context) => {
  const { db } = await cities(context);
  await db.batch(Array.from({ length: 200 }, (_, table) => ({
    sql: `CREATE TABLE t${table} (${Array.from({ length: 20 }, (_, column) => `column_${column}`).join(",")})`,
  })));
  for (let round = 0; round < 60; round += 1) {
    const stop = new AbortController();
    const going = [
      () => db.catalog("columns", { signal: stop.signal }).toArray(),
      () => db.complete("SELECT ", { signal: stop.signal }),
    ][round % 2]().then(() => undefined, (error) => error);
    if (round % 3 > 0) await pause(Math.random() * 5);
    stop.abort(new Error("enough"));
    const error = await going;
    assert.ok(error === undefined || error instanceof CancelledError, String(error));
  }
  for await (const row of db.catalog("columns", { pageRows: 10 })) {
    assert.equal(row.relation, "city");
    break;
  }
  assert.equal((await db.catalog("columns").toArray()).length, 200 * 20 + 7);
  const { entries } = await db.request("activity");
  assert.deepEqual(entries.filter(({ type }) => type === "catalog"), []);
});

test("when the connection is lost, it is known that nothing was done", async (context) => {
  const { daemon, db } = await cities(context);
  const going = Promise.allSettled([
    ...Array.from({ length: 50 }, () => db.catalog("columns").toArray()), ...Array.from({ length: 50 }, () => db.complete("SELECT ")),
  ]);
  await daemon.kill();
  for (const { reason } of await going) assert.ok(reason === undefined || reason instanceof ConnectionLostError, String(reason));
  await assert.rejects(db.catalog("columns").toArray(), ConnectionLostError);
});

test("a connection that ends at any byte leaves nobody waiting", async (context) => {
  const { daemon } = await cities(context);
  let cut = 0;
  const path = await serve(context, (socket) => {
    const upstream = net.connect(daemon.socket);
    let left = cut;
    const end = () => [socket, upstream].forEach((each) => each.destroy());
    socket.on("data", (data) => upstream.write(data));
    upstream.on("data", (data) => {
      socket.write(data.subarray(0, left));
      left -= data.length;
      if (left <= 0) socket.end(end);
    });
    for (const each of [socket, upstream]) each.on("close", end).on("error", end);
  });
  for (const ask of [(db) => db.catalog("columns").toArray(), (db) => db.complete("SELECT ")]) {
    let isWhole = false;
    for (cut = 1; !isWhole; cut += 61) {
      assert.ok(cut < 20_000);
      let db;
      try {
        db = await connect({ socket: path });
        await ask(db);
        isWhole = true;
      } catch (error) {
        assert.ok(error instanceof ConnectionLostError, String(error));
      }
      db?.destroy();
    }
  }
});

const servers = process.env.LITEBASE_TEST_SERVERS;

test("servers", { skip: servers === undefined }, async (context) => {
  for (const name of ["pg", "my"]) {
    const db = await connect(name, { socket: servers });
    context.after(() => db.destroy());
    await db.query("CREATE TABLE told (a INTEGER PRIMARY KEY, b VARCHAR(10))");
    try {
      assert.deepEqual(await names(db.catalog("columns", { relation: "told" })), ["a", "b"]);
      await db.transaction(async (tx) => {
        await tx.query("INSERT INTO told VALUES (1, 'x')");
        for await (const _ of tx.catalog("columns", { pageRows: 1 })) break;
        await tx.query("INSERT INTO told VALUES (2, 'y')");
      });
      assert.equal((await db.query("SELECT a FROM told")).rows.length, 2);
    } finally {
      await db.query("DROP TABLE told");
    }
  }
  const redis = await connect("redis", { socket: servers });
  context.after(() => redis.destroy());
  await redis.query("SET told:1 x");
  assert.deepEqual(await names(redis.catalog("relations", { match: "told", refresh: true })), ["told:"]);
  await redis.query("DEL told:1");
});
