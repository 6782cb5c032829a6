// Who listens, and peers that are no daemon or mean ill: what they do, a program gets an error in time, and nothing stays open.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from "node:fs";
import net from "node:net";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";

import { connect, ConnectionLostError, LiteBaseError, OutcomeUnknownError, UntrustedError } from "litebase";
import { open, serve, startDaemon, until } from "./daemon.mjs";

const { encodeFrame, Reader } = createRequire(import.meta.url)("../dist/msgpack.js");

/** A peer that greets as a daemon does, and gives what comes then to a function. */
function greeting(context, answer) {
  return serve(context, (socket) => {
    let input = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      input = Buffer.concat([input, chunk]);
      while (input.length >= 4 && input.length >= 4 + input.readUInt32BE()) {
        const request = new Reader().read(input.subarray(4, 4 + input.readUInt32BE()));
        input = input.subarray(4 + input.readUInt32BE());
        const say = (data, type = `${request.type}_response`) => socket.write(encodeFrame({ id: request.id, type, data }));
        if (request.type === "hello") say({ version: "0", protocol: 1, limits: { frame_bytes_max: 1 << 24 } });
        else if (request.type === "list_databases") say({ databases: [{ name: "d", engine: "sqlite", default: true }] });
        else answer(request, say, socket);
      }
    });
  });
}

const frame = (hex) => {
  const body = Buffer.from(hex, "hex");
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length);
  return Buffer.concat([head, body]);
};

test("who is no daemon, or says nothing", async (context) => {
  const noise = Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n");
  const peers = {
    "is silent": () => undefined,
    "closes at once": (socket) => socket.destroy(),
    "ends after a request": (socket) => socket.once("data", () => socket.end()),
    "speaks HTTP": (socket) => socket.once("data", () => socket.write(noise)),
    "announces four gigabytes": (socket) => socket.write(Buffer.from("ffffffff00", "hex")),
    "announces, and sends nothing": (socket) => socket.write(Buffer.from("00010000", "hex")),
    "sends a number": (socket) => socket.write(frame("01")),
    "sends half a map": (socket) => socket.write(frame("82a2696401")),
    "sends an array without end": (socket) => socket.write(frame("81a264617461ddffffffff")),
    "nests": (socket) => socket.write(frame("81a17891".padEnd(400, "91") + "c0")),
    "sends an error without an id": (socket) => socket.write(frame("82a474797065a56572726f72a46461746180")),
    "drips": (socket) => {
      const timer = setInterval(() => socket.write(Buffer.from([0])), 20);
      socket.on("close", () => clearInterval(timer));
    },
  };
  for (const [name, peer] of Object.entries(peers)) {
    const socket = await serve(context, peer);
    await assert.rejects(connect({ socket, connectTimeout: 300 }), LiteBaseError, name);
  }
});

test("answers that no request had, or of a shape that the protocol does not have", async (context) => {
  const answers = {
    "another id first": (request, say, socket) => {
      socket.write(encodeFrame({ id: 999, type: "query_response", data: { rows: [[0]], more: false } }));
      socket.write(encodeFrame({ id: "text", type: "query_response", data: {} }));
      socket.write(encodeFrame({ id: null, type: "notice", data: { code: "unheard_of" } }));
      say({ columns: [{ name: "a", type: "any" }], rows: [[1]], more: false });
    },
    "names that are special": (request, say) =>
      say({ columns: [{ name: "__proto__", type: "__proto__" }, { name: "a", type: "constructor" }], rows: [["x", 1]], more: false }),
    "rows without columns": (request, say) => say({ rows: [[1]], more: false }),
    "columns and no rows": (request, say) => say({ columns: [{}], more: false }),
    "nothing at all": (request, say) => say({}),
  };
  for (const [name, answer] of Object.entries(answers)) {
    const db = await connect({ socket: await greeting(context, answer) });
    context.after(() => db.destroy());
    const { rows } = await db.query("SELECT 1");
    assert.ok(Array.isArray(rows), name);
    assert.equal({}.x, undefined);
    if (name === "another id first") assert.deepEqual(rows, [{ a: 1 }]);
  }
  const strange = { code: "unheard_of", message: 5, hint: "h", stack: "s", name: "n", retry_after_ms: 7, position: null, limit: { uid: 1 } };
  const db = await connect({ socket: await greeting(context, (request, say) => say(strange, "error")) });
  await assert.rejects(db.query("SELECT 1"), (error) => {
    assert.ok(error.constructor === LiteBaseError && error.name === "LiteBaseError" && error.stack.includes("peers.test"));
    assert.deepEqual([error.code, error.message, error.hint, error.retryAfter, error.limit], ["unheard_of", "5", "h", 7, { uid: 1 }]);
    assert.ok(!("position" in error));
    return true;
  });
  db.destroy();
});

