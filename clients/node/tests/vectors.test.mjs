// clients/vectors: whoever passes them speaks the protocol.

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import test from "node:test";

import { LiteBaseError, Real } from "litebase";

const require = createRequire(import.meta.url);
const { encode, encodeFrame, Reader } = require("../dist/msgpack.js");
const { Link } = require("../dist/link.js");
const { changeOf } = require("../dist/changes.js");

function linesOf(name) {
  const text = readFileSync(new URL(`../../vectors/${name}`, import.meta.url), "utf8");
  return text.trim().split("\n").map((line) => JSON.parse(line));
}

const bytes = (hex) => Buffer.from(hex, "hex");
const read = (hex, bigints) => new Reader(bigints).read(bytes(hex));
const bitsOf = (number) => {
  const buffer = Buffer.alloc(8);
  buffer.writeDoubleBE(number);
  return buffer.toString("hex");
};

/** The value of a vector as JavaScript has it, and as it is sent. */
function native(vector) {
  switch (vector.kind) {
    case "boolean":
      return [vector.value, vector.value];
    case "integer": {
      const large = BigInt(vector.value);
      const number = Number(large);
      return Number.isSafeInteger(number) ? [number, number] : [large, large];
    }
    case "real": {
      const number = bytes(vector.bits).readDoubleBE();
      return [number, new Real(number)];
    }
    case "text":
      return [bytes(vector.utf8).toString(), bytes(vector.utf8).toString()];
    case "blob":
      return [bytes(vector.hex), bytes(vector.hex)];
    default:
      return [null, null];
  }
}

test("values are written as the daemon writes them, and read in every form", () => {
  for (const vector of linesOf("values.jsonl")) {
    const [value, sent] = native(vector.native);
    assert.equal(encode(sent).toString("hex"), vector.msgpack);
    for (const form of [vector.msgpack, ...(vector.msgpack_also ?? [])]) {
      const back = read(form);
      if (vector.native.kind === "real" && !Number.isNaN(value)) assert.equal(bitsOf(back), vector.native.bits, form);
      else assert.deepEqual(back, value, form);
    }
    if (vector.native.kind === "integer") assert.equal(encode(BigInt(vector.native.value)).toString("hex"), vector.msgpack);
  }
});

test("integers of rows are all bigint where that is wanted, and only they", () => {
  const message = { id: 1, data: { rows: [[1, -1, 2 ** 40, -(2 ** 40), 300, -300, 1.5, "1", [2]]], row_count: 1 } };
  const back = new Reader(true).read(encode(message));
  assert.deepEqual(back, { id: 1, data: { rows: [[1n, -1n, 2n ** 40n, -(2n ** 40n), 300n, -300n, 1.5, "1", [2n]]], row_count: 1 } });
});

test("requests are read as what they are, and written as the same bytes", () => {
  for (const vector of linesOf("requests.jsonl")) {
    const request = read(vector.msgpack);
    assert.equal(request.type, vector.type);
    assert.deepEqual(read(encode(request).toString("hex")), request);
    // What JavaScript cannot tell apart, 1 and 1.0, is the one difference there may be.
    if (!/cb/.test(vector.msgpack)) assert.equal(encodeFrame(request).toString("hex"), vector.frame);
  }
});

/** What a link needs of a socket. */
class Wire extends EventEmitter {
  written = [];
  write(frame) {
    this.written.push(frame);
  }
  ref() {}
  unref() {}
  pause() {}
  resume() {}
  destroy() {
    this.emit("close");
  }
}

const framed = (body) => {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length);
  return Buffer.concat([head, body]);
};

/** A link that waits for the reply to each id from 1 on, and what it took notice of. */
function waiting(ids) {
  const wire = new Wire();
  const heard = [];
  const link = new Link(wire, false, (data) => heard.push(["notice", data]));
  for (let id = 1; id <= Math.max(0, ...ids); id += 1) {
    const sent = link.send("query", {}, {
      reply(data) {
        heard.push(["reply", data]);
        return data.more !== true;
      },
      fail: (error) => heard.push(["error", error]),
    });
    assert.equal(sent, id);
  }
  return { wire, heard, link };
}

