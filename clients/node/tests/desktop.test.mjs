// The backend of a desktop program (examples/desktop), from the first click to the last: the window is this file, and the backend, the
// daemon and its servers are processes.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { connect } from "litebase";
import { counting, ENDLESS, startDaemon, until } from "./daemon.mjs";

const BACKEND = fileURLToPath(new URL("../examples/desktop/backend.mjs", import.meta.url));
const MILLION = counting(1_000_000);

/** The window: calls, and what the tabs show. */
class Window {
  #last = 0;
  #waiting = new Map();
  tabs = new Map();
  // What the window was told of changes.
  told = [];

  constructor(socket) {
    this.process = spawn(process.execPath, [BACKEND], { env: { ...process.env, LITEBASE_SOCKET: socket }, stdio: ["pipe", "pipe", "inherit"] });
    this.exited = once(this.process, "exit");
    createInterface({ input: this.process.stdout }).on("line", (line) => this.#take(JSON.parse(line)));
  }

  #take(message) {
    if (message.event === undefined) {
      const { resolve, reject } = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error === undefined) resolve(message.result);
      else reject(message.error);
      return;
    }
    if (message.tab === undefined) {
      this.told.push(message);
      return;
    }
    const tab = this.tabs.get(message.tab);
    tab.columns ??= message.columns;
    tab.pages += message.event === "rows" ? 1 : 0;
    tab.count += message.rows?.length ?? 0;
    tab.sum = (message.rows ?? []).reduce((sum, [first]) => sum + (typeof first === "number" ? first : 0), tab.sum);
    tab.rows = message.rows ?? tab.rows;
    if (message.event !== "rows") tab.end = message;
    else if (tab.follows) void this.call("more", { tab: message.tab });
  }

  call(name, given) {
    this.#last += 1;
    const id = this.#last;
    this.process.stdin.write(JSON.stringify({ id, call: name, with: given }) + "\n");
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  /** Runs a statement in a tab; `follows`: whether the window asks for the next page as soon as it has one. */
  async run(name, sql, { params = [], follows = true } = {}) {
    const tab = { pages: 0, count: 0, sum: 0, rows: undefined, columns: undefined, end: undefined, follows };
    this.tabs.set(name, tab);
    await this.call("run", { tab: name, sql, params });
    return tab;
  }

  async all(name, sql, params) {
    const tab = await this.run(name, sql, { params });
    await until(() => tab.end, `the tab ${name} ends`);
    return tab;
  }

  /** Waits until the window is told of something, and forgets what it was told before. */
  async isTold(holds, what) {
    const found = await until(() => this.told.find(holds), what);
    this.told = [];
    return found;
  }

  memory() {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.process.pid}/status`, "utf8"))[1]) * 1024;
  }
}

async function opened(context, daemon, database) {
  const window = new Window(daemon.socket);
  context.after(() => window.process.kill("SIGKILL"));
  const { engine, databases } = await window.call("connect", { database });
  assert.ok(databases.length > 0);
  return { window, engine };
}

async function fill(window, text, large) {
  await window.all("sql", "DROP TABLE IF EXISTS city");
  await window.all("sql", `CREATE TABLE city (country ${text}, name ${text}, people ${large}, note ${text}, PRIMARY KEY (country, name))`);
  for (const [name, people] of [["Oslo", "717710"], ["Bergen", "294029"]]) {
    const { end } = await window.all("sql", `INSERT INTO city VALUES ('no', '${name}', ${people}, NULL)`);
    assert.equal(end.rowsAffected, 1);
  }
}

/** Click by click, what a user does with any engine. */
async function work(window, text, large) {
  await fill(window, text, large);
  const { tables } = await window.call("tree");
  const city = tables.find((table) => table.name === "city");
  const columns = ["country", "name", "people", "note"];
  assert.deepEqual([city.kind, city.columns.map((column) => column.name), city.key], ["table", columns, ["country", "name"]]);

  // What is typed is completed, as soon as the names are known.
  const typed = "SELECT '\u{1f600}', peo FROM city";
  const found = await until(async () => {
    const found = await window.call("complete", { sql: typed, cursor: typed.indexOf(" FROM") });
    return found.items[0]?.text === "people" && found;
  }, "the names are known");
  assert.equal(typed.slice(0, found.from) + found.items[0].text + typed.slice(found.to), typed.replace("peo", "people"));

  const key = { country: "no", name: "Oslo" };
  const edit = (column, from, to) => window.call("edit", { table: "city", key, column, from, to });
  assert.deepEqual(await edit("people", 717_710, 717_711), { changed: true });
  assert.deepEqual(await edit("note", null, "capital"), { changed: true });
  // Somebody else has changed it meanwhile: it stays as he left it.
  await window.all("sql", "UPDATE city SET people = 1 WHERE name = 'Oslo'");
  assert.deepEqual(await edit("people", 717_711, 5), {
    changed: false, now: ["no", "Oslo", 1, "capital"], columns,
  });
  const large2 = { $int: "9007199254740993" };
  assert.deepEqual(await edit("people", 1, large2), { changed: true });
  assert.deepEqual((await window.all("a", "SELECT people FROM city WHERE name = 'Oslo'")).rows, [[large2]]);
  await window.all("sql", "DELETE FROM city WHERE name = 'Oslo'");
  assert.deepEqual((await edit("people", large2, 6)).now, null);
  // What is not in the tree gets into no statement.
  for (const given of [{ table: "city; DROP TABLE city" }, { column: "people\" = 0 --" }, { key: { country: "no" } }]) {
    const wrong = { table: "city", key, column: "people", from: 1, to: 2, ...given };
    await assert.rejects(window.call("edit", wrong), ({ code }) => code === "program");
  }
  assert.equal((await window.all("a", "SELECT * FROM city")).count, 1);
}

test("SQLite, from the first click to the last", { timeout: 240_000 }, async (context) => {
  const daemon = await startDaemon(context);
  const window = new Window(daemon.socket);
  context.after(() => window.process.kill("SIGKILL"));
  await assert.rejects(window.call("tree"), ({ message }) => message === "Connect first.");
  await assert.rejects(window.call("constructor"), ({ code }) => code === "program");
  await assert.rejects(window.call("connect", { database: "nowhere" }), ({ code }) => code === "database_not_found");
  assert.equal((await window.call("connect")).engine, "sqlite");
  await work(window, "TEXT", "INTEGER");

  // What somebody else changes, the window is told of, and reads again.
  assert.equal((await window.call("follow")).covers, "all_writers");
  const other = await connect({ socket: daemon.socket });
  context.after(() => other.destroy());
  const isCity = ({ relations }) => relations?.includes("city");
  await other.query("UPDATE city SET note = 'rain' WHERE name = 'Bergen'");
  assert.deepEqual(await window.isTold(isCity, "the window is told"), { event: "changed", relations: ["city"], schema: false });
  assert.deepEqual((await window.all("a", "SELECT note FROM city")).rows, [["rain"]]);
  await other.query("CREATE TABLE river (name TEXT)");
  await window.isTold(({ schema }) => schema, "a table was made");
  assert.deepEqual((await window.call("tree")).tables.map((table) => table.name), ["city", "river"]);
  await other.query("DROP TABLE river");
  await window.isTold(({ schema }) => schema, "a table was dropped");
  // Followed anew, it is told once.
  await window.call("follow");
  await other.query("UPDATE city SET note = NULL");
  await other.query("CREATE TABLE river (name TEXT)");
  await until(() => window.told.some(({ schema }) => schema), "both are told");
  assert.ok(window.told.length <= 2 && window.told.every(({ event }) => event === "changed"), JSON.stringify(window.told));
  await other.query("DROP TABLE river");
  await window.isTold(({ relations, schema }) => schema && !relations.includes("city"), "a table was dropped");

  // A mistake is shown where it is, and other tabs go on.
  const wrong = await window.all("wrong", "SELECT *\nFORM city");
  assert.deepEqual([wrong.end.error.code, wrong.end.error.line], ["syntax_error", 2]);
  const values = await window.all("values", "SELECT 9e999 AS a, x'00ff' AS b, NULL AS c, 'é' AS d");
  assert.deepEqual([values.rows, values.columns.map((column) => column.name)], [[[{ $real: "Infinity" }, { $blob: "AP8=" }, null, "é"]], [..."abcd"]]);
  assert.deepEqual((await window.all("empty", "SELECT 1 AS one WHERE 0")).columns.length, 1);

  // A tab that nobody scrolls: one page, and the statement waits in the daemon; the memory of this process does not grow.
  const idle = await window.run("idle", MILLION, { follows: false });
  await until(() => idle.pages === 1, "the first page comes");
  const million = await window.all("million", MILLION);
  assert.deepEqual([million.count, million.sum, million.pages], [1_000_000, 500_000_500_000, 1000]);
  assert.deepEqual([idle.pages, idle.end], [1, undefined]);
  assert.ok(window.memory() < 300 << 20, `${window.memory()} bytes`);
  await window.call("more", { tab: "idle" });
  await until(() => idle.pages === 2, "the next page comes");
  await assert.rejects(window.call("run", { tab: "idle", sql: "SELECT 1" }), ({ message }) => /runs a statement already/.test(message));

  // Stopped: one that computes, and one whose rows wait.
  const endless = await window.run("endless", ENDLESS);
  for (const tab of ["endless", "idle"]) await window.call("cancel", { tab });
  await until(() => endless.end && idle.end, "both tabs end");
  assert.deepEqual([endless.end.error.code, idle.end.error.code], ["cancelled", "cancelled"]);

  // The daemon dies and comes back: what ran says so, and the next click works; nothing was lost, and nothing done twice.
  const before = await window.call("status");
  const running = await window.run("running", ENDLESS);
  await until(async () => (await window.all("look", "SELECT 1")).end, "others are served meanwhile");
  await daemon.kill();
  await until(() => running.end, "the tab ends");
  assert.ok(["connection_lost", "outcome_unknown"].includes(running.end.error.code), running.end.error.code);
  assert.equal((await window.isTold(({ event }) => event === "unfollowed", "it is not followed any more")).error.code, "connection_lost");
  await assert.rejects(window.call("status"), ({ code }) => typeof code === "string");
  await daemon.start();
  const after = await window.call("status");
  assert.notEqual(after.pid, before.pid);
  assert.deepEqual((await window.call("tree")).tables.map((table) => table.name), ["city"]);
  assert.deepEqual((await window.all("a", "SELECT name FROM city")).rows, [["Bergen"]]);
  await window.call("follow");
  const key = { country: "no", name: "Bergen" };
  assert.deepEqual(await window.call("edit", { table: "city", key, column: "people", from: 294_029, to: 294_030 }), { changed: true });
  await window.isTold(isCity, "its own changes are told, too");

  // The window is closed while a statement runs.
  await window.run("last", ENDLESS);
  window.process.stdin.end();
  assert.deepEqual(await window.exited, [0, null]);
});

for (const [database, engine, text, large] of [["pg", "postgresql", "TEXT", "BIGINT"], ["my", "mysql", "VARCHAR(40)", "BIGINT"]]) {
  const skip = process.env.LITEBASE_TEST_SERVERS === undefined && "LITEBASE_TEST_SERVERS names no daemon with servers";
  test(`${engine}, click by click`, { skip, timeout: 120_000 }, async (context) => {
    const { window, engine: found } = await opened(context, { socket: process.env.LITEBASE_TEST_SERVERS }, database);
    assert.equal(found, engine);
    // Tables of PostgreSQL do not tell.
    if (engine === "postgresql") await assert.rejects(window.call("follow"), ({ code }) => code === "bad_request");
    await work(window, text, large);
    if (engine === "mysql") {
      assert.equal((await window.call("follow")).covers, "daemon_writers");
      await window.all("sql", "UPDATE city SET note = 'rain'");
      await window.isTold(({ relations }) => relations?.includes("city"), "the window is told");
    }
    await window.all("sql", "DROP TABLE city");
  });
}
