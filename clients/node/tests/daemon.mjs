// A daemon of its own for tests, and what several of them need.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { connect } from "litebase";

/** The program under test: LITEBASED, or what `make build` has made. */
export const LITEBASED = process.env.LITEBASED ?? fileURLToPath(new URL("../../../.build/release/litebased", import.meta.url));

export const ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c";
export const ENDLESS_ROWS = ENDLESS.replace("count(*)", "x");
export const counting = (count) => `WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT ${count}) SELECT x FROM c`;

/** Waits until something holds. */
export async function until(holds, what) {
  for (let end = Date.now() + 30_000; ; await pause(5)) {
    const value = await holds();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
  }
}

function accepts(path) {
  return new Promise((resolve) => {
    const probe = net.connect(path);
    probe.once("connect", () => resolve(true) || probe.destroy());
    probe.once("error", () => resolve(false));
  });
}

export class Daemon {
  directory = mkdtempSync("/tmp/litebase-node-");
  socket = join(this.directory, "litebase.sock");

  async start() {
    const kept = Object.entries(process.env).filter(([name]) => !/^(LITEBASE|XDG_|LISTEN_|NOTIFY_|STATE_|RUNTIME_)/.test(name));
    const places = ["HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "STATE_DIRECTORY"].map((name) => [name, this.directory]);
    this.process = spawn(LITEBASED, ["--listen", "standalone", "--socket", this.socket], {
      env: Object.fromEntries([...kept, ...places]), stdio: "ignore",
    });
    await until(() => accepts(this.socket), "the daemon accepts connections");
    return this;
  }

  async kill(signal = "SIGKILL") {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill(signal);
    await once(this.process, "exit");
  }

  async discard() {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A daemon until the test, or all tests of `context`, have ended. */
export async function startDaemon(context) {
  const daemon = await new Daemon().start();
  context.after(() => daemon.discard());
  return daemon;
}

/** A connection until the test has ended. */
export async function open(context, daemon, options = {}) {
  const db = await connect({ socket: daemon.socket, ...options });
  context.after(() => db.destroy());
  return db;
}

/** A server in a fresh directory that gives each connection to a function. */
export async function serve(context, handle) {
  const directory = mkdtempSync("/tmp/litebase-node-");
  mkdirSync(directory, { recursive: true });
  const path = join(directory, "peer.sock");
  const open = new Set();
  const server = net.createServer((socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    socket.on("error", () => undefined);
    handle(socket);
  });
  server.listen(path);
  await once(server, "listening");
  context.after(() => {
    for (const socket of open) socket.destroy();
    server.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return path;
}

/** A place that gives each connection to the daemon, up to a number of bytes in one direction ("daemon", "client"); then it is cut. */
export async function cutter(context, daemon, towards, bytes) {
  const budget = { left: bytes };
  return serve(context, (client) => {
    const upstream = net.connect(daemon.socket);
    const cut = () => client.destroy() && upstream.destroy();
    upstream.on("error", cut).on("close", cut);
    client.on("close", () => upstream.destroy());
    const pass = (from, to, counts) => from.on("data", (chunk) => {
      const part = counts ? chunk.subarray(0, budget.left) : chunk;
      if (counts) budget.left -= part.length;
      to.write(part);
      if (counts && budget.left === 0) setImmediate(cut);
    });
    pass(client, upstream, towards === "daemon");
    pass(upstream, client, towards === "client");
  });
}

export { pause };
