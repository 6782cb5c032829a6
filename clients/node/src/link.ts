// One connection to the daemon: frames, ids, replies. Requests of all tasks go side by side over it.

import type { Socket } from "node:net";

import { ConnectionLostError, errorOf, LiteBaseError, OutcomeUnknownError } from "./errors.js";
import { type Data, encodeFrame, type Fields, Malformed, Reader } from "./msgpack.js";

/** More than any daemon sends: whoever announces it is none. */
const FRAME_BYTES_MAX = 2 ** 30;
/** How long a stopped statement's reply is waited for before the connection is given up. */
const CANCEL_PATIENCE_MS = 5000;
/** Requests whose fate is known when the connection is lost: they change nothing. */
const WITHOUT_EFFECT = new Set([
  "hello", "health_check", "list_databases", "db_connect", "describe", "catalog", "complete", "activity", "stats", "cancel",
  "fetch", "subscribe",
]);

/** A request that was sent, and whose final reply has not come. */
export interface Pending {
  /** Takes a reply. Returns whether it was the last one. */
  reply(data: Data): boolean;
  /** It has ended with an error. */
  fail(error: LiteBaseError): void;
  /** Nobody is to wait for it any more. */
  abandon?(error: LiteBaseError): void;
}

interface Sent {
  readonly type: string;
  readonly pending: Pending;
  /** Why it was asked to stop, if it was. */
  reason?: unknown;
  /** Ends the time for that. */
  endPatience?: () => void;
}

export class Link {
  /** Why the connection is of no use any more. */
  failure: LiteBaseError | undefined;
  /** The longest message that the daemon takes. */
  frameBytesMax = 16 << 20;

  readonly #socket: Socket;
  readonly #reader: Reader;
  readonly #onNotice: (data: Data) => void;
  readonly #sent = new Map<number, Sent>();
  readonly #watched = new Map<AbortSignal, { readonly ids: Set<number>; readonly stop: () => void }>();
  #lastId = 0;
  // What was received and is no whole frame yet.
  #pieces: Buffer[] = [];
  #received = 0;
  #wanted = 4;
  // How many wait for something that is to come.
  #waiting = 0;
  #isPaused = false;
  #isHeld = true;
  #isSettling = false;
  #whenIdle: (() => void)[] = [];

