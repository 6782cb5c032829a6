// The backend of a desktop program that shows databases: what an Electron main process, or a sidecar of another shell, does.
//
// The window writes calls to the standard input, one JSON object a line, and reads replies and events from the standard output:
//
//     {"id": 1, "call": "tree"}                                 {"id": 1, "result": {…}}  or  {"id": 1, "error": {"code": …}}
//     {"id": 2, "call": "run", "with": {"tab": "a", "sql": …}}  {"event": "rows", "tab": "a", "rows": […]} … {"event": "ended", …}
//
//     {"id": 3, "call": "follow"}                               {"event": "changed", "relations": ["city"], …}
//
// Rows come a page at a time, and only as many pages as the window has asked for (`more`): a table of any size costs the window
// what it shows, and this process two pages.

import { once } from "node:events";
import { createInterface } from "node:readline";

import { connect, LiteBaseError, OutcomeUnknownError } from "litebase";
import { ENGINES, findTable, readTables } from "./tables.mjs";
import { revive, shown } from "./values.mjs";

const PAGE_ROWS = 1000;

/** What the window shows when something fails. */
function failure(error) {
  if (!(error instanceof LiteBaseError)) return { code: "program", message: String(error?.message ?? error) };
  const { code, message, hint, position, retryable } = error;
  const mayHaveHappened = error instanceof OutcomeUnknownError;
  return { code, message, hint, line: position?.line, retryable: retryable === true, mayHaveHappened };
}

function refuse(message) {
  throw Object.assign(new Error(message), { name: "Refused" });
}

/** One statement whose rows are shown. */
class Tab {
  #pages = 1;
  #wake = () => undefined;
  #stop = new AbortController();

  get signal() {
    return this.#stop.signal;
  }

  /** The window has room for another page. */
  more() {
    this.#pages += 1;
    this.#wake();
  }

  cancel() {
    this.#stop.abort();
    this.#wake();
  }

  async room() {
    while (this.#pages === 0 && !this.signal.aborted) await new Promise((resolve) => (this.#wake = resolve));
    this.#pages -= 1;
  }
}

class Backend {
  #send;
  #db;
  #tables = [];
  #tabs = new Map();
  #changes;

  constructor(send) {
    this.#send = send;
  }

  // Calls: each takes what the window says, and returns what it shows.

  async connect({ database }) {
    const db = await connect({ database, rowMode: "array" });
    this.close();
    this.#db = db;
    return { engine: db.engine, databases: await db.databases() };
  }

  /** Tables and views with their columns. */
  async tree() {
    this.#tables = await readTables(this.#open);
    return { tables: this.#tables };
  }

  /** What may come next in a statement that is typed. */
  async complete({ sql, cursor }) {
    return this.#open.complete(sql, { cursor, limit: 20 });
  }

  /** Begins a statement; its rows come as events. */
  run({ tab, sql, params = [] }) {
    if (this.#tabs.has(tab)) refuse(`The tab ${tab} runs a statement already.`);
    const opened = new Tab();
    this.#tabs.set(tab, opened);
    void this.#stream(tab, opened, this.#open.stream(sql, params, { pageRows: PAGE_ROWS, signal: opened.signal }));
    return {};
  }

  more({ tab }) {
    this.#tabs.get(tab)?.more();
    return {};
  }

  /** Stops a statement: the database is asked to, and its tab ends with an event. */
  cancel({ tab }) {
    this.#tabs.get(tab)?.cancel();
    return {};
  }

  /**
   * Changes one value of one row, if it still is what the window shows. Otherwise nothing is done, and the row is returned as it is
   * now (or null, when it is gone), so that the user can decide.
   */
  async edit({ table: name, key, column, from, to }) {
    const table = findTable(this.#tables, name, column);
    const engine = ENGINES[this.#open.engine];
    const values = table.key.map((part) => key[part] ?? refuse(`The key of ${name} is ${table.key.join(", ")}.`));
    const { rowsAffected } = await this.#open.query(engine.update(table, column), [to, ...values, from]);
    if (rowsAffected === 1) return { changed: true };
    const { rows } = await this.#open.query(engine.one(table), values);
    return { changed: false, now: rows[0] ?? null, columns: table.columns.map((each) => each.name) };
  }

  /**
   * Tells by events which tables are changed from now on, by whomever: what the window reads after this, it reads again when it is
   * told. Where it ends, the window is told too, and follows again.
   */
  async follow() {
    const changes = await this.#open.changes();
    await this.#changes?.close();
    this.#changes = changes;
    void this.#tell(changes);
    return { covers: changes.covers };
  }

  async status() {
    const { pid, version } = await this.#open.health();
    return { pid, version };
  }

  // Beneath them

  get #open() {
    return this.#db ?? refuse("Connect first.");
  }

  async #stream(tab, opened, stream) {
    try {
      let isFirst = true;
      for await (const rows of stream.pages()) {
        await opened.room();
        if (opened.signal.aborted) continue;
        await this.#send({ event: "rows", tab, ...(isFirst ? { columns: await stream.columns() } : {}), rows });
        isFirst = false;
      }
      const columns = isFirst ? { columns: await stream.columns() } : {};
      await this.#send({ event: "ended", tab, ...columns, rowsAffected: stream.result.rowsAffected });
    } catch (error) {
      await this.#send({ event: "failed", tab, error: failure(error) });
    } finally {
      this.#tabs.delete(tab);
    }
  }

  async #tell(changes) {
    try {
      // While the window does not read, what has happened comes together.
      for await (const { relations, schema, resync } of changes) await this.#send({ event: "changed", relations, schema, resync });
    } catch (error) {
      await this.#send({ event: "unfollowed", error: failure(error) });
    }
  }

  close() {
    void this.#changes?.close().catch(() => undefined);
    for (const tab of this.#tabs.values()) tab.cancel();
    this.#db?.destroy();
    this.#db = undefined;
  }
}

const CALLS = new Set(["connect", "tree", "complete", "run", "more", "cancel", "edit", "follow", "status"]);

/** Whoever writes waits while the window does not read. */
async function send(message) {
  if (!process.stdout.write(JSON.stringify(message, shown) + "\n")) await once(process.stdout, "drain");
}

async function answer(backend, { id, call, with: given = {} }) {
  try {
    if (!CALLS.has(call)) refuse(`There is no call ${call}.`);
    await send({ id, result: await backend[call](given) });
  } catch (error) {
    await send({ id, error: failure(error) });
  }
}

const backend = new Backend(send);
for await (const line of createInterface({ input: process.stdin })) {
  // Calls go side by side: the window can stop a statement while another call waits.
  void answer(backend, JSON.parse(line, revive));
}
// The window was closed.
backend.close();