test("a connection that ends within a reply leaves nobody waiting", async (context) => {
  const reply = encodeFrame({ id: 3, type: "query_response", data: { columns: [{ name: "a", type: "any" }], rows: [[1]], more: false } });
  for (let count = 0; count < reply.length; count += 7) {
    const socket = await greeting(context, (request, say, peer) => peer.end(reply.subarray(0, count)));
    const db = await connect({ socket });
    await assert.rejects(db.query("SELECT 1"), (error) => error instanceof OutcomeUnknownError && error.sqlState === "08007");
    await assert.rejects(db.stream("SELECT 1").next(), OutcomeUnknownError);
    db.destroy();
  }
});

test("a peer that does not stop a statement is left", async (context) => {
  const db = await connect({ socket: await greeting(context, () => undefined) });
  const began = Date.now();
  const other = db.query("SELECT 2");
  const stopped = db.query("SELECT 1", [], { signal: AbortSignal.timeout(10) });
  await Promise.all([assert.rejects(stopped, OutcomeUnknownError), assert.rejects(other, OutcomeUnknownError)]);
  assert.ok(Date.now() - began >= 4900);
});

test("requests that are waited for side by side are answered in any order", async (context) => {
  const waiting = [];
  const db = await connect({
    socket: await greeting(context, (request, say) => {
      waiting.push(() => say({ columns: [{ name: "sql", type: "text" }], rows: [[request.data.sql]], more: false }));
      if (waiting.length === 3) for (const answer of waiting.reverse()) answer();
    }),
  });
  const found = await Promise.all(["a", "b", "c"].map((sql) => db.first(sql)));
  assert.deepEqual(found, [{ sql: "a" }, { sql: "b" }, { sql: "c" }]);
  db.destroy();
});

test("a connection that was opened for who then found a place elsewhere is closed", async (context) => {
  const held = [];
  let connections = 0;
  let open = 0;
  const limits = { paged_queries_per_connection_max: 1, sessions_per_connection_max: 1 };
  const socket = await serve(context, (peer) => {
    const number = ++connections;
    open += 1;
    peer.on("close", () => (open -= 1));
    let input = Buffer.alloc(0);
    peer.on("data", (chunk) => {
      input = Buffer.concat([input, chunk]);
      while (input.length >= 4 && input.length >= 4 + input.readUInt32BE()) {
        const { id, type } = new Reader().read(input.subarray(4, 4 + input.readUInt32BE()));
        input = input.subarray(4 + input.readUInt32BE());
        const data = { hello: { version: "0", protocol: 1, limits }, list_databases: { databases: [] }, query: { columns: [], rows: [], more: false } };
        const say = () => peer.write(encodeFrame({ id, type: `${type}_response`, data: data[type] }));
        if (number === 2 || (type === "query" && held.length === 0)) held.push(say);
        else say();
      }
    });
  });
  const db = await connect({ socket });
  const first = db.stream("1").next();
  await until(() => held.length === 1, "the first place is taken");
  const second = db.stream("2").next();
  await until(() => held.length === 3, "another connection greets");
  held[0]();
  assert.deepEqual(await first, { value: undefined, done: true });
  for (const say of held.slice(1)) say();
  assert.deepEqual(await second, { value: undefined, done: true });
  await until(() => open === 1, "the other connection is closed");
  assert.equal(connections, 2);
  db.destroy();
});

const ENVIRONMENT = ["LITEBASE_SOCKET", "LITEBASE_TRUSTED_USERS", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "HOME"];

