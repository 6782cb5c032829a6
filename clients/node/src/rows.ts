// Columns, results, and streams of rows.

import { LiteBaseError } from "./errors.js";
import type { Link, Pending } from "./link.js";
import { type Data, setField } from "./msgpack.js";

/** What a database gives, by default. Decimals, dates and all that JavaScript has no type for are the engine's texts. */
export type Value = null | boolean | number | bigint | string | Uint8Array;

export interface Column {
  name: string;
  /** "integer", "real", "boolean", "text", "blob", "decimal", or the engine's name, such as "timestamptz"; "any" if not known. */
  type: string;
  /** As the table declares it, where it does. */
  declaredType: string | null;
}

/** What a statement did, and the rows that it gave. */
export interface Result<Row> {
  rows: Row[];
  columns: Column[];
  /** Rows that were inserted, changed or deleted. */
  rowsAffected: number;
  /** The key that the database gave to the last new row, where it gave one. */
  lastInsertId?: number | bigint;
  /** Whether `maxRows` cut the result. */
  truncated: boolean;
  /** Warnings of MySQL, which SHOW WARNINGS tells. */
  warningCount: number;
  /** How many further results of a procedure were not asked for: see `queryAll`. */
  resultSetsDropped: number;
  /** Of `catalog`: a mark of all of it, for a later call; and whether that of this call still held, so that there were no rows. */
  etag?: string;
  unchanged?: boolean;
}

/** What makes a value of a column's text, by the type of the column. */
export type Parsers = { readonly [type: string]: (text: string) => unknown };

/** @internal How rows are given. */
export interface Form {
  rowMode: "object" | "array";
  parse: Parsers;
  /** What is made of the columns' names in objects. */
  rename?: (name: string) => string;
  /** Whether integers are numbers where they can be, whatever the connection's are. */
  hasNumbers?: boolean;
}

/** @internal */
export function columnsOf(list: unknown): Column[] {
  if (!Array.isArray(list)) return [];
  return list.map((item: Data) => ({
    name: String(item["name"]),
    type: String(item["type"]),
    declaredType: typeof item["declared_type"] === "string" ? item["declared_type"] : null,
  }));
}

/** Makes rows as they are wanted of those of the protocol, for the columns of one result. */
class Shape {
  readonly #names: string[];
  readonly #parsers: [number, (text: string) => unknown][] = [];
  readonly #asArrays: boolean;
  readonly #isPlain: boolean;
  readonly #hasNumbers: boolean;

  constructor(columns: Column[], form: Form) {
    this.#names = columns.map((column) => form.rename?.(column.name) ?? column.name);
    this.#asArrays = form.rowMode === "array";
    this.#hasNumbers = form.hasNumbers === true;
    this.#isPlain = !this.#names.includes("__proto__");
    columns.forEach((column, index) => {
      const parser = Object.hasOwn(form.parse, column.type) ? form.parse[column.type] : undefined;
      if (parser !== undefined) this.#parsers.push([index, parser]);
    });
  }

  rows(list: unknown): unknown[] {
    if (!Array.isArray(list)) return [];
    for (const [index, parser] of this.#parsers) {
      for (const row of list as unknown[][]) {
        const value = row[index];
        if (typeof value === "string") row[index] = parser(value);
      }
    }
    if (this.#hasNumbers) {
      for (const row of list as unknown[][]) {
        row.forEach((value, index) => {
          if (typeof value === "bigint" && Number.isSafeInteger(Number(value))) row[index] = Number(value);
        });
      }
    }
    if (this.#asArrays) return list;
    return list.map(this.#isPlain ? (row: unknown[]) => this.#object(row) : (row: unknown[]) => this.#carefulObject(row));
  }

  #object(row: unknown[]): Data {
    const names = this.#names;
    const object: Data = {};
    for (let index = 0; index < names.length; index += 1) object[names[index] as string] = row[index];
    return object;
  }

  #carefulObject(row: unknown[]): Data {
    const object: Data = {};
    this.#names.forEach((name, index) => setField(object, name, row[index]));
    return object;
  }
}

function numberOf(data: Data, key: string): number {
  const value = data[key];
  return typeof value === "number" ? value : 0;
}

function complete(result: Result<unknown>, data: Data): void {
  result.rowsAffected = numberOf(data, "rows_affected");
  const id = data["last_insert_id"];
  if (typeof id === "number" || typeof id === "bigint") result.lastInsertId = id;
  result.truncated ||= data["truncated"] === true;
  result.warningCount = numberOf(data, "warning_count");
  result.resultSetsDropped = numberOf(data, "result_sets_dropped");
  if (typeof data["etag"] === "string") {
    result.etag = data["etag"];
    result.unchanged = data["unchanged"] === true;
  }
}

