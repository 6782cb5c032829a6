// The package beside the usual driver of SQLite: a point SELECT, and all rows of a large table.
//
//     node clients/node/benchmarks/compare.mjs [ROWS [REPETITIONS]]
//
// Beside what this Node has: node:sqlite (22.5 and later), or the package sqlite3 (Debian: node-sqlite3, for Debian's Node). Where
// there is neither, the package is measured alone, and that is said. Drivers take turns within each repetition, so that a machine that
// is busy is so for all of them; medians are told.

import { createRequire } from "node:module";
import { join } from "node:path";

import { Daemon } from "../tests/daemon.mjs";
import { connect } from "litebase";

const [rows = 1_000_000, repetitions = 5] = process.argv.slice(2).map(Number);
const POINTS = 2000;
const ONE = "SELECT name, price FROM item WHERE id = ?";
const ALL = "SELECT id, name, price FROM item";
const require = createRequire(import.meta.url);

/** Of the same file: `one` gives a row, `all` gives how many there were. */
async function others(path) {
  try {
    const { DatabaseSync } = require("node:sqlite");
    const database = new DatabaseSync(path);
    const statement = database.prepare(ONE);
    return [["node:sqlite", { one: (key) => statement.get(key), all: () => database.prepare(ALL).all().length }]];
  } catch {
    // Not this Node.
  }
  try {
    const { Database } = require("sqlite3");
    const database = new Database(path);
    const call = (method, ...values) => new Promise((resolve, reject) => {
      database[method](...values, (error, result) => (error ? reject(error) : resolve(result)));
    });
    return [["sqlite3", { one: (key) => call("get", ONE, key), all: async () => (await call("all", ALL)).length }]];
  } catch {
    console.log("(There is neither node:sqlite nor the package sqlite3: nothing to compare with.)");
    return [];
  }
}

const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
const now = () => Number(process.hrtime.bigint()) / 1e3;

async function points({ one }) {
  const taken = [];
  for (let number = 0; number < POINTS; number += 1) {
    const key = (number * 7919) % rows;
    const began = now();
    const row = await one(key);
    taken.push(now() - began);
    if (row.price !== key * 0.25) throw new Error(`row ${key}`);
  }
  return median(taken);
}

async function seconds(task) {
  const began = now();
  const found = await task();
  if (found !== rows) throw new Error(`${found} rows`);
  return (now() - began) / 1e6;
}

const daemon = await new Daemon().start();
try {
  const db = await connect({ socket: daemon.socket });
  await db.query("CREATE TABLE item (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL, price DOUBLE PRECISION NOT NULL)");
  for (let at = 0; at < rows; at += 20_000) {
    const some = Array.from({ length: Math.min(20_000, rows - at) }, (_, n) => [at + n, `the item with number ${at + n}`, (at + n) * 0.25]);
    await db.batch([{ sql: "INSERT INTO item VALUES (?, ?, ?)", rows: some }]);
  }
  const streamed = async () => {
    let count = 0;
    for await (const row of db.stream(ALL)) count += row.price >= 0 ? 1 : 0;
    return count;
  };
  const ours = { one: (key) => db.first(ONE, [key]), all: async () => (await db.query(ALL)).rows.length, streamed };
  const drivers = [["litebase", ours], ...(await others(join(daemon.directory, "default.db")))];
  const found = new Map(drivers.map(([name]) => [name, { point: [], all: [], streamed: [] }]));
  for (let round = 0; round < repetitions; round += 1) {
    for (const [name, driver] of drivers) found.get(name).point.push(await points(driver));
    for (const [name, driver] of drivers) {
      found.get(name).all.push(await seconds(driver.all));
      if (driver.streamed !== undefined) found.get(name).streamed.push(await seconds(driver.streamed));
    }
  }
  console.log(`Node ${process.version}, ${rows} rows, ${repetitions} repetitions`);
  console.log("| driver | point SELECT, p50 | all rows | all rows, one by one |\n|---|---|---|---|");
  for (const [name, { point, all, streamed: one }] of found) {
    const last = one.length > 0 ? `${median(one).toFixed(2)} s` : "–";
    console.log(`| ${name} | ${median(point).toFixed(0)} µs | ${median(all).toFixed(2)} s | ${last} |`);
  }
  await db.close();
} finally {
  await daemon.discard();
}
