// Sessions and transactions.

import { ConnectionLostError, LiteBaseError, notBegun, TransactionRolledBackError } from "./errors.js";
import type { Link } from "./link.js";
import type { Data } from "./msgpack.js";
import type { Form, RowStream } from "./rows.js";
import { type Lane, type QueryOptions, Statements } from "./statements.js";

declare global {
  // As @types/node and TypeScript's esnext.disposable declare it; Node has it from 18.18.
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol;
  }
}

export interface TransactionOptions {
  /** What begins it, "BEGIN": "BEGIN IMMEDIATE" of SQLite waits for other writers at once; "BEGIN ISOLATION LEVEL SERIALIZABLE". */
  begin?: string | undefined;
  /** Stops the statements of the transaction, which is then rolled back. */
  signal?: AbortSignal | undefined;
}

/** @internal What is the same for a session and the transactions in it. */
class Core {
  /** "none", "active" or "failed", by the last reply. */
  transaction = "none";
  isClosed = false;
  readonly inFlight = new Set<number>();
  readonly streams = new Set<RowStream<unknown>>();
  readonly lane: Lane;

  constructor(readonly link: Link, readonly name: string, engine: string, readonly form: Form, timeout: number | undefined) {
    this.lane = {
      link, engine, form, timeout, place: { session: name },
      session: {
        before: () => {
          // The daemon begins nothing else in a session before a statement has given all its rows.
          for (const stream of this.streams) stream.readAll();
        },
        sent: (id) => this.inFlight.add(id),
        ended: (id) => {
          this.inFlight.delete(id);
          for (const stream of this.streams) if (stream.hasEnded) this.streams.delete(stream);
        },
        heard: ({ transaction }) => {
          if (typeof transaction === "string") this.transaction = transaction;
        },
        began: (stream) => this.streams.add(stream),
        // PostgreSQL ends the transaction with a statement that is stopped.
        mustNotStop: () => engine === "postgresql" && this.transaction === "active",
      },
    };
  }

  check(): void {
    if (this.link.failure !== undefined) throw this.link.failure;
    if (this.isClosed) throw new ConnectionLostError("connection_lost", "The session was closed.");
  }

  leaveStreams(why: string): void {
    for (const stream of this.streams) stream.readAll(new ConnectionLostError("connection_lost", why));
  }
}

/** The statements of a session, or of a transaction in it. */
abstract class Scope extends Statements {
  /** @internal */
  protected readonly core: Core;
  #hasInner = false;

  /** @internal */
  constructor(core: Core) {
    super();
    this.core = core;
  }

  /** @internal */
  protected check(): void {
    this.core.check();
    if (this.#hasInner) {
      throw new TypeError("A transaction is open here: its statements go to what its function is given, others elsewhere.");
    }
  }

  /** @internal */
  override _lane(): Lane {
    this.check();
    return this.core.lane;
  }

  /** @internal */
  override _form(options: QueryOptions): Form {
    return { ...this.core.form, ...(options.rowMode === undefined ? {} : { rowMode: options.rowMode }) };
  }

  /** @internal A block between statements that begin it, and end it well or badly. */
  protected async block<T>(
    sql: { begin: string; commit: string; undo: string[] },
    task: (transaction: Transaction) => Promise<T> | T,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    this.check();
    this.#hasInner = true;
    const { core } = this;
    const run = async (text: string, by?: AbortSignal): Promise<void> => {
      await new Transaction(core, by).query(text);
    };
    const undo = async (): Promise<void> => {
      core.leaveStreams("The transaction of this stream was rolled back.");
      for (const id of core.inFlight) core.link.cancel(id);
      for (const text of sql.undo) if (core.transaction !== "none" && core.link.failure === undefined) await run(text);
    };
    try {
      await run(sql.begin, signal);
      const inner = new Transaction(core, signal);
      try {
        let value: T;
        try {
          value = await task(inner);
        } finally {
          inner.isOver = true;
        }
        core.leaveStreams("The transaction of this stream is over.");
        if (signal?.aborted) throw notBegun(signal);
        await run(sql.commit);
        return value;
      } catch (error) {
        // The error that matters is the first one; a session in which this fails is rolled back when it ends.
        await undo().catch(() => undefined);
        throw error instanceof LiteBaseError && error.sqlState === "25P01" ? rolledBack(error) : error;
      }
    } finally {
      this.#hasInner = false;
    }
  }
}

