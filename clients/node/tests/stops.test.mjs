// Cancelling and lost connections at every step: no hang, nothing that stays open, never a write twice or a wrong word of it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";

import { CancelledError, connect, ConnectionLostError, LiteBaseError, OutcomeUnknownError } from "litebase";
import { counting, cutter, Daemon, ENDLESS, ENDLESS_ROWS, open, startDaemon, until } from "./daemon.mjs";

/** The only two words there are for a connection that was lost. */
const isLoss = (error) => error instanceof ConnectionLostError || error instanceof OutcomeUnknownError;

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Numbers that a failed run can be repeated with. */
function random(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe("stops", () => {
  let daemon;
  before(async () => {
    daemon = await new Daemon().start();
  });
  after(() => daemon.discard());

  test("a signal stops a statement in the daemon, and the connection goes on", async (context) => {
    const db = await open(context, daemon);
    for (const delay of [0, 1, 5, 50]) {
      const signal = AbortSignal.timeout(delay);
      await assert.rejects(db.query(ENDLESS, [], { signal }), (error) => {
        assert.ok(error instanceof CancelledError && error.name === "AbortError" && error.code === "cancelled");
        assert.equal(error.cause, signal.reason);
        return true;
      });
    }
    const { entries } = await db.request("activity");
    assert.equal(entries.filter((entry) => entry.type === "query").length, 0);
    const controller = new AbortController();
    controller.abort(new Error("mine"));
    const options = { signal: controller.signal };
    const requests = [
      db.query("SELECT 1", [], options), db.stream("SELECT 1", [], options).next(), db.batch([{ sql: "SELECT 1" }], options),
      db.session(options), db.transaction(() => 1, options), connect({ socket: daemon.socket, ...options }),
      db.request("stats", {}, options), db.describe("SELECT 1", options), db.health(options), db.databases(options),
    ];
    for (const { reason } of await Promise.allSettled(requests)) {
      assert.ok(reason instanceof CancelledError && reason.cause.message === "mine", reason);
    }
  });

  test("a stream is stopped while it is read, and while it is not", async (context) => {
    const db = await open(context, daemon);
    const controller = new AbortController();
    let count = 0;
    await assert.rejects(async () => {
      for await (const row of db.stream(ENDLESS_ROWS, [], { signal: controller.signal })) {
        count += row.x > 0 ? 1 : 0;
        if (count === 1500) controller.abort();
      }
    }, CancelledError);
    const left = new AbortController();
    const stream = db.stream(ENDLESS_ROWS, [], { signal: left.signal });
    await stream.next();
    left.abort();
    await until(async () => (await db.request("activity")).entries.every((entry) => entry.type !== "query"), "it is stopped");
    await assert.rejects(async () => {
      for await (const row of stream) assert.ok(row.x > 0);
    }, CancelledError);
    assert.equal((await db.first("SELECT 1 AS one")).one, 1);
  });

  test("a signal leaves no listener behind", async (context) => {
    const db = await open(context, daemon);
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...all) => void (listeners += 1) || add(...all);
    signal.removeEventListener = (...all) => void (listeners -= 1) || remove(...all);
    await db.query("SELECT 1", [], { signal });
    for await (const row of db.stream("SELECT 1", [], { signal })) assert.ok(row);
    await db.query("SELEC", [], { signal }).catch(() => undefined);
    await db.transaction((tx) => tx.query("SELECT 1"), { signal });
    (await connect({ socket: daemon.socket, signal })).destroy();
    assert.equal(listeners, 0);
  });

  test("a signal may be that of many statements", async (context) => {
    const db = await open(context, daemon);
    const warnings = [];
    const warn = (warning) => warnings.push(warning);
    process.on("warning", warn);
    context.after(() => process.removeListener("warning", warn));
    const controller = new AbortController();
    const options = { signal: controller.signal };
    await Promise.all(Array.from({ length: 40 }, () => db.query("SELECT 1", [], options)));
    const statements = [
      ...Array.from({ length: 20 }, () => db.query(ENDLESS, [], options)),
      ...Array.from({ length: 5 }, () => db.transaction((tx) => tx.query(ENDLESS, [], options), options)),
    ];
    const outcomes = Promise.allSettled(statements);
    await until(async () => (await db.request("activity")).entries.filter((entry) => entry.sql === ENDLESS).length === 25, "they are there");
    controller.abort();
    for (const { reason } of await outcomes) assert.ok(reason instanceof CancelledError, reason);
    await turn();
    assert.deepEqual(warnings, []);
  });

  test("a transaction that is stopped at any step is whole or not there", async (context) => {
    const db = await open(context, daemon);
    await db.query("CREATE TABLE steps(a)");
    let done = 0;
    for (let step = 0; step < 60; step += 1) {
      const controller = new AbortController();
      const work = db.transaction(async (tx) => {
        await tx.query("INSERT INTO steps VALUES (?)", [step]);
        for await (const row of tx.stream(counting(5))) assert.ok(row);
        await tx.transaction((inner) => inner.query("INSERT INTO steps VALUES (?)", [step]));
      });
      const stopped = db.transaction(async (tx) => {
        await tx.query("INSERT INTO steps VALUES (?)", [-step - 1]);
        await tx.query("INSERT INTO steps VALUES (?)", [-step - 1]);
      }, { signal: controller.signal });
      const outcomes = Promise.allSettled([work, stopped]);
      for (let turns = 0; turns < step; turns += 1) await turn();
      controller.abort();
      const [first, second] = await outcomes;
      assert.equal(first.status, "fulfilled", first.reason);
      if (second.status === "fulfilled") done += 1;
      else assert.ok(second.reason instanceof CancelledError, second.reason);
      const { n } = await db.first("SELECT count(*) AS n FROM steps WHERE a = ?", [-step - 1]);
      assert.equal(n, second.status === "fulfilled" ? 2 : 0);
    }
    assert.equal((await db.first("SELECT count(*) AS n FROM steps WHERE a >= 0")).n, 120);
    assert.ok(done < 60);
    await until(async () => (await db.request("stats")).sessions.open === 0, "no session stays");
  });

  test("a connection that is cut at any byte: no hang, no write twice, none lost that was acknowledged", async (context) => {
    const direct = await open(context, daemon);
    await direct.query("CREATE TABLE cuts(a, part)");
    const seed = Date.now() >>> 0;
    const chance = random(seed);
    let unknown = 0;
    for (let round = 0; round < 60; round += 1) {
      const towards = round % 2 === 0 ? "daemon" : "client";
      // From the first byte on, and densely where the statements are.
      const bytes = round < 10 ? 1 + round * 90 : 300 + chance(towards === "daemon" ? 900 : 2600);
      const socket = await cutter(context, daemon, towards, bytes);
      const outcomes = { single: "not sent", both: "not sent" };
      let db;
      try {
        db = await connect({ socket });
        outcomes.single = "unknown";
        await db.query("INSERT INTO cuts VALUES (?, 'single')", [round]);
        outcomes.single = "done";
        outcomes.both = "unknown";
        await db.transaction(async (tx) => {
          await tx.query("INSERT INTO cuts VALUES (?, 'both')", [round]);
          for await (const row of tx.stream(counting(20))) assert.ok(row);
          await tx.query("INSERT INTO cuts VALUES (?, 'both')", [round]);
        });
        outcomes.both = "done";
        for (;;) await db.query("SELECT 1");
      } catch (error) {
        assert.ok(isLoss(error), `seed ${seed}, round ${round}: ${error.stack}`);
        if (error instanceof OutcomeUnknownError) unknown += 1;
        else for (const what of ["single", "both"]) if (outcomes[what] === "unknown") outcomes[what] = "not done";
      }
      // The daemon has noticed the end before its tables are looked at.
      db?.destroy();
      await until(async () => (await direct.request("stats")).connections.open === 1, "the connection has ended");
      const { rows } = await direct.query("SELECT part, count(*) AS n FROM cuts WHERE a = ? GROUP BY part", [round]);
      const count = (part) => rows.find((row) => row.part === part)?.n ?? 0;
      const allowed = { done: ["whole"], unknown: ["whole", "nothing"], "not sent": ["nothing"], "not done": ["nothing"] };
      for (const [part, whole] of [["single", 1], ["both", 2]]) {
        const found = { 0: "nothing", [whole]: "whole" }[count(part)] ?? `${count(part)} rows`;
        assert.ok(allowed[outcomes[part]].includes(found), `seed ${seed}, round ${round}: ${part} ${outcomes[part]}, found ${found}`);
      }
    }
    assert.ok(unknown > 5, `${unknown} of unknown outcome, seed ${seed}`);
  });

  test("a program ends by itself, whatever it has left open", async () => {
    const head = 'import { connect } from "litebase"; const db = await connect({ socket: process.argv[1] });';
    const session = "const s = await db.session();";
    const programs = [
      "await db.query('SELECT 1')",
      `const rows = db.stream(${JSON.stringify(ENDLESS_ROWS)}); await rows.next();`,
      `${session} await s.query('BEGIN'); await s.query('CREATE TABLE left_open(x)');`,
      `await db.query(${JSON.stringify(ENDLESS)}, [], { signal: AbortSignal.timeout(30) }).catch(() => 1);`,
      `for await (const r of db.stream(${JSON.stringify(ENDLESS_ROWS)})) if (r.x > 3000) break;`,
      "await db.close();",
      `const q = db.query(${JSON.stringify(ENDLESS)}); db.destroy(); await q.catch(() => 1);`,
    ];
    await Promise.all(programs.map(async (program) => {
      const child = spawn(process.execPath, ["--input-type=module", "--eval", `${head} ${program}; console.log("last line")`, daemon.socket], {
        cwd: new URL("..", import.meta.url), stdio: ["ignore", "pipe", "inherit"], timeout: 60_000,
      });
      let output = "";
      child.stdout.on("data", (chunk) => (output += chunk));
      const [status] = await once(child, "close");
      assert.deepEqual([status, output], [0, "last line\n"], program);
    }));
    const direct = await connect({ socket: daemon.socket });
    await assert.rejects(direct.query("SELECT * FROM left_open"), LiteBaseError);
    await direct.close();
  });
});

