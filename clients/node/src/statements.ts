// What can be asked of a database, whether on its own, in a session or in a transaction.

import {
  camelCasedName, catalogFields, type CatalogLevel, type CatalogOptions, type CatalogRows, type Completion, completionFields,
  completionOf, type CompletionOptions,
} from "./catalog.js";
import { camelCased, LiteBaseError, notBegun } from "./errors.js";
import type { Link, Pending } from "./link.js";
import type { Data, Fields } from "./msgpack.js";
import { Collector, type Column, columnsOf, type Form, type Result, RowStream, type StreamStart } from "./rows.js";
import { adaptedParams, type Param, type Params } from "./values.js";

export interface RequestOptions {
  /** Stops the statement in the daemon when it is aborted; the promise is then rejected with CancelledError ("AbortError"). */
  signal?: AbortSignal | undefined;
  /** Milliseconds that the daemon may work on it (TimeoutError), instead of the connection's. */
  timeout?: number | undefined;
}

export interface QueryOptions extends RequestOptions {
  /** At most so many rows; `truncated` tells whether there were more. */
  maxRows?: number | undefined;
  /** Rows as objects by the columns' names, or as arrays, instead of the connection's. */
  rowMode?: "object" | "array" | undefined;
}

export interface StreamOptions extends QueryOptions {
  /** How many rows the daemon gives before it waits until they are read (1000): fewer where rows are large. */
  pageRows?: number | undefined;
}

/** A statement of a batch; with `rows` it is executed for each of them. */
export interface BatchStatement {
  sql: string;
  params?: Params | undefined;
  rows?: readonly (readonly Param[])[] | undefined;
}

export interface BatchOptions extends RequestOptions {
  /** Whether it is all or nothing (true), or each statement by itself. */
  atomic?: boolean | undefined;
}

export interface BatchResult {
  rowsAffected: number;
  lastInsertId?: number | bigint;
  warningCount: number;
}

/** What a statement would give and take. */
export interface Description {
  columns: Column[];
  /** The name of each parameter; null for those by position. */
  parameters: (string | null)[];
  readOnly: boolean;
}

/** @internal Where statements go. */
export interface Lane {
  readonly link: Link;
  /** The fields of a request that say where it is to be done. */
  readonly place: Fields;
  readonly engine: string;
  readonly form: Form;
  readonly timeout: number | undefined;
  /** For every statement of it. */
  readonly signal?: AbortSignal | undefined;
  /** Gives back the place of a stream. */
  release?(): void;
  /** Is told of each request that is about to be sent, each that was, and each reply. */
  readonly session?: {
    before(): void;
    sent(id: number): void;
    ended(id: number): void;
    heard(said: { readonly transaction?: unknown }): void;
    began(stream: RowStream<unknown>): void;
    mustNotStop(): boolean;
  };
}

function positive(name: string, value: number | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!Number.isFinite(value) || value <= 0) throw new RangeError(`${name} is a positive number; without a limit, leave it away.`);
  return Math.max(1, Math.round(value));
}

/** The signals that are there. Throws: CancelledError, when one of them has come already. */
function signalsOf(...signals: (AbortSignal | undefined)[]): AbortSignal[] {
  const given = signals.filter((signal): signal is AbortSignal => signal !== undefined);
  const past = given.find((signal) => signal.aborted);
  if (past !== undefined) throw notBegun(past);
  return given;
}

const noop = (): void => undefined;

export abstract class Statements {
  /** @internal Where the next request goes. At once where that is known, so that requests are sent in the order of the calls. */
  abstract _lane(signal: AbortSignal | undefined): Lane | Promise<Lane>;

  /** Runs a statement and gives all its rows. */
  async query<Row = Record<string, any>>(sql: string, params?: Params, options: QueryOptions = {}): Promise<Result<Row>> {
    const results = await this.#collect(sql, params, options, {});
    return results[0] as Result<Row>;
  }

