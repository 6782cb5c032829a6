// What changes in a database, as those are told who listen: the request `subscribe`.

import { closedByUsing } from "./dispose.js";
import { ConnectionLostError, LiteBaseError, notBegun } from "./errors.js";
import type { Link } from "./link.js";
import type { Data, Fields } from "./msgpack.js";
import type { Lane } from "./statements.js";

export interface ChangesOptions {
  /** Channels of PostgreSQL and Redis, whose tables do not tell: each change is a message that is sent to one of them. */
  channels?: string | readonly string[] | undefined;
  /** Patterns of names of channels (Redis). */
  patterns?: string | readonly string[] | undefined;
  /** A name of the daemon's configuration, instead of the connection's. */
  database?: string | undefined;
  /** Where other changes have come to (`position`), to go on there. */
  from?: string | undefined;
  /** For how many milliseconds changes are gathered; each commit is told by itself without, as long as the loop keeps up. */
  delay?: number | undefined;
  /** Ends it: the loop throws CancelledError ("AbortError"). */
  signal?: AbortSignal | undefined;
}

/** What was sent to a channel of the server. Texts are bytes where they are no UTF-8. */
export interface ChannelMessage {
  /** Where it was sent to. */
  channel: string | Uint8Array;
  payload: string | Uint8Array;
  /** By what it was heard, where that is one of `patterns`. */
  pattern?: string | Uint8Array;
  /** The sender's process on the server, where it tells that (PostgreSQL). */
  pid?: number;
}

/** Commits that are durable: one, or some together. Who reads the database after it was told sees them. Or a message. */
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
  /** Of changes of channels; not there where some were missed, which `resync` says. */
  message?: ChannelMessage;
}

/** With more names than the daemon itself tells, a change says only that something has changed. */
const RELATIONS_MAX = 1000;
/** As the daemon does: so many messages, or characters and bytes, are kept for a program that is busy. */
const MESSAGES_MAX = 10_000;
const MESSAGES_SIZE_MAX = 4 << 20;

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
  const { channel, payload, pattern, pid } = reply;
  if (isText(channel)) {
    change.message = { channel, payload: isText(payload) ? payload : "" };
    if (isText(pattern)) change.message.pattern = pattern;
    if (typeof pid === "number") change.message.pid = pid;
  }
  return change;
}

function isText(value: unknown): value is string | Uint8Array {
  return typeof value === "string" || value instanceof Uint8Array;
}

function sizeOf({ message }: Change): number {
  return message === undefined ? 0 : message.channel.length + message.payload.length + (message.pattern?.length ?? 0);
}

/** @internal A change and one that came behind it, as one; for what are no messages. */
export function together(first: Change, later: Change): Change {
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
 * While the program is busy nothing is kept for it: what has happened is told together. Of messages up to 10,000 are kept. Leaving
 * the loop, `close`, and closing the database end it.
 */
export class Changes implements AsyncIterableIterator<Change> {
  /**
   * What is told: "all_writers", every commit, also of other programs; "daemon_writers", those that the daemon makes; "channels",
   * every message that is sent to them.
   */
  readonly covers: string;
  readonly #link: Link;
  readonly #id: number;
  #position: string;
  // What came and was not asked for: from `#told` on, and so many characters and bytes of messages.
  #pending: Change[] = [];
  #told = 0;
  #size = 0;
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
    if (change.resync !== undefined) this.#pending.push(change);
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
      const change = this.#take();
      if (change !== undefined) return { value: change, done: false };
      await this.#news();
    }
  }

  /**
   * Waits for the next change, for so many milliseconds at most; `undefined` where none has come. A change that comes later is not
   * lost, as it would be where `next` is given up in a `Promise.race`. Rejects as a loop does, and where it was closed.
   */
  async wait(milliseconds: number): Promise<Change | undefined> {
    const end = performance.now() + milliseconds;
    for (let left = milliseconds; ; left = end - performance.now()) {
      if (this.#isClosed) throw new ConnectionLostError("connection_lost", "The changes were closed by the program.");
      const change = this.#take();
      if (change !== undefined) return change;
      if (left <= 0 && left !== milliseconds) return undefined;
      await this.#news(Math.max(0, left));
    }
  }

  /** What is here and was not told; an error, where nothing comes any more. */
  #take(): Change | undefined {
    const change = this.#pending[this.#told];
    if (change === undefined) {
      const failure = this.#failure;
      if (failure === undefined) return undefined;
      this.#isClosed = true;
      // Where the program asked, instead of where the reply was read.
      Error.captureStackTrace?.(failure);
      throw failure;
    }
    this.#told += 1;
    this.#size -= sizeOf(change);
    this.#position = change.position;
    if (this.#told === this.#pending.length) this.#forget();
    return change;
  }

  #add(change: Change): void {
    const last = this.#pending.at(-1);
    if (last !== undefined && last.message === undefined && change.message === undefined) {
      this.#pending[this.#pending.length - 1] = together(last, change);
      return;
    }
    this.#size += sizeOf(change);
    this.#pending.push(change);
    if (this.#pending.length - this.#told > MESSAGES_MAX || this.#size > MESSAGES_SIZE_MAX) {
      this.#forget();
      this.#pending.push({ position: change.position, relations: [], schema: false, resync: "too_many" });
    }
  }

  #forget(): void {
    this.#pending = [];
    this.#told = 0;
    this.#size = 0;
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

  /**
   * Waits for the next reply, or so long. Only so long is anything read for these changes, and the process kept from ending.
   */
  async #news(milliseconds?: number): Promise<void> {
    const over = this.#link.wait();
    await new Promise<void>((resolve) => {
      if (milliseconds === undefined) {
        this.#wake.push(resolve);
        return;
      }
      const wake = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#wake = this.#wake.filter((other) => other !== wake);
        resolve();
      }, milliseconds);
      this.#wake.push(wake);
    });
    over();
  }

  #tell(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }

  /** @internal A reply has come, because somebody waits for it or for another one of this connection. */
  _reply(data: Data): void {
    if (!this.#isClosed) this.#add(changeOf(data));
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
    this.#forget();
    if (!this.#hasEnded) this.#link.cancel(this.#id);
    this.#tell();
  }
}

export interface Changes {
  [Symbol.asyncDispose](): Promise<void>;
}

closedByUsing(Changes.prototype);

function names(said: string | readonly string[] | undefined): readonly string[] | undefined {
  const list = typeof said === "string" ? [said] : said;
  return list === undefined || list.length === 0 ? undefined : list;
}

/** @internal Subscribes in a lane, whose place is given back in any case. */
export function listen(lane: Lane, relations: string | readonly string[], options: ChangesOptions): Promise<Changes> {
  const { database, channels, patterns, from, delay, signal } = options;
  const { link } = lane;
  const fields: Fields = {
    ...lane.place,
    ...(database === undefined ? {} : { database }),
    relations: names(relations),
    channels: names(channels),
    patterns: names(patterns),
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