test("who waits learns at once that the daemon was killed; the next request connects anew", async (context) => {
  const daemon = await startDaemon(context);
  const db = await open(context, daemon);
  await db.query("CREATE TABLE t(x)");
  const session = await db.session();
  const stream = db.stream(ENDLESS_ROWS);
  await stream.next();
  const waiting = [db.query(ENDLESS), session.query(ENDLESS), db.transaction((tx) => tx.query(ENDLESS))];
  await until(async () => (await db.request("activity")).entries.filter((entry) => entry.sql === ENDLESS).length === 3, "they run");
  const outcomes = Promise.allSettled(waiting);
  await daemon.kill();
  for (const { reason } of await outcomes) {
    assert.ok(reason instanceof OutcomeUnknownError && reason.code === "outcome_unknown" && reason.retryable === false, reason);
    assert.ok(reason.cause instanceof ConnectionLostError);
  }
  await assert.rejects(async () => {
    for await (const row of stream) assert.ok(row);
  }, OutcomeUnknownError);
  await assert.rejects(db.query("SELECT 1"), (error) => error instanceof ConnectionLostError && /litebase ping/.test(error.hint));
  await daemon.start();
  assert.deepEqual((await db.query("SELECT x FROM t")).rows, []);
  await assert.rejects(session.query("SELECT 1"), ConnectionLostError);
  assert.equal(session.closed, true);
  // An idle connection notices its end, so that nothing is sent in vain.
  await daemon.kill();
  await daemon.start();
  assert.equal((await db.query("INSERT INTO t VALUES (1)")).rowsAffected, 1);
});