  /** All results of a procedure of MySQL, one after the other; of any other statement, its one. */
  async queryAll<Row = Record<string, any>>(sql: string, params?: Params, options: QueryOptions = {}): Promise<Result<Row>[]> {
    return (await this.#collect(sql, params, options, { result_sets: true })) as Result<Row>[];
  }

  /** The first row of a statement; `undefined` when there is none. */
  async first<Row = Record<string, any>>(sql: string, params?: Params, options: QueryOptions = {}): Promise<Row | undefined> {
    return (await this.query<Row>(sql, params, { ...options, maxRows: 1 })).rows[0];
  }

  /** Rows as they come, in bounded memory, however many there are: `for await (const row of db.stream(…))`. */
  stream<Row = Record<string, any>>(sql: string, params?: Params, options: StreamOptions = {}): RowStream<Row> {
    return this.#stream<Row>("query", this._form(options), options, (lane) => this.#query(lane, sql, params, options, {}));
  }

  /**
   * What is in the database, one level at a time, as rows that come like those of `stream`; `result.etag` behind the last one makes
   * it cheap to ask again.
   */
  catalog<Level extends CatalogLevel = "relations">(
    level = "relations" as Level, options: CatalogOptions = {},
  ): RowStream<CatalogRows[Level]> {
    const form: Form = { rowMode: "object", parse: {}, rename: camelCasedName, hasNumbers: true };
    return this.#stream(
      "catalog", form, options, (lane) => ({ ...catalogFields(level, options), ...lane.place, ...this.#limits(lane, options) }));
  }

  /** What may come next at a place of a statement, which need not be whole. */
  async complete(sql: string, options: CompletionOptions = {}): Promise<Completion> {
    const data = completionFields(sql, options);
    const given = this._lane(options.signal);
    const lane = given instanceof Promise ? await given : given;
    return completionOf(sql, await this._ask(lane, "complete", { ...data, ...lane.place }, options.signal));
  }

  #stream<Row>(type: string, form: Form, options: StreamOptions, fields: (lane: Lane) => Fields): RowStream<Row> {
    const { signal, pageRows = 1000 } = options;
    const page = positive("pageRows", pageRows) as number;
    return new RowStream<Row>(form, page, async (stream): Promise<StreamStart> => {
      const given = this._streamLane(signal);
      const lane = given instanceof Promise ? await given : given;
      try {
        return this.#beginStream(lane, stream as RowStream<unknown>, type, { ...fields(lane), page_rows: page }, signal);
      } catch (error) {
        lane.release?.();
        throw error;
      }
    });
  }

  #beginStream(
    lane: Lane, stream: RowStream<unknown>, type: string, data: Fields, signal: AbortSignal | undefined,
  ): StreamStart {
    const signals = signalsOf(signal, lane.signal);
    const { link, session } = lane;
    session?.before();
    let stop = noop;
    let id = 0;
    const ended = (): void => {
      stop();
      session?.ended(id);
      lane.release?.();
    };
    id = link.send(type, data, {
      reply(reply) {
        session?.heard(reply);
        return stream.reply(reply);
      },
      fail(error) {
        session?.heard(error);
        stream.fail(error);
      },
      abandon: (error) => stream.readAll(error),
    });
    session?.sent(id);
    session?.began(stream);
    stop = link.stopBy(signals, id);
    return { link, id, ended, mustNotStop: () => session?.mustNotStop() ?? false };
  }

  /** Runs statements in one message: all of them or, where one fails, none. */
  async batch(statements: readonly BatchStatement[], options: BatchOptions = {}): Promise<BatchResult[]> {
    const given = this._lane(options.signal);
    const lane = given instanceof Promise ? await given : given;
    const list = statements.map(({ sql, params, rows }) => ({
      sql,
      params: params === undefined ? undefined : adaptedParams(params, lane.engine),
      param_rows: rows?.map((row) => adaptedParams(row, lane.engine)),
    }));
    const data = { ...lane.place, statements: list, atomic: options.atomic, timeout_ms: this.#timeout(lane, options) };
    const { results } = await this._ask(lane, "batch", data, options.signal);
    if (!Array.isArray(results)) return [];
    return results.map((result: Data) => ({ rowsAffected: 0, warningCount: 0, ...(camelCased(result) as object) }));
  }

  /** What a statement would give and take, without running it. */
  async describe(sql: string, options: { signal?: AbortSignal } = {}): Promise<Description> {
    const given = this._lane(options.signal);
    const lane = given instanceof Promise ? await given : given;
    const reply = await this._ask(lane, "describe", { ...lane.place, sql }, options.signal);
    const { parameters, read_only: readOnly } = reply;
    const names = (parameters ?? []) as (string | null)[];
    return { columns: columnsOf(reply["columns"]), parameters: names, readOnly: readOnly === true };
  }

  /** @internal Where a stream goes. */
  _streamLane(signal: AbortSignal | undefined): Lane | Promise<Lane> {
    return this._lane(signal);
  }

  /** @internal How rows are given. */
  abstract _form(options: QueryOptions): Form;

  #timeout(lane: Lane, options: RequestOptions): number | undefined {
    return positive("timeout", options.timeout ?? lane.timeout);
  }

  #query(lane: Lane, sql: string, params: Params | undefined, options: QueryOptions, more: Fields): Fields {
    if (typeof sql !== "string") throw new TypeError("A statement is a text.");
    return {
      sql,
      ...lane.place,
      params: params === undefined ? undefined : adaptedParams(params, lane.engine),
      ...this.#limits(lane, options),
      ...more,
    };
  }

