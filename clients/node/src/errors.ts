import type { Data } from "./msgpack.js";

/** Where in the statement an error is: `line` and `column` from 1, `offset` in bytes of UTF-8 from 0. */
export interface Position {
  offset: number;
  line: number;
  column: number;
}

/** Who has what was waited for, and for how long. */
export interface Holder {
  uid?: number;
  pid?: number;
  sinceMs?: number;
}

/** The limit that was reached. */
export interface Limit {
  name: string;
  value?: number;
  used?: number;
  uid?: number;
}

/** What is known of an error; a field that is not known is not there. */
export interface ErrorFields {
  hint?: string;
  detail?: string;
  sqlState?: string;
  vendorCode?: number;
  position?: Position;
  statementIndex?: number;
  rowIndex?: number;
  retryAfter?: number;
  transaction?: string;
  holder?: Holder;
  limit?: Limit;
  retryable?: boolean;
  cause?: unknown;
}

/**
 * What the daemon, or this package, says of a request that failed. `code` is one of docs/errors.md, or "connection_lost" or
 * "untrusted" of this package.
 */
export class LiteBaseError extends Error {
  readonly code: string;
  /** What to do. */
  declare readonly hint?: string;
  /** What else is known. */
  declare readonly detail?: string;
  /** Of every error of a database. */
  declare readonly sqlState?: string;
  /** SQLite's extended code, MySQL's errno. */
  declare readonly vendorCode?: number;
  declare readonly position?: Position;
  /** The statement of a batch, from 0. */
  declare readonly statementIndex?: number;
  /** The row of a batch's `rows`, from 0. */
  declare readonly rowIndex?: number;
  /** The same request may succeed later: after `retryAfter` milliseconds, where that is known. */
  readonly retryable: boolean;
  declare readonly retryAfter?: number;
  /** In a session: what became of its transaction. */
  declare readonly transaction?: string;
  declare readonly holder?: Holder;
  declare readonly limit?: Limit;

  constructor(code: string, message: string, fields: ErrorFields = {}) {
    const { cause, retryable, ...known } = fields;
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.retryable = retryable ?? false;
    Object.assign(this, known);
  }
}

// On the prototypes, as of the errors of the language: names survive what shortens those of classes.
function named(kind: { prototype: Error }, name: string): void {
  Object.defineProperty(kind.prototype, "name", { value: name, configurable: true, writable: true });
}

/** There is no connection, or no session or transaction any more. Nothing of the request was done. */
export class ConnectionLostError extends LiteBaseError {}
/** It is not known whether the request took effect. Look before you do it again. */
export class OutcomeUnknownError extends LiteBaseError {}
/** The transaction was to be committed, and the database had rolled it back. Nothing of it was done. */
export class TransactionRolledBackError extends LiteBaseError {}
/** Somebody else has a lock or a place (`holder`), and did not give it up in time. Nothing was done. */
export class BusyError extends LiteBaseError {}
/** A signal stopped the statement, which changed nothing. Its `name` is "AbortError", as of Node's own; `cause` is the signal's. */
export class CancelledError extends LiteBaseError {}
/** The statement took longer than it may, and changed nothing. */
export class TimeoutError extends LiteBaseError {}
/** A constraint does not hold; `sqlState` says which kind. */
export class ConstraintError extends LiteBaseError {}
/** The database cannot compile the statement; `position` says where. */
export class SqlSyntaxError extends LiteBaseError {}
/** The caller, the session or the database may only read. */
export class ReadOnlyError extends LiteBaseError {}
/** The caller's Unix user may not do this. */
export class PermissionDeniedError extends LiteBaseError {}
/** Who may listen at the socket is not trusted. Nothing was sent. */
export class UntrustedError extends LiteBaseError {}

named(LiteBaseError, "LiteBaseError");
named(ConnectionLostError, "ConnectionLostError");
named(OutcomeUnknownError, "OutcomeUnknownError");
named(TransactionRolledBackError, "TransactionRolledBackError");
named(BusyError, "BusyError");
named(CancelledError, "AbortError");
named(TimeoutError, "TimeoutError");
named(ConstraintError, "ConstraintError");
named(SqlSyntaxError, "SqlSyntaxError");
named(ReadOnlyError, "ReadOnlyError");
named(PermissionDeniedError, "PermissionDeniedError");
named(UntrustedError, "UntrustedError");

const BY_CODE = new Map<string, typeof LiteBaseError>([
  ["session_not_found", ConnectionLostError],
  ["shutting_down", ConnectionLostError],
  ["connect_failed", ConnectionLostError],
  ["outcome_unknown", OutcomeUnknownError],
  ["transaction_rolled_back", TransactionRolledBackError],
  ["busy", BusyError],
  ["cancelled", CancelledError],
  ["timeout", TimeoutError],
  ["constraint_violation", ConstraintError],
  ["syntax_error", SqlSyntaxError],
  ["read_only", ReadOnlyError],
  ["permission_denied", PermissionDeniedError],
]);

/** @internal Keys as JavaScript writes them, in maps within maps, too. */
export function camelCased(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelCased);
  if (typeof value !== "object" || value === null || value instanceof Date || value instanceof Uint8Array) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== null && item !== undefined)
      .map(([key, item]) => [key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()), camelCased(item)]),
  );
}

/** Words of the protocol that hints have, and what does the same here. */
const WORDS = new Map([["timeout_ms", "timeout"], ["db_connect", "db.session()"], ["db_disconnect", "session.close()"]]);

function inOwnWords(hint: string): string {
  return hint.replace(/\b[a-z]+_[a-z]+\b/g, (word) => WORDS.get(word) ?? word);
}

/** @internal The error for the data of an `error` reply. `cause`: why it was asked to stop, where it was. */
export function errorOf(data: Data, cause?: unknown): LiteBaseError {
  const { code, message, sqlstate, retryAfterMs, ...rest } = camelCased(data) as Data;
  const kind = BY_CODE.get(String(code)) ?? LiteBaseError;
  const fields: Data = { ...rest };
  if (sqlstate !== undefined) fields["sqlState"] = sqlstate;
  if (typeof rest["hint"] === "string") fields["hint"] = inOwnWords(rest["hint"]);
  if (retryAfterMs !== undefined) fields["retryAfter"] = retryAfterMs;
  if (kind === CancelledError && cause !== undefined) fields["cause"] = cause;
  // Names that an error has already are not the daemon's to give.
  for (const taken of ["stack", "name", "__proto__"]) delete fields[taken];
  const text = String(message ?? "The daemon says nothing of the error.");
  return new kind(String(code ?? "database_error"), text, fields as ErrorFields);
}

/** @internal The error of a request that a signal stopped before it was sent. */
export function notBegun(signal: AbortSignal): CancelledError {
  return new CancelledError("cancelled", "The signal came before the request was sent.", { cause: signal.reason });
}
