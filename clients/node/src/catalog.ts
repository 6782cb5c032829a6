// What is in a database, and what may come next in a statement.

import { camelCased } from "./errors.js";
import type { Data, Fields } from "./msgpack.js";

/** What `catalog` tells, one level at a time. */
export type CatalogLevel =
  | "namespaces" | "relations" | "columns" | "keys" | "foreign_keys" | "indexes" | "triggers" | "routines" | "types";

type Text = string | null;
/** What only this engine has, by the names of docs/protocol.md. */
type Extra = { [name: string]: unknown } | null;

interface InNamespace {
  namespace: string;
  name: string;
  extra: Extra;
}
/** The names of constraints are not known everywhere. */
interface OfRelation {
  namespace: string;
  relation: string;
  name: Text;
  extra: Extra;
}
interface Defined {
  /** The text that makes it, with `definitions: true`. */
  definition?: Text;
}

export interface CatalogNamespace {
  name: string;
  default: boolean;
  owner: Text;
  comment: Text;
  extra: Extra;
}
export interface CatalogRelation extends InNamespace, Defined {
  /** table, view, materialized_view, partitioned_table, foreign_table, virtual_table, sequence. */
  kind: string;
  comment: Text;
  rowEstimate: number | bigint | null;
  sizeBytes: number | bigint | null;
}
export interface CatalogColumn extends InNamespace {
  relation: string;
  position: number;
  type: Text;
  nullable: boolean | null;
  default: Text;
  generated: "stored" | "virtual" | null;
  identity: "always" | "by_default" | "auto_increment" | "rowid" | null;
  /** Whether `SELECT *` leaves it out. */
  hidden: boolean;
  collation: Text;
  /** Its place in the primary key, from 1 on. */
  keyPosition: number | null;
  comment: Text;
}
export interface CatalogKey extends OfRelation {
  kind: "primary" | "unique";
  columns: string[];
}
export interface CatalogForeignKey extends OfRelation {
  columns: string[];
  targetNamespace: Text;
  targetRelation: string;
  targetColumns: string[];
  onUpdate: Text;
  onDelete: Text;
}
export interface CatalogIndex extends OfRelation, Defined {
  unique: boolean;
  /** null where it is an expression. */
  columns: (string | null)[];
  method: Text;
  predicate: Text;
}
export interface CatalogTrigger extends OfRelation, Defined {
  timing: Text;
  events: string[];
}
export interface CatalogRoutine extends InNamespace, Defined {
  kind: string;
  arguments: Text;
  returns: Text;
  language: Text;
  comment: Text;
}
export interface CatalogType extends InNamespace, Defined {
  kind: string;
  labels: string[] | null;
  base: Text;
  comment: Text;
}

/** The rows of each level: the same for every engine. */
export interface CatalogRows {
  namespaces: CatalogNamespace;
  relations: CatalogRelation;
  columns: CatalogColumn;
  keys: CatalogKey;
  foreign_keys: CatalogForeignKey;
  indexes: CatalogIndex;
  triggers: CatalogTrigger;
  routines: CatalogRoutine;
  types: CatalogType;
}

export interface CatalogOptions {
  /** Exact names, to which it is narrowed. */
  namespace?: string | undefined;
  relation?: string | undefined;
  /** A search text; what fits comes with the best first. */
  match?: string | undefined;
  /** Of relations, keys, routines or types, such as ["view"]. */
  kinds?: readonly string[] | undefined;
  /** Also the texts that make the objects. */
  definitions?: boolean | undefined;
  /** Has the daemon read it anew in any case. */
  refresh?: boolean | undefined;
  /** The `etag` of an earlier result: if it still holds, there are no rows, and the result is `unchanged`. */
  etag?: string | undefined;
  maxRows?: number | undefined;
  pageRows?: number | undefined;
  timeout?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface CompletionOptions {
  /** The place in the text, as an index of it; its end if it is not said. */
  cursor?: number | undefined;
  /** The most items that are wanted (50). */
  limit?: number | undefined;
  /** Names that were used lately, the latest first, which come before others. */
  recent?: readonly string[] | undefined;
  signal?: AbortSignal | undefined;
}

export interface CompletionItem {
  /** What is to be inserted, in quotes where it needs them. */
  text: string;
  /** What is to be shown. */
  label: string;
  /** "keyword", "relation", "column", "join", …: docs/protocol.md. */
  kind: string;
  /** A type or a signature. */
  detail?: string;
  /** What a column belongs to. */
  relation?: string;
}

/** What may come next, the best first: `sql.slice(0, from) + item.text + sql.slice(to)` is the statement with one of the items. */
export interface Completion {
  from: number;
  to: number;
  items: CompletionItem[];
  /** The names of the database are not all known yet: ask again after a moment. */
  incomplete: boolean;
}

/** @internal The fields of a `catalog` request that are not those of every request with rows. */
export function catalogFields(level: CatalogLevel, options: CatalogOptions): Fields {
  const { namespace, relation, match, kinds, definitions, refresh, etag } = options;
  return { level, namespace, relation, match, kinds, definitions: definitions || undefined, refresh: refresh || undefined, etag };
}

/** @internal The name of a column as JavaScript writes it. */
export const camelCasedName = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** @internal The fields of a `complete` request. The protocol counts bytes of UTF-8. Throws: RangeError. */
export function completionFields(sql: string, options: CompletionOptions): Fields {
  const { cursor = sql.length, limit, recent } = options;
  if (!Number.isInteger(cursor) || cursor < 0 || cursor > sql.length) {
    throw new RangeError(`The cursor is at ${cursor}, and the text has ${sql.length} characters.`);
  }
  // Not between the two halves of a character.
  const isWithin = /^[\udc00-\udfff]/.test(sql.slice(cursor)) && /[\ud800-\udbff]$/.test(sql.slice(0, cursor));
  return { sql, cursor: Buffer.byteLength(sql.slice(0, isWithin ? cursor - 1 : cursor)), limit, recent };
}

/** @internal What a `complete_response` says of a text. */
export function completionOf(sql: string, reply: Data): Completion {
  const bytes = Buffer.from(sql);
  const { from = 0, to = 0 } = (reply["replace"] ?? {}) as { from?: number; to?: number };
  const [start, end] = [from, to].map((place) => bytes.toString("utf8", 0, place).length) as [number, number];
  const items = (Array.isArray(reply["items"]) ? reply["items"] : []).map((item) => camelCased(item) as CompletionItem);
  return { from: start, to: end, items, incomplete: reply["incomplete"] === true };
}
