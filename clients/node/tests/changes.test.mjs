// Changes: who listens is told of every commit, and whatever ends it leaves nothing behind.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";

import { CancelledError, Changes, connect, ConnectionLostError, LiteBaseError } from "litebase";
import { together } from "../dist/changes.js";
import { cutter, Daemon, open, pause, startDaemon, until } from "./daemon.mjs";

/** How a program may end changes, and what the loop says of it. */
const ENDS = {
  close: [(changes) => changes.close(), undefined],
  return: [(changes) => changes.return(), undefined],
  "closing the database": [(changes, db) => db.close(), undefined],
  destroy: [(changes, db) => db.destroy(), ConnectionLostError],
};

async function listening(db) {
  const { entries } = await db.request("activity");
  return entries.filter((entry) => entry.type === "subscribe").length;
}

describe("changes", () => {
  let daemon;
  let writer;
  before(async () => {
    daemon = await new Daemon().start();
    writer = await connect({ socket: daemon.socket });
    await writer.batch([{ sql: "CREATE TABLE city (name TEXT)" }, { sql: "CREATE TABLE street (name TEXT)" }]);
  });
  after(async () => {
    await writer.close();
    await daemon.discard();
  });

  test("every commit is told", async (context) => {
    const db = await open(context, daemon);
    const changes = await db.changes();
    assert.equal(changes.covers, "all_writers");
    assert.ok(changes instanceof Changes && changes.position.length > 0 && !changes.closed);
    const seen = [];
    await db.query("INSERT INTO city VALUES ('Oslo')");
    for await (const change of changes) {
      assert.equal(change.position, changes.position);
      seen.push([change.relations, change.schema, change.resync]);
      if (seen.length === 1) await writer.query("CREATE TABLE IF NOT EXISTS river (name TEXT)");
      else break;
    }
    assert.deepEqual(seen[0], [["city"], false, undefined]);
    assert.equal(seen[1][1], true);
    assert.equal(changes.closed, true);
    assert.equal(await listening(db), 0);
    assert.deepEqual(await changes.next(), { value: undefined, done: true });
  });

  test("waiting has a time limit", async (context) => {
    const db = await open(context, daemon);
    const changes = await db.changes();
    for (const milliseconds of [0, 10, -1]) assert.equal(await changes.wait(milliseconds), undefined);
    await writer.query("INSERT INTO city VALUES ('Oslo')");
    assert.deepEqual((await changes.wait(30_000)).relations, ["city"]);
    await writer.query("INSERT INTO street VALUES ('Karl Johan')");
    // Nobody waits when it comes; and who does not wait, gets it when it is there.
    assert.deepEqual((await until(() => changes.wait(0), "the change")).relations, ["street"]);
    const waiting = assert.rejects(changes.wait(30_000), ConnectionLostError);
    await changes.close();
    await waiting;
    await assert.rejects(changes.wait(0), ConnectionLostError);
    const stop = new AbortController();
    const stopped = await db.changes([], { signal: stop.signal });
    setTimeout(() => stop.abort(), 20);
    await assert.rejects(stopped.wait(30_000), { name: "AbortError" });
  });

  test("what is rolled back, and other relations, are not told", async (context) => {
    const db = await open(context, daemon);
    const changes = await db.changes("CITY");
    await assert.rejects(db.transaction(async (tx) => {
      await tx.query("INSERT INTO city VALUES ('x')");
      throw new RangeError("mine");
    }), RangeError);
    await db.query("INSERT INTO street VALUES ('y')");
    const waiting = changes.next();
    assert.equal(await Promise.race([waiting, pause(200)]), undefined);
    await db.query("INSERT INTO city VALUES ('z')");
    assert.deepEqual((await waiting).value.relations, ["city"]);
  });

  test("another program is noticed", async (context) => {
    const db = await open(context, daemon);
    const { file } = await db.first("PRAGMA database_list");
    const changes = await db.changes();
    const script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(\"INSERT INTO city VALUES ('out')\"); c.commit()";
    execFileSync("python3", ["-c", script, file]);
    assert.equal((await changes.next()).value.resync, "other_program");
  });

  test("one goes on where another was, and a position that nobody knows is a resync", async (context) => {
    const db = await open(context, daemon);
    const former = await db.changes();
    const from = former.position;
    await former.close();
    await db.query("INSERT INTO city VALUES ('later')");
    assert.deepEqual((await (await db.changes([], { from })).next()).value.relations, ["city"]);
    const { value } = await (await db.changes([], { from: "0123456789abcdef.7" })).next();
    assert.equal(value.resync, "position_unknown");
  });

  test("changes are gathered", async (context) => {
    const db = await open(context, daemon);
    const changes = await db.changes(["city", "street"], { delay: 300 });
    const told = new Set();
    for (let number = 0; number < 20; number += 1) await db.query("INSERT INTO city VALUES ('many')");
    await db.query("INSERT INTO street VALUES ('last')");
    let count = 0;
    for await (const change of changes) {
      count += 1;
      for (const name of change.relations) told.add(name);
      if (told.size === 2) break;
    }
    assert.ok(count <= 3, String(count));
  });

  test("a program that is busy is told of much together, and needs no memory for it", async (context) => {
    const db = await open(context, daemon);
    const changes = await db.changes(["city", "street", "last"]);
    for (let number = 0; number < 600; number += 1) await db.query(`INSERT INTO ${number < 300 ? "city" : "street"} VALUES ('busy')`);
    await db.query("CREATE TABLE last (a)");
    const told = new Set();
    let count = 0;
    for await (const change of changes) {
      count += 1;
      for (const name of change.relations) told.add(name);
      if (change.schema) break;
    }
    assert.ok(count < 20 && told.has("city") && told.has("street"), String(count));
    // Nobody waits for anything, and nobody asks: the daemon keeps what it has to tell.
    const unread = await db.changes();
    await pause(20);
    for (let number = 0; number < 600; number += 1) await writer.query("INSERT INTO city VALUES ('unread')");
    assert.ok((await unread.next()).value.relations.includes("city"));
  });

  test("what cannot be is said", async (context) => {
    const db = await open(context, daemon);
    await assert.rejects(db.changes([], { database: "no such" }), (error) => error.code === "database_not_found");
    await assert.rejects(db.changes([], { delay: -1 }), (error) => error instanceof LiteBaseError && /delay_ms/.test(error.message));
    const signal = AbortSignal.abort(new Error("mine"));
    await assert.rejects(db.changes([], { signal }), (error) => error instanceof CancelledError && error.cause.message === "mine");
    // No place is lost by any of them.
    for (let number = 0; number < 40; number += 1) await assert.rejects(db.changes([], { database: "no such" }));
    assert.deepEqual((await db.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
    assert.equal((await db.request("activity")).entries.filter((entry) => entry.type === "subscribe").length, 0);
  });

  for (const [name, [end, kind]] of Object.entries(ENDS)) {
    test(`${name} ends a loop that waits`, async (context) => {
      const db = await open(context, daemon);
      const changes = await db.changes();
      const loop = (async () => {
        for await (const change of changes) assert.fail(change);
      })();
      await pause(50);
      await end(changes, db);
      if (kind === undefined) await loop;
      else await assert.rejects(loop, kind);
      assert.ok(changes.closed);
      await until(async () => (await listening(writer)) === 0, "the daemon has ended it");
    });
  }

  test("a signal ends it at every moment, and the connection goes on", async (context) => {
    const db = await open(context, daemon);
    for (const delay of [0, 0, 1, 1, 2, 3, 5, 20, 60]) {
      const controller = new AbortController();
      setTimeout(() => controller.abort(new Error("mine")), delay);
      await assert.rejects(async () => {
        for await (const change of await db.changes([], { signal: controller.signal })) assert.fail(change);
      }, (error) => error instanceof CancelledError && error.name === "AbortError" && error.cause.message === "mine");
    }
    assert.equal(await listening(db), 0);
    assert.deepEqual((await db.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
  });

  test("more subscriptions than a connection has places", async (context) => {
    const db = await open(context, daemon);
    const all = await Promise.all(Array.from({ length: 40 }, () => db.changes(["city"])));
    await writer.query("INSERT INTO city VALUES ('all')");
    for (const changes of all) assert.deepEqual((await changes.next()).value.relations, ["city"]);
    await Promise.all(all.map((changes) => changes.close()));
    assert.equal(await listening(writer), 0);
  });
});

test("a daemon that dies is an error, and its positions mean nothing to the next one", async (context) => {
  const daemon = await startDaemon(context);
  const db = await open(context, daemon);
  await db.query("CREATE TABLE city (name TEXT)");
  const changes = await db.changes();
  await db.query("INSERT INTO city VALUES ('Oslo')");
  const { value } = await changes.next();
  const isLoss = (error) => error instanceof ConnectionLostError && error.code === "connection_lost";
  const rejected = assert.rejects(changes.next(), isLoss);
  await daemon.kill();
  await rejected;
  assert.ok(changes.closed);
  assert.equal((await changes.next()).done, true);
  await daemon.start();
  const again = await db.changes([], { from: value.position });
  assert.equal((await again.next()).value.resync, "position_unknown");
  await db.query("INSERT INTO city VALUES ('Bergen')");
  assert.deepEqual((await again.next()).value.relations, ["city"]);
});

test("a connection that is cut at any byte: who goes on at its position is told of each commit once", async (context) => {
  const tables = ["a", "b", "c", "d"];
  const daemon = await startDaemon(context);
  const writer = await open(context, daemon);
  for (const name of [...tables, "last"]) await writer.query(`CREATE TABLE ${name} (x)`);
  /** Takes what is told until it is of all tables. */
  const take = async (changes, told, hasLimit) => {
    while (told.length < tables.length) {
      const change = hasLimit ? await changes.wait(30_000) : (await changes.next()).value;
      assert.equal(change.resync, undefined);
      told.push(...change.relations);
    }
  };
  const counts = { begun: 0, wentOn: 0 };
  for (const [towards, step] of [["daemon", 5], ["client", 5]]) {
    for (let bytes = 1, isWhole = false; !isWhole; bytes += step) {
      assert.ok(bytes < 20_000);
      const socket = await cutter(context, daemon, towards, bytes);
      const told = [];
      let db;
      let changes;
      try {
        db = await connect({ socket });
        changes = await db.changes();
        counts.begun += 1;
        for (const name of tables) await writer.query(`INSERT INTO ${name} VALUES (1)`);
        await take(changes, told, bytes % 2 === 0);
        isWhole = true;
      } catch (error) {
        assert.ok(error instanceof ConnectionLostError, `${towards}, ${bytes}: ${error.stack}`);
        if (changes !== undefined) {
          assert.deepEqual([changes.closed, await changes.next()], [true, { value: undefined, done: true }]);
          const others = await writer.changes([], { from: changes.position });
          await take(others, told, true);
          // Nothing of them comes again.
          await writer.query("INSERT INTO last VALUES (1)");
          assert.deepEqual((await others.next()).value.relations, ["last"]);
          await others.close();
          counts.wentOn += 1;
        }
      }
      db?.destroy();
      // What is told together has no order.
      if (changes !== undefined) assert.deepEqual(told.sort(), tables, `${towards}, ${bytes}`);
    }
  }
  assert.ok(counts.begun > 20 && counts.wentOn > 20, JSON.stringify(counts));
  await until(async () => (await listening(writer)) === 0, "nobody listens");
});

test("a daemon that stops says so", async (context) => {
  const daemon = await startDaemon(context);
  const db = await open(context, daemon);
  const waiting = (await db.changes()).next();
  const rejected = assert.rejects(waiting, (error) => error instanceof ConnectionLostError && error.code === "shutting_down" && error.retryable);
  await daemon.kill("SIGTERM");
  await rejected;
});

test("changes followed by changes", () => {
  const one = { position: "a.1", relations: ["x", "y"], schema: false };
  const two = { position: "a.2", relations: ["y", "z"], schema: true };
  assert.deepEqual(together(one, two), { position: "a.2", relations: ["x", "y", "z"], schema: true });
  const resync = { position: "a.3", relations: [], schema: false, resync: "replaced" };
  assert.equal(together(together(two, resync), one).resync, "replaced");
  const many = { position: "a.4", relations: Array.from({ length: 1000 }, (_, number) => String(number)), schema: false };
  assert.deepEqual(together(many, two), { position: "a.2", relations: [], schema: true, resync: "too_many" });
});

test("messages come one by one, and no more of them are kept than a program may have", async () => {
  // The connection is read for other requests, too, so that messages come although nobody asks for them.
  const link = { wait: () => () => undefined, cancel: () => undefined };
  const start = () => new Changes(link, 1, { position: "a.0", covers: "channels", more: true });
  const send = (changes, number, payload) => changes._reply({ position: `a.${number}`, channel: "news", payload, more: true });
  const changes = start();
  send(changes, 1, "one");
  changes._reply({ position: "a.2", resync: true, reason: "connection_lost", more: true });
  changes._reply({ position: "a.3", resync: true, reason: "too_large", more: true });
  send(changes, 4, "two");
  const told = [];
  for (let count = 0; count < 3; count += 1) told.push((await changes.next()).value);
  assert.deepEqual(told.map(({ position, resync, message }) => [position, resync, message?.payload]),
    [["a.1", undefined, "one"], ["a.3", "connection_lost", undefined], ["a.4", undefined, "two"]]);
  const busy = start();
  for (let number = 1; number <= 10_000; number += 1) send(busy, number, "x");
  assert.equal((await busy.next()).value.position, "a.1");
  send(busy, 10_001, "x");
  send(busy, 10_002, "x");
  send(busy, 10_003, "last");
  assert.deepEqual((await busy.next()).value, { position: "a.10002", relations: [], schema: false, resync: "too_many" });
  assert.equal((await busy.next()).value.message.payload, "last");
  assert.equal(await busy.wait(0), undefined);
  // By their size, too: what was told does not count.
  const large = "x".repeat(1 << 20);
  for (let round = 0; round < 10; round += 1) {
    send(busy, round, large);
    assert.equal((await busy.next()).value.message.payload.length, 1 << 20);
  }
  for (let number = 0; number < 4; number += 1) send(busy, number, large);
  assert.equal((await busy.next()).value.resync, "too_many");
});