/** A fresh directory, and the environment as it was afterwards. */
function fresh(context) {
  const directory = mkdtempSync("/tmp/litebase-node-");
  const former = Object.fromEntries(ENVIRONMENT.map((name) => [name, process.env[name]]));
  for (const name of ENVIRONMENT) delete process.env[name];
  process.env.HOME = directory;
  context.after(() => {
    for (const [name, value] of Object.entries(former)) value === undefined ? delete process.env[name] : (process.env[name] = value);
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

test("the socket is looked for where the protocol says", async (context) => {
  const daemon = await startDaemon(context);
  const directory = fresh(context);
  await assert.rejects(connect(), (error) => error instanceof ConnectionLostError && /state\/litebase\/litebase\.sock/.test(error.message));
  mkdirSync(join(directory, ".local/state/litebase"), { recursive: true });
  symlinkSync(daemon.socket, join(directory, ".local/state/litebase/litebase.sock"));
  await (await connect()).close();
  process.env.XDG_RUNTIME_DIR = join(directory, "run");
  mkdirSync(join(directory, "run/litebase"), { recursive: true });
  symlinkSync(join(directory, "not there"), join(directory, "run/litebase/litebase.sock"));
  await (await connect()).close();
  process.env.LITEBASE_SOCKET = join(directory, "nothing");
  await assert.rejects(connect(), (error) => error instanceof ConnectionLostError && /nothing/.test(error.message));
  process.env.LITEBASE_SOCKET = daemon.socket;
  await (await connect()).close();
});

test("who may not connect is told so", async (context) => {
  const daemon = await startDaemon(context);
  chmodSync(daemon.directory, 0o755);
  chmodSync(daemon.socket, 0o600);
  const program = `import { connect } from "litebase";
    if (process.getuid() === 0) process.setuid(65534);
    await connect({ socket: process.argv[1] }).catch((error) => console.log(error.name, error.code, error.hint.includes("group")));`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program, daemon.socket], {
    cwd: new URL("..", import.meta.url), stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  await once(child, "close");
  if (process.getuid() === 0) assert.equal(output, "PermissionDeniedError permission_denied true\n");
});

test("where others could put a socket, nothing is sent", async (context) => {
  const daemon = await startDaemon(context);
  const directory = fresh(context);
  let heard = 0;
  const path = join(directory, "inner", "s");
  mkdirSync(join(directory, "inner"));
  const server = net.createServer((socket) => {
    socket.on("error", () => undefined).on("data", (data) => {
      heard += data.length;
      socket.destroy();
    });
  });
  await new Promise((resolve) => server.listen(path, resolve));
  context.after(() => server.close());
  const refused = async (why) => {
    await assert.rejects(connect({ socket: path }), (error) => error instanceof UntrustedError && why.test(error.message));
    assert.equal(heard, 0);
  };
  const accepted = async (options = {}) => {
    await assert.rejects(connect({ socket: path, ...options }), ConnectionLostError);
    assert.ok(heard > 0);
    heard = 0;
  };
  chmodSync(join(directory, "inner"), 0o777);
  await refused(/Others may write in .*inner/);
  chmodSync(join(directory, "inner"), 0o1777);
  await accepted();
  chmodSync(join(directory, "inner"), 0o700);
  chmodSync(directory, 0o777);
  await refused(/Others may write in/);
  chmodSync(directory, 0o700);
  if (process.geteuid() === 0) {
    chownSync(path, 65534, 65534);
    await refused(/belongs to the user nobody \(uid 65534\)/);
    process.env.LITEBASE_TRUSTED_USERS = "nobody";
    await accepted();
    delete process.env.LITEBASE_TRUSTED_USERS;
    await accepted({ trustUsers: [65534] });
    chownSync(path, 0, 0);
    chownSync(join(directory, "inner"), 65534, 65534);
    await refused(/The directory .*inner, in which .* belongs to the user nobody/);
    chownSync(join(directory, "inner"), 0, 1);
    chmodSync(join(directory, "inner"), 0o770);
    await refused(/Others may write/);
  }
  // A link is followed before it is judged: what counts is where the socket is.
  const link = join(directory, "link");
  symlinkSync(daemon.socket, link);
  await (await connect({ socket: link })).close();
  renameSync(link, join(directory, "moved"));
  const db = await open(context, daemon);
  assert.equal((await db.first("SELECT 1 AS one")).one, 1);
});
