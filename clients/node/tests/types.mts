// Compiles, and some of it must not: the declarations say what the guide says.

import { type Column, type Completion, connect, type Database, LiteBaseError, Real, type Result, type Session, toDate } from "litebase";
import type { Transaction } from "litebase";

interface City {
  name: string;
  people: number;
}

export async function main(): Promise<void> {
  const db: Database = await connect("shop", { timeout: 1000, integers: "bigint", parse: { timestamptz: toDate }, trustUsers: ["a", 1] });
  const result: Result<City> = await db.query<City>("SELECT name, people FROM city WHERE name = ?", ["Oslo"]);
  const people: number | undefined = result.rows[0]?.people;
  const one: City | undefined = await db.first<City>("SELECT 1", { name: new Date(), x: 1n, y: new Uint8Array(1), z: new Real(1), n: null });
  for await (const city of db.stream<City>("SELECT 1", [], { pageRows: 10, signal: new AbortController().signal })) void city.people.toFixed();
  for await (const page of db.stream<[string]>("SELECT 1").pages()) void page[0]?.[0].length;
  const columns: Column[] = await db.stream("SELECT 1").columns();
  const name: string = await db.transaction(async (tx: Transaction) => {
    await tx.transaction((inner) => inner.query("SELECT 1"));
    return "x";
  });
  const session: Session = await db.session({ url: "sqlite::memory:", readOnly: true });
  const affected: number[] = (await session.batch([{ sql: "SELECT 1", rows: [[1]] }])).map((each) => each.rowsAffected);
  try {
    await db.health({ database: "shop" });
  } catch (error) {
    if (error instanceof LiteBaseError && error.position !== undefined) void (error.position.line + (error.holder?.pid ?? 0));
  }
  for await (const column of db.catalog("columns", { relation: "city", kinds: ["view"] })) void ((column.keyPosition ?? 0) + column.position);
  for (const { rowEstimate } of await db.catalog().toArray()) void (rowEstimate === null);
  const targets: string[][] = (await session.catalog("foreign_keys").toArray()).map((key) => key.targetColumns);
  const completion: Completion = await db.complete("SELECT ", { cursor: 7, recent: ["city"] });
  void [targets, completion.items[0]?.detail, completion.from, db.catalog("types").result.etag];
  for await (const change of await db.changes(["city"], { from: "a.1", delay: 100, database: "x" })) void (change.resync ?? change.relations);
  // @ts-expect-error a level that there is not
  db.catalog("tables");
  // @ts-expect-error a column of another level
  void (await db.catalog("keys").toArray())[0]?.position;
  // @ts-expect-error undefined is no parameter
  await db.query("SELECT ?", [undefined]);
  // @ts-expect-error an option that is not there
  await db.query("SELECT ?", [1], { timeOut: 1 });
  // @ts-expect-error what only tests need is not declared
  db._lane(undefined);
  const close: () => Promise<void> = db[Symbol.asyncDispose].bind(db);
  void [people, one, columns, name, affected, close];
}