  constructor(socket: Socket, bigints: boolean, onNotice: (data: Data) => void) {
    this.#socket = socket;
    this.#reader = new Reader(bigints);
    this.#onNotice = onNotice;
    let cause: Error | undefined;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", (error: Error) => {
      cause = error;
    });
    socket.on("close", () => this.#lost(cause));
    this.#settle();
  }

  // Sending

  /** Sends a request. Throws: ConnectionLostError, when there is no connection any more; what cannot be sent. */
  send(type: string, data: Fields, pending: Pending): number {
    const id = this.#write(type, data);
    this.#sent.set(id, { type, pending });
    return id;
  }

  /** Sends a request whose reply nobody waits for. */
  tell(type: string, data: Fields): void {
    if (this.failure === undefined) this.#write(type, data);
  }

  #write(type: string, data: Fields): number {
    if (this.failure !== undefined) throw this.failure;
    this.#lastId += 1;
    const frame = encodeFrame({ id: this.#lastId, type, data });
    if (frame.length - 4 > this.frameBytesMax) {
      throw new LiteBaseError(
        "frame_too_large",
        `The request has ${frame.length - 4} bytes; the daemon takes ${this.frameBytesMax} (frame_bytes_max).`,
        { hint: "Send less at a time, or raise the limit in litebase.toml." },
      );
    }
    this.#socket.write(frame);
    return this.#lastId;
  }

  /** Sends a request that has one reply, and waits for it. */
  ask(type: string, data: Fields): Promise<Data> {
    return new Promise((resolve, reject) => {
      const end = this.wait();
      try {
        this.send(type, data, {
          reply(reply) {
            end();
            resolve(reply);
            return true;
          },
          fail(error) {
            end();
            reject(error);
          },
        });
      } catch (error) {
        end();
        reject(error);
      }
    });
  }

  // Stopping

  /** Stops a request in the daemon, whose reply then says how it ended. */
  cancel(id: number, reason?: unknown): void {
    const sent = this.#sent.get(id);
    if (sent === undefined || sent.endPatience !== undefined) return;
    sent.reason = reason;
    const over = this.wait();
    const patience = setTimeout(() => {
      this.destroy(new ConnectionLostError("connection_lost", "The daemon did not stop a statement in time.", { cause: reason }));
    }, CANCEL_PATIENCE_MS);
    sent.endPatience = () => {
      clearTimeout(patience);
      over();
    };
    // It needs an id that no request has; its reply is of no interest.
    this.tell("cancel", { request: id });
  }

  /** Cancels a request when one of the signals comes, until the function that is returned is called. */
  stopBy(signals: readonly AbortSignal[], id: number): () => void {
    const ends = signals.map((signal) => this.#watch(signal, id));
    return () => {
      for (const end of ends) end();
    };
  }

  /** One listener for all requests of a signal: Node warns of many. */
  #watch(signal: AbortSignal, id: number): () => void {
    let watch = this.#watched.get(signal);
    if (watch === undefined) {
      const ids = new Set<number>();
      const stop = (): void => {
        for (const each of ids) this.cancel(each, signal.reason);
      };
      watch = { ids, stop };
      this.#watched.set(signal, watch);
      signal.addEventListener("abort", stop, { once: true });
    }
    const { ids, stop } = watch;
    ids.add(id);
    return () => {
      ids.delete(id);
      if (ids.size > 0) return;
      signal.removeEventListener("abort", stop);
      if (this.#watched.get(signal)?.ids === ids) this.#watched.delete(signal);
    };
  }

  // Receiving

  /**
   * Somebody waits for what is to come, until the function that is returned is called. Where nobody does, an open connection does
   * not keep the process from ending, and what the daemon sends to streams that nobody reads from is left in the socket.
   */
  wait(): () => void {
    this.#waiting += 1;
    this.#settle();
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#waiting -= 1;
      if (this.#waiting > 0 || this.#isSettling) return;
      // Later, since who asks again at once, as a loop does, changes nothing.
      this.#isSettling = true;
      setImmediate(() => {
        this.#isSettling = false;
        this.#settle();
      });
    };
  }

  #settle(): void {
    const isHeld = this.#waiting > 0;
    if (isHeld !== this.#isHeld) {
      this.#isHeld = isHeld;
      if (isHeld) this.#socket.ref();
      else this.#socket.unref();
    }
    // An idle connection is read from, so that its end is noticed.
    const isPaused = !isHeld && this.#sent.size > 0;
    if (isPaused !== this.#isPaused) {
      this.#isPaused = isPaused;
      if (isPaused) this.#socket.pause();
      else this.#socket.resume();
    }
  }

  #receive(chunk: Buffer): void {
    this.#pieces.push(chunk);
    this.#received += chunk.length;
    try {
      while (this.#received >= this.#wanted && this.failure === undefined) this.#next();
    } catch (error) {
      const what = error instanceof Malformed ? error.message : String(error);
      this.destroy(new ConnectionLostError("connection_lost", `What was received is not the daemon's: ${what}.`, { cause: error }));
    }
  }

  /** Takes the next frame from what was received, or learns how long it is. */
  #next(): void {
    const input = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces, this.#received);
    let at = 0;
    while (input.length - at >= 4) {
      const count = input.readUInt32BE(at);
      if (count > FRAME_BYTES_MAX) throw new Malformed("a frame is longer than any");
      this.#wanted = 4 + count;
      if (input.length - at < this.#wanted) break;
      const body = input.subarray(at + 4, at + this.#wanted);
      at += this.#wanted;
      this.#wanted = 4;
      const message = this.#reader.read(body);
      if (typeof message !== "object" || message === null) throw new Malformed("a message is no map");
      this.#take(message as Data);
      if (this.failure !== undefined) return;
    }
    const rest = input.subarray(at);
    this.#pieces = rest.length > 0 ? [rest] : [];
    this.#received = rest.length;
  }

  #take(message: Data): void {
    const { id, type } = message;
    const data = typeof message["data"] === "object" && message["data"] !== null ? (message["data"] as Data) : {};
    if (typeof id === "number") {
      // What nobody waits for any more has no entry: the reply to a `cancel`, or to what was given up.
      const sent = this.#sent.get(id);
      if (sent === undefined) return;
      if (type === "error") {
        this.#end(id, sent);
        sent.pending.fail(errorOf(data, sent.reason));
      } else if (sent.pending.reply(data)) {
        this.#end(id, sent);
      }
    } else if (id === null && type === "error") {
      // Of a request whose id could not be read, or of the connection.
      this.destroy(errorOf(data));
    } else if (id === null) {
      // An exception that the program's function throws is the program's.
      queueMicrotask(() => this.#onNotice(data));
    }
  }

  #end(id: number, sent: Sent): void {
    this.#sent.delete(id);
    sent.endPatience?.();
    if (this.#sent.size === 0) {
      for (const tell of this.#whenIdle) tell();
      if (this.#isPaused) this.#settle();
    }
  }

  // Ending

  /** Waits until the statements that run have ended, and closes. Streams end at once. */
  async close(failure: LiteBaseError): Promise<void> {
    for (const { pending } of [...this.#sent.values()]) pending.abandon?.(failure);
    if (this.#sent.size > 0 && this.failure === undefined) {
      const end = this.wait();
      await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
      end();
    }
    this.destroy(failure);
  }

  /** Closes at once. What runs is stopped and rolled back by the daemon. */
  destroy(failure: LiteBaseError): void {
    this.#fail(failure);
    this.#socket.destroy();
  }

  #lost(cause: Error | undefined): void {
    const why = cause === undefined ? "the daemon closed it" : cause.message;
    this.#fail(new ConnectionLostError("connection_lost", `The connection is lost: ${why}.`, cause === undefined ? {} : { cause }));
  }

  #fail(failure: LiteBaseError): void {
    if (this.failure !== undefined) return;
    this.failure = failure;
    this.#pieces = [];
    const sent = [...this.#sent.values()];
    this.#sent.clear();
    for (const request of sent) {
      request.endPatience?.();
      request.pending.fail(WITHOUT_EFFECT.has(request.type) ? failure : unknownOutcome(failure));
    }
    for (const tell of this.#whenIdle) tell();
  }
}

function unknownOutcome(cause: LiteBaseError): OutcomeUnknownError {
  return new OutcomeUnknownError(
    "outcome_unknown",
    "The connection was lost before the reply came: it is not known whether the request took effect.",
    { hint: "Look before you do it again.", sqlState: "08007", cause },
  );
}