/** What is heard of messages, in any order of notices and replies. */
async function compare(heard, messages) {
  await new Promise((resolve) => setImmediate(resolve));
  const wanted = messages.filter((message) => message.id === null || isCounted(message.id));
  for (const kind of ["notice", "reply", "error"]) {
    const found = heard.filter(([name]) => name === kind).map(([, data]) => data);
    const kindOf = (message) => (message.type === "error" ? "error" : message.id === null ? "notice" : "reply");
    const expected = wanted.filter((message) => kindOf(message) === kind).map((message) => message.data);
    if (kind === "error") {
      assert.deepEqual(found.map((error) => error.code), expected.map((data) => data.code));
      assert.ok(found.every((error) => error instanceof LiteBaseError && error.message.length > 0));
    } else {
      assert.deepEqual(found, expected);
    }
  }
}

// Ids that no client has that counts its requests are those of nobody.
const isCounted = (id) => typeof id === "number" && id > 0 && id < 1000;
const numbers = (messages) => messages.map((message) => message.id).filter(isCounted);

test("a stream is the same wherever it is cut", async () => {
  const vectors = linesOf("streams.jsonl").filter((vector) => vector.framing === "frames");
  assert.ok(vectors.length > 2);
  for (const vector of vectors) {
    const stream = bytes(vector.bytes);
    const messages = vector.bodies.map((body) => read(body));
    for (let size = 1; size <= stream.length; size += 1) {
      const { wire, heard } = waiting(numbers(messages));
      for (let at = 0; at < stream.length; at += size) wire.emit("data", stream.subarray(at, at + size));
      await compare(heard, messages);
    }
  }
});

test("replies, notices and errors come to whom they are for", async () => {
  for (const vector of linesOf("replies.jsonl")) {
    const messages = vector.msgpack.map((body) => read(body));
    const { wire, heard } = waiting(numbers(messages));
    for (const body of vector.msgpack) wire.emit("data", framed(bytes(body)));
    await compare(heard, messages);
  }
});

/** The texts of a message, some of which are none. */
function texts({ channel, payload, pattern }) {
  return { channel: native(channel)[0], payload: native(payload)[0], pattern: pattern === null ? null : native(pattern)[0] };
}

test("changes are told", () => {
  const vectors = linesOf("replies.jsonl").filter((vector) => vector.changes !== undefined);
  assert.ok(vectors.length > 1);
  for (const vector of vectors) {
    const bodies = vector.msgpack.map((body) => read(body)).filter(({ type }) => type !== "error");
    const there = (entries) => Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== null));
    const wanted = vector.changes.map(({ message, ...rest }) =>
      there({ ...rest, message: message === null ? null : there({ ...message, ...texts(message) }) }));
    assert.deepEqual(bodies.map(({ data }) => changeOf(data)), wanted);
  }
});

test("whatever comes is a value or an error", () => {
  let state = 12345;
  const next = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 16;
  const seeds = ["82a2696401", "dd0000000191c0", "dfffffffff", "c70cff", "d7ff3132333435363738", "c6ffffffff00", "dbffffffff", "cfffffffffffffffff"];
  for (let round = 0; round < 20_000; round += 1) {
    const input = Buffer.concat([bytes(seeds[round % seeds.length]), Buffer.from(Array.from({ length: next() % 12 }, () => next() & 0xff))]);
    for (let change = next() % 3; change > 0; change -= 1) input[next() % input.length] = next() & 0xff;
    try {
      new Reader().read(input);
    } catch (error) {
      assert.match(error.constructor.name, /Malformed|RangeError/, input.toString("hex"));
    }
  }
  assert.throws(() => read("91".repeat(100) + "c0"), /deeply/);
});