  #limits(lane: Lane, options: QueryOptions): Fields {
    return { timeout_ms: this.#timeout(lane, options), max_rows: positive("maxRows", options.maxRows) };
  }

  async #collect(sql: string, params: Params | undefined, options: QueryOptions, more: Fields): Promise<Result<unknown>[]> {
    const given = this._lane(options.signal);
    const lane = given instanceof Promise ? await given : given;
    const data = this.#query(lane, sql, params, options, more);
    const form = this._form(options);
    return this.#request(lane, "query", data, options.signal, (resolve, reject) => new Collector(form, resolve, reject));
  }

  /** @internal A request with one reply. */
  _ask(lane: Lane, type: string, data: Fields, signal: AbortSignal | undefined): Promise<Data> {
    return this.#request<Data>(lane, type, data, signal, (resolve, reject) => ({
      reply(reply) {
        resolve(reply);
        return true;
      },
      fail: reject,
    }));
  }

  async #request<T>(
    lane: Lane, type: string, data: Fields, signal: AbortSignal | undefined,
    receiver: (resolve: (value: T) => void, reject: (error: unknown) => void) => Pending,
  ): Promise<T> {
    try {
      return await this.#sent(lane, type, data, signal, receiver);
    } catch (error) {
      // Where the program asked, instead of where the reply was read.
      if (error instanceof LiteBaseError) Error.captureStackTrace?.(error);
      throw error;
    }
  }

  #sent<T>(
    lane: Lane, type: string, data: Fields, signal: AbortSignal | undefined,
    receiver: (resolve: (value: T) => void, reject: (error: unknown) => void) => Pending,
  ): Promise<T> {
    const { link, session } = lane;
    return new Promise<T>((resolve, reject) => {
      const signals = signalsOf(signal, lane.signal);
      session?.before();
      let stop = noop;
      let id = 0;
      const over = link.wait();
      const end = (): void => {
        stop();
        session?.ended(id);
        over();
      };
      const taker = receiver(resolve, reject);
      try {
        id = link.send(type, data, {
          reply(reply) {
            session?.heard(reply);
            const isLast = taker.reply(reply);
            if (isLast) end();
            return isLast;
          },
          fail(error: LiteBaseError) {
            session?.heard(error);
            end();
            taker.fail(error);
          },
        });
      } catch (error) {
        over();
        throw error;
      }
      session?.sent(id);
      stop = link.stopBy(signals, id);
    });
  }
}