function emptyResult(columns: Column[]): Result<unknown> {
  return { rows: [], columns, rowsAffected: 0, truncated: false, warningCount: 0, resultSetsDropped: 0 };
}

/** @internal Takes the replies to a query whose rows are wanted all at once: one result, or all of a procedure. */
export class Collector implements Pending {
  readonly #results: Result<unknown>[] = [];
  readonly #form: Form;
  readonly #resolve: (results: Result<unknown>[]) => void;
  readonly #reject: (error: unknown) => void;
  #shape: Shape;
  #failure: unknown;

  constructor(form: Form, resolve: (results: Result<unknown>[]) => void, reject: (error: unknown) => void) {
    this.#form = form;
    this.#shape = new Shape([], form);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  reply(data: Data): boolean {
    try {
      this.#take(data);
    } catch (error) {
      // A parser's: the rest is read all the same.
      this.#failure ??= error;
    }
    if (data["more"] === true) return false;
    if (this.#failure === undefined) this.#resolve(this.#results);
    else this.#reject(this.#failure);
    return true;
  }

  fail(error: LiteBaseError): void {
    this.#reject(error);
  }

  #take(data: Data): void {
    if (data["columns"] !== undefined) {
      const columns = columnsOf(data["columns"]);
      this.#shape = new Shape(columns, this.#form);
      this.#results.push(emptyResult(columns));
    } else if (this.#results.length === 0) {
      this.#results.push(emptyResult([]));
    }
    const result = this.#results[this.#results.length - 1] as Result<unknown>;
    const rows = this.#shape.rows(data["rows"]);
    if (result.rows.length === 0) result.rows = rows;
    else for (const row of rows) result.rows.push(row);
    const end = data["result_end"];
    if (typeof end === "object" && end !== null) result.truncated = (end as Data)["truncated"] === true;
    if (data["more"] !== true) complete(result, data);
  }
}

/** @internal What a stream needs of the connection that it runs on. */
export interface StreamStart {
  link: Link;
  id: number;
  /** Is told that the stream has ended. */
  ended(): void;
  /** Whether a statement that is stopped takes more with it than itself, so that its rows are rather read and dropped. */
  mustNotStop(): boolean;
}

/**
 * Rows as they come: `for await (const row of db.stream(…))`. The statement is sent when the first row is asked for; leaving the
 * loop stops it. The daemon reads on when the loop does: at most two pages of rows are here.
 */
export class RowStream<Row> implements AsyncIterableIterator<Row> {
  readonly #form: Form;
  readonly #pageRows: number;
  readonly #begin: (stream: RowStream<Row>) => Promise<StreamStart>;
  readonly #result = emptyResult([]);
  #start: StreamStart | undefined;
  #begun: Promise<void> | undefined;
  #shape: Shape;
  #rows: Row[] = [];
  #taken = 0;
  // Rows that came, and rows that were asked for.
  #received = 0;
  #granted: number;
  #mode: "pages" | "kept" | "dropped" = "pages";
  /** @internal */
  hasEnded = false;
  #isLeft = false;
  #failure: unknown;
  #hasColumns = false;
  #wake: (() => void)[] = [];

  /** @internal */
  constructor(form: Form, pageRows: number, begin: (stream: RowStream<Row>) => Promise<StreamStart>) {
    this.#form = form;
    this.#pageRows = this.#granted = pageRows;
    this.#begin = begin;
    this.#shape = new Shape([], form);
  }

  // For who reads

