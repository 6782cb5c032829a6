// One measurement of clients.py, of a driver for Node: `measure.mjs DRIVER rows TARGET ROWS SELECTS`; prints JSON.
//
// DRIVER: litebase, node:sqlite (Node 22.5 and later), sqlite3 and pg (Debian: node-sqlite3, node-pg).

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const [driver, , target, rows, selects] = process.argv.slice(2).map((word, index) => (index < 3 ? word : Number(word)));
const ALL = "SELECT id, number, name, price, text FROM item";
const mark = driver === "pg" || target.startsWith("pg") ? "$1" : "?";
const ONE = `${ALL} WHERE id = ${mark}`;

/** What gives one row, and all of them; what ends it. */
async function open() {
  if (driver === "litebase") {
    const { connect } = await import("litebase");
    const db = await connect(target);
    return { one: (key) => db.first(ONE, [key]), all: async () => (await db.query(ALL)).rows, end: () => db.close() };
  }
  if (driver === "node:sqlite") {
    const { DatabaseSync } = require("node:sqlite");
    const db = new DatabaseSync(target);
    const statement = db.prepare(ONE);
    return { one: (key) => statement.get(key), all: () => db.prepare(ALL).all(), end: () => db.close() };
  }
  if (driver === "sqlite3") {
    const { Database } = require("sqlite3");
    const db = new Database(target);
    const call = (method, ...values) => new Promise((resolve, reject) => {
      db[method](...values, (error, result) => (error ? reject(error) : resolve(result)));
    });
    return { one: (key) => call("get", ONE, key), all: () => call("all", ALL), end: () => db.close() };
  }
  const { Client } = require("pg");
  const client = new Client({ host: target, user: "lb", database: "postgres" });
  await client.connect();
  const one = async (key) => (await client.query({ name: "one", text: ONE, values: [key] })).rows[0];
  return { one, all: async () => (await client.query(ALL)).rows, end: () => client.end() };
}

const { one, all, end } = await open();
const now = () => Number(process.hrtime.bigint()) / 1e3;
const taken = [];
for (let number = 0; number < selects; number += 1) {
  const key = (number * 7919) % rows;
  const began = now();
  const row = await one(key);
  taken.push(now() - began);
  if (Number(row.id) !== key) throw new Error(`row ${key}`);
}
const began = now();
const found = await all();
const seconds = (now() - began) / 1e6;
if (found.length !== rows) throw new Error(`${found.length} rows`);
console.log(JSON.stringify({ point_us: taken.sort((a, b) => a - b)[selects >> 1], seconds }));
await end();
