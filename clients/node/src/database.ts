// A program's connection to the daemon.

import { basename } from "node:path";

import { openSocket } from "./address.js";
import { type Changes, type ChangesOptions, listen } from "./changes.js";
import { camelCased, ConnectionLostError, LiteBaseError, notBegun } from "./errors.js";
import { closedByUsing } from "./dispose.js";
import { Link } from "./link.js";
import type { Data, Fields } from "./msgpack.js";
import type { Form, Parsers } from "./rows.js";
import { Session, type Transaction, type TransactionOptions } from "./session.js";
import { type Lane, type QueryOptions, Statements } from "./statements.js";

export interface ConnectOptions {
  /** A name of the daemon's configuration; your default database without. */
  database?: string | undefined;
  /** The path of the daemon's socket. */
  socket?: string | undefined;
  /** Users who may listen there, beside root, `litebase` and your own. */
  trustUsers?: readonly (string | number)[] | undefined;
  /** Milliseconds for connecting (10,000). */
  connectTimeout?: number | undefined;
  /** Milliseconds that the daemon may work on a statement. */
  timeout?: number | undefined;
  /** Integers of rows: "auto", a bigint beyond ±(2^53 − 1) and else a number; or always a "bigint". */
  integers?: "auto" | "bigint" | undefined;
  /** Rows as objects by the columns' names, or as arrays. */
  rowMode?: "object" | "array" | undefined;
  /** What makes a value of a text, by the type of the column: `{ timestamptz: toDate, decimal: Number }`. */
  parse?: Parsers | undefined;
  /** Is called with what the daemon or the database says beside results (docs/protocol.md, notices). */
  onNotice?: ((notice: Notice) => void) | undefined;
  /** Stops the attempt to connect. */
  signal?: AbortSignal | undefined;
}

export interface Notice {
  code: string;
  message?: string;
  [field: string]: unknown;
}

/** What the daemon says of itself. */
export interface DaemonInfo {
  version: string;
  protocol: number;
  limits: { [name: string]: number };
  peer: { uid?: number; gid?: number; pid?: number; user?: string };
  administrator: boolean;
  [field: string]: unknown;
}

/** A database that the caller may open. */
export interface DatabaseInfo {
  name: string;
  engine: string;
  access: "read_write" | "read_only" | "none";
  default: boolean;
  disabled?: boolean;
  [field: string]: unknown;
}

export interface Health {
  status: string;
  version: string;
  protocol: number;
  pid: number;
  uptimeMs: number;
  activation: string;
  /** Of a database that was asked. */
  database?: { name: string; engine: string; serverVersion?: string; elapsedUs: number };
}

export interface SessionOptions {
  /** A name of the daemon's configuration, instead of the connection's. */
  database?: string | undefined;
  /** A database that is not configured: "sqlite:/srv/x.db", "sqlite::memory:", "postgresql://…". */
  url?: string | undefined;
  /** Makes the daemon refuse what would write. */
  readOnly?: boolean | undefined;
  timeout?: number | undefined;
  signal?: AbortSignal | undefined;
}

interface Connection {
  readonly lane: Lane;
  readonly placesMax: number;
  /** How many more sessions and streams it may have. */
  places: number;
}

const CONNECT_TIMEOUT_MS = 10_000;

function lost(message: string, cause?: unknown): ConnectionLostError {
  return new ConnectionLostError("connection_lost", message, cause === undefined ? {} : { cause });
}

/** Waits for something that others wait for, too, no longer than until a signal comes. */
function until<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  if (signal.aborted) return Promise.reject(notBegun(signal));
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(notBegun(signal));
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/**
 * A connection to the daemon with one of its databases. Tasks share it: requests go side by side over one socket, and the daemon
 * runs them in parallel. Each statement is committed by itself; `transaction` makes several one.
 *
 * When the connection is lost, the next request opens another one. What was sent before is not repeated.
 */
export class Database extends Statements {
  readonly #options: ConnectOptions;
  readonly #form: Form;
  // The first one is for what needs no place of its own.
  #connections: Connection[] = [];
  #opening: Promise<Connection> | undefined;
  // How many look for a place.
  #seeking = 0;
  #isClosed = false;
  #info: DaemonInfo | undefined;
  #engine = "";

  /** @internal */
  constructor(options: ConnectOptions) {
    super();
    this.#options = options;
    this.#form = { rowMode: options.rowMode ?? "object", parse: options.parse ?? {} };
  }