  /** The columns, as soon as they are known. */
  async columns(): Promise<Column[]> {
    await this.#until(() => this.#hasColumns);
    if (!this.#hasColumns && this.#failure !== undefined) throw this.#failure;
    return this.#result.columns;
  }

  /** What the statement did; complete behind the last row. `rows` is empty. */
  get result(): Omit<Result<Row>, "rows"> {
    return this.#result as unknown as Result<Row>;
  }

  async next(): Promise<IteratorResult<Row, undefined>> {
    if (this.#taken < this.#rows.length) return { value: this.#row(), done: false };
    do {
      await this.#until(() => this.#taken < this.#rows.length);
      // Another one who waits may have taken it.
      if (this.#taken < this.#rows.length) return { value: this.#row(), done: false };
    } while (!this.hasEnded && !this.#isLeft && this.#failure === undefined);
    this.#throwFailure();
    return { value: undefined, done: true };
  }

  /** Rows, `pageRows` at a time; the last page may have fewer. */
  async *pages(): AsyncGenerator<Row[], void, undefined> {
    try {
      for (;;) {
        await this.#until(() => this.#rows.length - this.#taken >= this.#pageRows);
        const page = this.#rows.slice(this.#taken, this.#taken + this.#pageRows);
        if (page.length === 0) break;
        this.#taken += page.length;
        this.#tidy();
        yield page;
      }
      this.#throwFailure();
    } finally {
      await this.return();
    }
  }

  /** All further rows, in memory. */
  async toArray(): Promise<Row[]> {
    const rows: Row[] = [];
    for await (const row of this) rows.push(row);
    return rows;
  }

  /** Ends the stream, and stops the statement if it has more rows. */
  async return(): Promise<IteratorResult<Row, undefined>> {
    this.#isLeft = true;
    this.#rows = [];
    this.#taken = 0;
    this.#failure = undefined;
    await this.#begun;
    const start = this.#start;
    if (start !== undefined && !this.hasEnded) {
      this.#mode = "dropped";
      if (start.mustNotStop()) {
        this.#grant();
      } else {
        start.link.cancel(start.id);
        const end = start.link.wait();
        while (!this.hasEnded) await this.#news();
        end();
        // That it was stopped is no error of who stopped it.
        this.#failure = undefined;
      }
    }
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #row(): Row {
    const row = this.#rows[this.#taken] as Row;
    this.#taken += 1;
    if (this.#taken === this.#rows.length) this.#tidy();
    else if (this.#received >= this.#granted) this.#grant();
    return row;
  }

  #tidy(): void {
    this.#rows = this.#rows.slice(this.#taken);
    this.#taken = 0;
    this.#grant();
  }

  #throwFailure(): void {
    if (this.#failure === undefined) return;
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure instanceof LiteBaseError) Error.captureStackTrace?.(failure);
    throw failure;
  }

  /** Waits until something holds, or nothing more comes. */
  async #until(holds: () => boolean): Promise<void> {
    if (this.#isLeft || holds()) return;
    this.#begun ??= this.#open();
    await this.#begun;
    if (this.hasEnded || this.#start === undefined || holds()) return;
    const end = this.#start.link.wait();
    this.#grant();
    while (!holds() && !this.hasEnded && !this.#isLeft && this.#failure === undefined) await this.#news();
    end();
  }

  /** Waits for the next reply. */
  #news(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  async #open(): Promise<void> {
    try {
      this.#start = await this.#begin(this);
    } catch (error) {
      this.hasEnded = true;
      this.#failure = error;
    }
  }

  // For the connection

  /** @internal */
  reply(data: Data): boolean {
    try {
      this.#takeReply(data);
    } catch (error) {
      // A parser's. The statement is of no use any more.
      this.#failure = error;
      this.#mode = "dropped";
      if (data["more"] === true && this.#start?.mustNotStop() === false) this.#start.link.cancel(this.#start.id);
    }
    const isLast = data["more"] !== true;
    if (isLast) this.#end();
    else this.#grant();
    this.#wakeAll();
    return isLast;
  }

  /** @internal */
  fail(error: LiteBaseError): void {
    if (this.#mode !== "dropped") this.#failure ??= error;
    this.#end();
    this.#wakeAll();
  }

  /** @internal Whoever sends something else on the same session needs the rest: it is kept here or, with an error, dropped. */
  readAll(failure?: LiteBaseError): void {
    if (this.hasEnded || this.#mode === "dropped") return;
    this.#mode = failure === undefined ? "kept" : "dropped";
    if (failure !== undefined) {
      this.#failure = failure;
      this.#rows = [];
      this.#taken = 0;
      this.#start?.link.cancel(this.#start.id);
    }
    this.#grant();
    this.#wakeAll();
  }

  #takeReply(data: Data): void {
    if (data["columns"] !== undefined) {
      this.#result.columns = columnsOf(data["columns"]);
      this.#shape = new Shape(this.#result.columns, this.#form);
      this.#hasColumns = true;
    }
    const rows = data["rows"];
    if (Array.isArray(rows)) this.#received += rows.length;
    if (this.#mode !== "dropped") {
      const made = this.#shape.rows(rows) as Row[];
      if (this.#taken === this.#rows.length) {
        this.#rows = made;
        this.#taken = 0;
      } else {
        for (const row of made) this.#rows.push(row);
      }
    }
    if (data["more"] !== true) complete(this.#result, data);
  }

  /** Asks for another page, when the one before has come and there is room for it. */
  #grant(): void {
    const start = this.#start;
    if (start === undefined || this.hasEnded || this.#received < this.#granted) return;
    if (this.#mode === "pages" && this.#rows.length - this.#taken > this.#pageRows) return;
    this.#granted += this.#pageRows;
    start.link.tell("fetch", { request: start.id });
  }

  #end(): void {
    this.hasEnded = true;
    this.#start?.ended();
  }

  #wakeAll(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }
}
