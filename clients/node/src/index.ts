/** Databases of the local LiteBase daemon. The guide is docs/clients/node.md. */
export type {
  CatalogColumn,
  CatalogForeignKey,
  CatalogIndex,
  CatalogKey,
  CatalogLevel,
  CatalogNamespace,
  CatalogOptions,
  CatalogRelation,
  CatalogRoutine,
  CatalogRows,
  CatalogTrigger,
  CatalogType,
  Completion,
  CompletionItem,
  CompletionOptions,
} from "./catalog.js";
export { Changes } from "./changes.js";
export type { Change, ChangesOptions, ChannelMessage } from "./changes.js";
export { connect, Database } from "./database.js";
export type { ConnectOptions, DaemonInfo, DatabaseInfo, Health, Notice, SessionOptions } from "./database.js";
export {
  BusyError,
  CancelledError,
  ConnectionLostError,
  ConstraintError,
  LiteBaseError,
  OutcomeUnknownError,
  PermissionDeniedError,
  ReadOnlyError,
  SqlSyntaxError,
  TimeoutError,
  TransactionRolledBackError,
  UntrustedError,
} from "./errors.js";
export type { Holder, Limit, Position } from "./errors.js";
export { Real } from "./msgpack.js";
export { RowStream } from "./rows.js";
export type { Column, Parsers, Result, Value } from "./rows.js";
export { Session, Transaction } from "./session.js";
export type { TransactionOptions } from "./session.js";
export type {
  BatchOptions,
  BatchResult,
  BatchStatement,
  Description,
  QueryOptions,
  RequestOptions,
  StreamOptions,
} from "./statements.js";
export { toDate } from "./values.js";
export type { Param, Params } from "./values.js";