  /** "sqlite", "postgresql", "mysql" or "redis"; empty, when there is no default database. */
  get engine(): string {
    return this.#engine;
  }

  /** What the daemon says of itself. */
  get daemon(): DaemonInfo {
    return this.#info as DaemonInfo;
  }

  /** Whether `close` was called. */
  get closed(): boolean {
    return this.#isClosed;
  }

  // Connecting

  /** @internal */
  override _lane(signal: AbortSignal | undefined): Lane | Promise<Lane> {
    if (this.#isClosed) throw lost("The connection was closed by the program.");
    const first = this.#connections[0];
    if (first !== undefined && first.lane.link.failure === undefined) return first.lane;
    // The new one is not the first where others are there still.
    return this.#another(signal).then(({ lane }) => this.#connections[0]?.lane ?? lane);
  }

  /** Opens another connection, one at a time. */
  #another(signal: AbortSignal | undefined): Promise<Connection> {
    if (this.#opening === undefined) {
      this.#opening = this.#open(undefined).finally(() => {
        this.#opening = undefined;
      });
      // It is no error of the program when nobody waits for it any more.
      this.#opening.catch(() => undefined);
    }
    return until(this.#opening, signal);
  }

  /** @internal Streams and sessions need a place on a connection, which has a few: where all are taken, another one is opened. */
  override async _streamLane(signal: AbortSignal | undefined): Promise<Lane> {
    this.#seeking += 1;
    try {
      for (;;) {
        await this._lane(signal);
        const found = this.#connections.find(({ lane, places }) => lane.link.failure === undefined && places > 0);
        if (found !== undefined) return { ...found.lane, release: this.#take(found) };
        await this.#another(signal);
      }
    } finally {
      this.#seeking -= 1;
      this.#closeUnneeded();
    }
  }

  #take(connection: Connection): () => void {
    connection.places -= 1;
    let isBack = false;
    return () => {
      if (isBack) return;
      isBack = true;
      connection.places += 1;
      this.#closeUnneeded();
    };
  }

  /** Closes further connections of which no place is taken, also those that were opened for who then found one elsewhere. */
  #closeUnneeded(): void {
    if (this.#seeking > 0) return;
    const [first, ...further] = this.#connections;
    const unneeded = further.filter(({ places, placesMax }) => places === placesMax);
    if (first === undefined || unneeded.length === 0) return;
    this.#connections = this.#connections.filter((connection) => !unneeded.includes(connection));
    for (const { lane } of unneeded) void lane.link.close(lost("The connection was not needed any more."));
  }

  /** @internal */
  override _form(options: QueryOptions): Form {
    return options.rowMode === undefined ? this.#form : { ...this.#form, rowMode: options.rowMode };
  }

  /** @internal The first connection. */
  async _connect(): Promise<this> {
    await this.#open(this.#options.signal);
    return this;
  }

  async #open(signal: AbortSignal | undefined): Promise<Connection> {
    const { connectTimeout = CONNECT_TIMEOUT_MS } = this.#options;
    if (signal?.aborted) throw notBegun(signal);
    const attempt = new AbortController();
    const stop = (): void => attempt.abort(signal === undefined ? undefined : notBegun(signal));
    signal?.addEventListener("abort", stop, { once: true });
    const timer = setTimeout(() => attempt.abort(lost(`The daemon did not answer within ${connectTimeout} ms.`)), connectTimeout);
    try {
      const socket = await openSocket(this.#options, attempt.signal);
      const link = new Link(socket, this.#options.integers === "bigint", (data) => this.#notice(data));
      attempt.signal.addEventListener("abort", () => link.destroy(attempt.signal.reason as LiteBaseError), { once: true });
      try {
        return await this.#greet(link);
      } catch (error) {
        link.destroy(lost("The daemon refused the connection.", error));
        throw error;
      }
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    }
  }

  async #greet(link: Link): Promise<Connection> {
    const { database, timeout } = this.#options;
    const client = basename(process.argv[1] ?? process.title);
    const [hello, { databases }] = await Promise.all([
      link.ask("hello", { client, protocol: [1], notices: true }),
      link.ask("list_databases", {}),
    ]);
    const info = camelCased(hello) as DaemonInfo;
    link.frameBytesMax = info.limits?.["frameBytesMax"] ?? link.frameBytesMax;
    const found = (Array.isArray(databases) ? (databases as Data[]) : []).find((entry) =>
      database === undefined ? entry["default"] === true : entry["name"] === database,
    );
    // The daemon says it best why there is none.
    if (found === undefined && database !== undefined) await link.ask("health_check", { database });
    this.#info = info;
    this.#engine = String(found?.["engine"] ?? "");
    const lane: Lane = { link, engine: this.#engine, form: this.#form, timeout, place: database === undefined ? {} : { database } };
    if (this.#isClosed) throw lost("The connection was closed by the program.");
    const { pagedQueriesPerConnectionMax = 16, sessionsPerConnectionMax = 16 } = info.limits ?? {};
    const places = Math.max(1, Math.min(pagedQueriesPerConnectionMax, sessionsPerConnectionMax));
    const connection = { lane, places, placesMax: places };
    this.#connections = [...this.#connections.filter((other) => other.lane.link.failure === undefined), connection];
    return connection;
  }

  #notice(data: Data): void {
    this.#options.onNotice?.(camelCased(data) as Notice);
  }

  // Sessions

  /** Opens a session: a connection to the database of its own, for temporary tables, settings, and transactions of any shape. */
  async session(options: SessionOptions = {}): Promise<Session> {
    const { database = options.url === undefined ? this.#options.database : undefined, url, readOnly, signal } = options;
    const lane = await this._streamLane(signal);
    const release = (): void => lane.release?.();
    try {
      const opened = await this._ask(lane, "db_connect", { database, url, read_only: readOnly }, signal);
      return new Session(lane.link, opened, this.#form, options.timeout ?? this.#options.timeout, release);
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Commits what the function does, when it ends; rolls it back, when it throws. Nothing is ever done twice. */
  async transaction<T>(task: (transaction: Transaction) => Promise<T> | T, options: TransactionOptions = {}): Promise<T> {
    const session = await this.session({ signal: options.signal });
    try {
      return await session.transaction(task, options);
    } finally {
      void session.close();
    }
  }

  // Changes

  /**
   * Tells what changes: in the tables that are named, or all; or, with `channels`, what is sent to them. Who reads after this has
   * been resolved is told of every later commit.
   * Rejects with what the daemon says of a database that does not tell.
   */
  async changes(relations: string | readonly string[] = [], options: ChangesOptions = {}): Promise<Changes> {
    const lane = await this._streamLane(options.signal);
    try {
      return await listen(lane, relations, options);
    } catch (error) {
      if (error instanceof LiteBaseError) Error.captureStackTrace?.(error);
      throw error;
    }
  }

  // The daemon

  /** The databases that you may open. */
  async databases(options: { signal?: AbortSignal } = {}): Promise<DatabaseInfo[]> {
    return camelCased((await this.request("list_databases", {}, options))["databases"]) as DatabaseInfo[];
  }

  /** Whether the daemon answers; with the name of a database, whether that does. */
  async health(options: { database?: string; timeout?: number; signal?: AbortSignal } = {}): Promise<Health> {
    const { database, timeout, signal } = options;
    const data = { database, timeout_ms: timeout };
    return camelCased(await this.request("health_check", data, signal === undefined ? {} : { signal })) as Health;
  }

  /** Any request of docs/protocol.md that has one reply, such as "stats" or "activity"; gives its data. */
  async request(type: string, data: Fields = {}, options: { signal?: AbortSignal } = {}): Promise<Data> {
    if (type === "query" || type === "fetch") throw new TypeError("It may have several replies: use query or stream.");
    return this._ask(await this._lane(options.signal), type, data, options.signal);
  }

  // Ending

  /** Waits for the statements that run, ends streams and sessions, and closes. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#opening?.catch(() => undefined);
    const why = lost("The connection was closed by the program.");
    await Promise.all(this.#connections.map(({ lane }) => lane.link.close(why)));
  }

  /** Closes at once: what runs is stopped and rolled back; its promises are rejected. */
  destroy(): void {
    this.#isClosed = true;
    for (const { lane } of this.#connections) lane.link.destroy(lost("The connection was closed by the program."));
  }
}

export interface Database {
  [Symbol.asyncDispose](): Promise<void>;
}

closedByUsing(Database.prototype);
closedByUsing(Session.prototype);

/** Connects to the daemon, with the database of that name or your default one. */
export async function connect(database?: string | ConnectOptions, options: ConnectOptions = {}): Promise<Database> {
  const named = typeof database === "string" ? { ...options, database } : { ...options, ...database };
  try {
    return await new Database(named)._connect();
  } catch (error) {
    if (error instanceof LiteBaseError) Error.captureStackTrace?.(error);
    throw error;
  }
}
