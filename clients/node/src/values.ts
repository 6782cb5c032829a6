// Parameters as they are sent, and moments as JavaScript has them.

import { isBytes, Real } from "./msgpack.js";

/** What may be sent. Numbers without a fraction are integers; `new Real(1)` is 1.0. Decimals are text. A Date is text in UTC. */
export type Param = null | boolean | number | bigint | string | Uint8Array | Date | Real;

/** Parameters by position or by name, as the statement has them. */
export type Params = readonly Param[] | { readonly [name: string]: Param };

function momentText(moment: Date, engine: string): string {
  if (Number.isNaN(moment.getTime())) throw new RangeError("is a Date that is none (Invalid Date)");
  const year = moment.getUTCFullYear();
  if (year < 1 || year > 9999) throw new RangeError("is a Date that not every engine can read; send text");
  const text = moment.toISOString().replace("T", " ").replace("Z", "");
  // MySQL's DATETIME has no zone: UTC, as for every other engine.
  return engine === "mysql" ? text : `${text}+00:00`;
}

function adapted(value: unknown, engine: string): unknown {
  switch (typeof value) {
    case "boolean":
    case "number":
    case "bigint":
    case "string":
      return value;
    case "object":
      if (value === null || isBytes(value) || value instanceof Real) return value;
      if (Object.prototype.toString.call(value) === "[object Date]") return momentText(value as Date, engine);
  }
  // A wrong guess would be stored: undefined is more often a typing error than NULL.
  throw new TypeError(value === undefined ? "is undefined (NULL is null)" : `is of a type that no database has (${kindOf(value)})`);
}

function kindOf(value: unknown): string {
  return typeof value === "object" ? (value?.constructor?.name ?? "object") : typeof value;
}

function adaptedAs(name: string, value: unknown, engine: string): unknown {
  try {
    return adapted(value, engine);
  } catch (error) {
    if (error instanceof Error) error.message = `The parameter ${name} ${error.message}.`;
    throw error;
  }
}

/** @internal Parameters as they are sent. Throws TypeError and RangeError, which name the parameter. */
export function adaptedParams(params: Params, engine: string): unknown {
  if (Array.isArray(params)) return params.map((value, index) => adaptedAs(String(index + 1), value, engine));
  if (typeof params !== "object" || params === null || isBytes(params)) {
    throw new TypeError("Parameters are an array, or an object with their names.");
  }
  const named = Object.entries(params).map(([name, value]) => [name, adaptedAs(name, value, engine)]);
  return Object.fromEntries(named) as unknown;
}

const MOMENT = /^(\d{4,6})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:(Z)|([+-])(\d\d)(?::?(\d\d))?(?::?(\d\d))?)?)?$/;

/**
 * The moment that a date or timestamp of PostgreSQL, MySQL or SQLite's CURRENT_TIMESTAMP says, to the millisecond; without a zone,
 * UTC. `undefined` for what is none, such as "infinity" and "0000-00-00".
 */
export function toDate(text: string): Date | undefined {
  const match = MOMENT.exec(text);
  if (match === null) return undefined;
  const part = (index: number): number => Number(match[index] ?? 0);
  const milliseconds = Number((match[7] ?? "").slice(0, 3).padEnd(3, "0"));
  const moment = new Date(0);
  moment.setUTCFullYear(part(1), part(2) - 1, part(3));
  // What the calendar does not have would become another day.
  if (moment.getUTCMonth() !== part(2) - 1 || moment.getUTCDate() !== part(3)) return undefined;
  const zone = (match[9] === "-" ? -1 : 1) * (part(10) * 3600 + part(11) * 60 + part(12));
  moment.setUTCHours(part(4), part(5), part(6), milliseconds);
  return new Date(moment.getTime() - zone * 1000);
}
