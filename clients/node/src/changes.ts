// What changes in a database, as those are told who listen: the request `subscribe`.

import { closedByUsing } from "./dispose.js";
import { LiteBaseError, notBegun } from "./errors.js";
import type { Link } from "./link.js";
import type { Data, Fields } from "./msgpack.js";
import type { Lane } from "./statements.js";

export interface ChangesOptions {
  /** A name of the daemon's configuration, instead of the connection's. */
  database?: string | undefined;
  /** Where other changes have come to (`position`), to go on there. */
  from?: string | undefined;
  /** For how many milliseconds changes are gathered; each commit is told by itself without, as long as the loop keeps up. */
  delay?: number | undefined;
  /** Ends it: the loop throws CancelledError ("AbortError"). */
  signal?: AbortSignal | undefined;
}

/** Commits that are durable: one, or some together. Who reads the database after it was told sees them. */
export interface Change {
  /** What was told up to here, for `from` of other changes. */
  position: string;
  /** The tables that were changed, each once. */
  relations: string[];
  /** Whether tables, columns, indexes, views or triggers were made, altered or dropped. */
  schema: boolean;
  /**
   * Why it is not known what has changed, such as "other_program" (docs/protocol.md, Subscriptions): whatever was read before has
   * to be read again. Not there where `relations` are all.
   */
  resync?: string;
}

/** With more names than the daemon itself tells, a change says only that something has changed. */
const RELATIONS_MAX = 1000;

/** @internal What a `subscribe_response` says. */
export function changeOf(reply: Data): Change {
  const { position, relations, schema, resync, reason } = reply;
  const change: Change = {
    position: String(position ?? ""),
    relations: Array.isArray(relations) ? relations.map(String) : [],
    schema: schema === true,
  };
  // A reason that is not told is still one.
  if (resync === true) change.resync = typeof reason === "string" && reason !== "" ? reason : "unknown";
  return change;
}

/** @internal A change and one that came behind it, as one. */
export function together(first: Change | undefined, later: Change): Change {
  if (first === undefined) return later;
  const relations = [...new Set([...first.relations, ...later.relations])];
  const isTooMany = relations.length > RELATIONS_MAX;
  const resync = first.resync ?? later.resync ?? (isTooMany ? "too_many" : undefined);
  return {
    position: later.position,
    relations: isTooMany ? [] : relations,
    schema: first.schema || later.schema,
    ...(resync === undefined ? {} : { resync }),
  };
}

/**
 * What changes in a database: `for await (const change of await db.changes())`. Made by `Database.changes`.
 *
 * While the program is busy nothing is kept for it: what has happened is told together. Leaving the loop, `close`, and closing the
 * database end it.
 */
export class Changes implements AsyncIterableIterator<Change> {
  /** What is told: "all_writers", every commit, also of other programs; "daemon_writers", those that the daemon makes. */
  readonly covers: string;
  readonly #link: Link;
  readonly #id: number;
  #position: string;
  // What came and was not asked for.
  #pending: Change | undefined;
  #failure: LiteBaseError | undefined;
  #isClosed = false;
  #hasEnded = false;
  #wake: (() => void)[] = [];

  /** @internal */
  constructor(link: Link, id: number, first: Data) {
    this.#link = link;
    this.#id = id;
    const change = changeOf(first);
    this.covers = String(first["covers"] ?? "");
    this.#position = change.position;
    if (change.resync !== undefined) this.#pending = change;
  }

  /** What was told so far, for `from` of other changes. */
  get position(): string {
    return this.#position;
  }

  /** Whether nothing more is told. */
  get closed(): boolean {
    return this.#isClosed || this.#hasEnded;
  }

  /** Waits for the next change. */
  async next(): Promise<IteratorResult<Change, undefined>> {
    for (;;) {
      if (this.#isClosed) return { value: undefined, done: true };
      const change = this.#pending;
      if (change !== undefined) {
        this.#pending = undefined;
        this.#position = change.position;
        return { value: change, done: false };
      }
      const failure = this.#failure;
      if (failure !== undefined) {
        this.#isClosed = true;
        // Where the program asked, instead of where the reply was read.
        Error.captureStackTrace?.(failure);
        throw failure;
      }
      await this.#news();
    }
  }

  /** Ends it, and a loop that waits for the next change. */
  async close(): Promise<void> {
    this._close();
    while (!this.#hasEnded) await this.#news();
  }

  /** Is called by the language when a loop is left; the same as `close`. */
  async return(): Promise<IteratorResult<Change, undefined>> {
    await this.close();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Waits for the next reply. Only so long is anything read for these changes, and the process kept from ending. */
  async #news(): Promise<void> {
    const over = this.#link.wait();
    await new Promise<void>((resolve) => this.#wake.push(resolve));
    over();
  }

  #tell(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }

  /** @internal A reply has come, because somebody waits for it or for another one of this connection. */
  _reply(data: Data): void {
    if (!this.#isClosed) this.#pending = together(this.#pending, changeOf(data));
    this.#tell();
  }

  /** @internal It has ended. */
  _fail(error: LiteBaseError): void {
    this.#failure = error;
    this.#hasEnded = true;
    this.#tell();
  }

  /** @internal Asks the daemon to end it, without waiting for that. */
  _close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#pending = undefined;
    if (!this.#hasEnded) this.#link.cancel(this.#id);
    this.#tell();
  }
}

export interface Changes {
  [Symbol.asyncDispose](): Promise<void>;
}

closedByUsing(Changes.prototype);

/** @internal Subscribes in a lane, whose place is given back in any case. */
export function listen(lane: Lane, relations: string | readonly string[], options: ChangesOptions): Promise<Changes> {
  const { database, from, delay, signal } = options;
  const { link } = lane;
  const named = typeof relations === "string" ? [relations] : relations;
  const fields: Fields = {
    ...lane.place,
    ...(database === undefined ? {} : { database }),
    relations: named.length > 0 ? named : undefined,
    from,
    delay_ms: delay === undefined ? undefined : Math.round(delay),
  };
  return new Promise((resolve, reject) => {
    let changes: Changes | undefined;
    let stop = (): void => undefined;
    const over = link.wait();
    const fail = (error: unknown): void => {
      stop();
      over();
      lane.release?.();
      if (error instanceof LiteBaseError && changes !== undefined) changes._fail(error);
      else reject(error);
    };
    try {
      if (signal?.aborted) throw notBegun(signal);
      const id = link.send("subscribe", fields, {
        reply(reply) {
          if (reply["more"] !== true) {
            fail(new LiteBaseError("internal", "The daemon ended a subscription without an error."));
            return true;
          }
          if (changes !== undefined) {
            changes._reply(reply);
          } else {
            changes = new Changes(link, id, reply);
            over();
            resolve(changes);
          }
          return false;
        },
        fail,
        abandon: () => (changes === undefined ? link.cancel(id) : changes._close()),
      });
      if (signal !== undefined) stop = link.stopBy([signal], id);
    } catch (error) {
      fail(error);
    }
  });
}