test("inserts while daemons are killed: none is done twice, none is lost that was acknowledged", async (context) => {
  const daemon = await startDaemon(context);
  const db = await open(context, daemon);
  await db.query("CREATE TABLE t(x)");
  const known = new Map();
  let next = 0;
  for (let round = 0; round < 4; round += 1) {
    let isKilled = false;
    const writers = Array.from({ length: 4 }, async () => {
      while (!isKilled) {
        const value = next++;
        try {
          await db.query("INSERT INTO t VALUES (?)", [value]);
          known.set(value, "done");
        } catch (error) {
          assert.ok(isLoss(error), error);
          known.set(value, error instanceof OutcomeUnknownError ? "unknown" : "not done");
          return;
        }
      }
    });
    const before = known.size;
    await until(() => known.size > before + 20 * round, "some are written");
    await daemon.kill();
    isKilled = true;
    await Promise.all(writers);
    await daemon.start();
  }
  const found = new Map((await db.query("SELECT x, count(*) AS n FROM t GROUP BY x")).rows.map(({ x, n }) => [x, n]));
  for (const [value, outcome] of known) {
    const count = found.get(value) ?? 0;
    assert.ok({ done: count === 1, unknown: count <= 1, "not done": count === 0 }[outcome], `${value}: ${outcome}, ${count} times`);
  }
});