function rolledBack(cause: LiteBaseError): TransactionRolledBackError {
  return new TransactionRolledBackError(
    "transaction_rolled_back",
    "There is no transaction any more: the database has rolled it back, or one of the statements has ended it.",
    { cause, sqlState: "25P01" },
  );
}

let savepoints = 0;

/** A transaction, of which its function is given this. */
export class Transaction extends Scope {
  /** @internal */
  isOver = false;
  readonly #signal: AbortSignal | undefined;

  /** @internal */
  constructor(core: Core, signal: AbortSignal | undefined) {
    super(core);
    this.#signal = signal;
  }

  /** @internal */
  override _lane(): Lane {
    const lane = super._lane();
    return this.#signal === undefined ? lane : { ...lane, signal: this.#signal };
  }

  /** @internal */
  protected override check(): void {
    if (this.isOver) throw new TypeError("The transaction is over: its function has ended.");
    super.check();
  }

  /** A savepoint: what the function does is undone when it fails, and the transaction goes on. */
  async transaction<T>(task: (transaction: Transaction) => Promise<T> | T): Promise<T> {
    savepoints += 1;
    const name = `litebase_${savepoints}`;
    const sql = {
      begin: `SAVEPOINT ${name}`,
      commit: `RELEASE SAVEPOINT ${name}`,
      undo: [`ROLLBACK TO SAVEPOINT ${name}`, `RELEASE SAVEPOINT ${name}`],
    };
    return this.block(sql, task, this.#signal);
  }
}

/**
 * A session of the daemon: one connection to the database, with its temporary tables, settings and transactions. Its statements run
 * one after the other, in the order in which they are sent.
 */
export class Session extends Scope {
  readonly engine: string;
  readonly serverVersion: string;
  /** Whether the daemon refuses what would write. */
  readonly readOnly: boolean;
  readonly #release: () => void;

  /** @internal */
  constructor(link: Link, opened: Data, form: Form, timeout: number | undefined, release: () => void) {
    const engine = String(opened["engine"]);
    super(new Core(link, String(opened["session"]), engine, form, timeout));
    this.#release = release;
    this.engine = engine;
    this.serverVersion = String(opened["server_version"]);
    this.readOnly = opened["read_only"] === true;
  }

  /** Its name in the protocol. */
  get name(): string {
    return this.core.name;
  }

  /** "none", "active" or "failed": what the last reply said of its transaction. */
  get transactionState(): string {
    return this.core.transaction;
  }

  get closed(): boolean {
    return this.core.isClosed || this.core.link.failure !== undefined;
  }

  /** Commits what the function does, when it ends; rolls it back, when it throws. Nothing is ever done twice. */
  async transaction<T>(task: (transaction: Transaction) => Promise<T> | T, options: TransactionOptions = {}): Promise<T> {
    return this.block({ begin: options.begin ?? "BEGIN", commit: "COMMIT", undo: ["ROLLBACK"] }, task, options.signal);
  }

  /** Ends the session; an open transaction is rolled back. */
  async close(): Promise<void> {
    if (this.closed) return;
    const { link, name } = this.core;
    this.core.leaveStreams("The session of this stream was closed.");
    this.core.isClosed = true;
    await link.ask("db_disconnect", { session: name }).catch(() => undefined);
    this.#release();
  }
}

export interface Session {
  [Symbol.asyncDispose](): Promise<void>;
}
