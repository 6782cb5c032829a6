// MessagePack as the protocol has it (docs/protocol.md, "Byte by byte").

/** A real number that is sent as one even where it has no fraction: JavaScript's `1` is sent as an integer. */
export class Real {
  readonly value: number;

  constructor(value: number) {
    this.value = Number(value);
  }

  valueOf(): number {
    return this.value;
  }
}

/** What is sent as a map. */
export type Fields = { readonly [key: string]: unknown };
/** What a map is read as. */
export type Data = { [key: string]: unknown };

/** @internal Bytes that are no MessagePack of the protocol. */
export class Malformed extends Error {}

const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;
/** As deep as the daemon reads. */
const DEPTH_MAX = 64;
/** A text as long as this is made of its bytes one by one, which is faster than a call into the runtime. */
const SHORT_TEXT = 16;
const KEPT_BYTES = 1 << 16;

/** @internal Of every realm: test runners have several, whose classes differ. */
export function isBytes(value: object): value is Uint8Array {
  return ArrayBuffer.isView(value) && (value as Uint8Array)[Symbol.toStringTag] === "Uint8Array";
}

// Writing: into one buffer that is kept, since nothing else runs meanwhile.

let out = Buffer.allocUnsafe(8192);
let used = 0;

function reserve(count: number): void {
  if (used + count > out.length) {
    const larger = Buffer.allocUnsafe(Math.max(out.length * 2, used + count));
    out.copy(larger, 0, 0, used);
    out = larger;
  }
}

function writeHead(count: number, short: number, shortMax: number, byte: number, wide: number): void {
  reserve(5);
  if (count <= shortMax) {
    out[used++] = short | count;
  } else if (byte !== 0 && count < 0x100) {
    out[used++] = byte;
    out[used++] = count;
  } else if (count < 0x10000) {
    out[used] = wide;
    out.writeUInt16BE(count, used + 1);
    used += 3;
  } else {
    out[used] = wide + 1;
    out.writeUInt32BE(count, used + 1);
    used += 5;
  }
}

function writeText(text: string): void {
  const length = text.length;
  if (length < 32) {
    // Short and in ASCII, as most keys and values are.
    reserve(1 + length);
    let index = 0;
    for (; index < length; index += 1) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) break;
      out[used + 1 + index] = code;
    }
    if (index === length) {
      out[used] = 0xa0 | length;
      used += 1 + length;
      return;
    }
  }
  if (/\p{Surrogate}/u.test(text)) throw new RangeError("a text with half a surrogate pair has no UTF-8; send it as bytes");
  const count = Buffer.byteLength(text);
  writeHead(count, 0xa0, 31, 0xd9, 0xda);
  reserve(count);
  used += out.write(text, used, "utf8");
}

function writeNumber(value: number): void {
  reserve(9);
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
    writeReal(value);
  } else if (value >= 0) {
    if (value < 0x80) {
      out[used++] = value;
    } else if (value < 0x100) {
      out[used++] = 0xcc;
      out[used++] = value;
    } else if (value < 0x10000) {
      out[used] = 0xcd;
      used = out.writeUInt16BE(value, used + 1);
    } else if (value < 0x100000000) {
      out[used] = 0xce;
      used = out.writeUInt32BE(value, used + 1);
    } else {
      out[used] = 0xcf;
      used = out.writeBigUInt64BE(BigInt(value), used + 1);
    }
  } else if (value >= -0x20) {
    out[used++] = value & 0xff;
  } else if (value >= -0x80) {
    out[used] = 0xd0;
    used = out.writeInt8(value, used + 1);
  } else if (value >= -0x8000) {
    out[used] = 0xd1;
    used = out.writeInt16BE(value, used + 1);
  } else if (value >= -0x80000000) {
    out[used] = 0xd2;
    used = out.writeInt32BE(value, used + 1);
  } else {
    out[used] = 0xd3;
    used = out.writeBigInt64BE(BigInt(value), used + 1);
  }
}

function writeReal(value: number): void {
  reserve(9);
  out[used] = 0xcb;
  used = out.writeDoubleBE(value, used + 1);
}

function writeBigInt(value: bigint): void {
  if (value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)) {
    writeNumber(Number(value));
    return;
  }
  if (value < INT64_MIN || value > UINT64_MAX) throw new RangeError("an integer has more than 64 bits; send it as text");
  reserve(9);
  out[used] = value < 0n ? 0xd3 : 0xcf;
  used = value < 0n ? out.writeBigInt64BE(value, used + 1) : out.writeBigUInt64BE(value, used + 1);
}

function writeBytes(bytes: Uint8Array): void {
  writeHead(bytes.length, 0, -1, 0xc4, 0xc5);
  reserve(bytes.length);
  out.set(bytes, used);
  used += bytes.length;
}

function writeMap(map: Fields): void {
  const keys = Object.keys(map).filter((key) => map[key] !== undefined);
  writeHead(keys.length, 0x80, 15, 0, 0xde);
  for (const key of keys) {
    writeText(key);
    writeValue(map[key]);
  }
}

function writeValue(value: unknown): void {
  switch (typeof value) {
    case "string":
      writeText(value);
      return;
    case "number":
      writeNumber(value);
      return;
    case "bigint":
      writeBigInt(value);
      return;
    case "boolean":
      reserve(1);
      out[used++] = value ? 0xc3 : 0xc2;
      return;
    case "object":
      if (value === null) {
        reserve(1);
        out[used++] = 0xc0;
      } else if (isBytes(value)) {
        writeBytes(value);
      } else if (value instanceof Real) {
        writeReal(value.value);
      } else if (Array.isArray(value)) {
        writeHead(value.length, 0x90, 15, 0, 0xdc);
        for (const item of value) writeValue(item);
      } else if (value instanceof Date) {
        throw new TypeError("a value cannot be a Date");
      } else {
        writeMap(value as Fields);
      }
      return;
    default:
      throw new TypeError(`a value cannot be ${value === undefined ? "undefined" : `a ${typeof value}`}`);
  }
}

function taken(): Buffer {
  const written = out.subarray(0, used);
  if (used <= KEPT_BYTES) return Buffer.from(written);
  out = Buffer.allocUnsafe(8192);
  return written;
}

/** @internal A value as it is sent. Throws TypeError and RangeError for what cannot be. */
export function encode(value: unknown): Buffer {
  used = 0;
  writeValue(value);
  return taken();
}

/** @internal A message with its length before it. */
export function encodeFrame(message: Fields): Buffer {
  used = 4;
  writeMap(message);
  out.writeUInt32BE(used - 4, 0);
  return taken();
}

// Reading

/** @internal Reads messages. With `bigints`, each integer within the field `rows` is a bigint, not only those beyond 2^53. */
export class Reader {
  readonly #bigints: boolean;
  #body: Buffer = Buffer.alloc(0);
  #at = 0;
  #depth = 0;
  #isInRows = false;

  constructor(bigints = false) {
    this.#bigints = bigints;
  }

  /** The value that the bytes are, all of them. Throws Malformed. */
  read(body: Buffer): unknown {
    this.#body = body;
    this.#at = this.#depth = 0;
    this.#isInRows = false;
    const value = this.#value();
    if (this.#at !== body.length) throw new Malformed("there are bytes behind the message");
    return value;
  }

  /** Where `count` bytes begin, which are read with it. */
  #take(count: number): number {
    const start = this.#at;
    // Written so that it holds for what is no number, too.
    if (!(count <= this.#body.length - start)) throw new Malformed("the message is cut short");
    this.#at = start + count;
    return start;
  }

  #value(): unknown {
    const start = this.#take(1);
    const head = this.#body[start] as number;
    if (head < 0x80) return this.#integer(head);
    if (head < 0x90) return this.#map(head & 0x0f);
    if (head < 0xa0) return this.#array(head & 0x0f);
    if (head < 0xc0) return this.#text(head & 0x1f);
    if (head >= 0xe0) return this.#integer(head - 0x100);
    const body = this.#body;
    switch (head) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#bytes(this.#count(1));
      case 0xc5:
        return this.#bytes(this.#count(2));
      case 0xc6:
        return this.#bytes(this.#count(4));
      case 0xca:
        return body.readFloatBE(this.#take(4));
      case 0xcb:
        return body.readDoubleBE(this.#take(8));
      case 0xcc:
        return this.#integer(this.#count(1));
      case 0xcd:
        return this.#integer(this.#count(2));
      case 0xce:
        return this.#integer(this.#count(4));
      case 0xcf:
        return this.#large(body.readBigUInt64BE(this.#take(8)));
      case 0xd0:
        return this.#integer(body.readInt8(this.#take(1)));
      case 0xd1:
        return this.#integer(body.readInt16BE(this.#take(2)));
      case 0xd2:
        return this.#integer(body.readInt32BE(this.#take(4)));
      case 0xd3:
        return this.#large(body.readBigInt64BE(this.#take(8)));
      case 0xd9:
        return this.#text(this.#count(1));
      case 0xda:
        return this.#text(this.#count(2));
      case 0xdb:
        return this.#text(this.#count(4));
      case 0xdc:
        return this.#array(this.#count(2));
      case 0xdd:
        return this.#array(this.#count(4));
      case 0xde:
        return this.#map(this.#count(2));
      case 0xdf:
        return this.#map(this.#count(4));
      default:
        return this.#extension(head);
    }
  }

  #count(size: 1 | 2 | 4): number {
    const start = this.#take(size);
    if (size === 1) return this.#body[start] as number;
    return size === 2 ? this.#body.readUInt16BE(start) : this.#body.readUInt32BE(start);
  }

  #integer(value: number): number | bigint {
    return this.#bigints && this.#isInRows ? BigInt(value) : value;
  }

  #large(value: bigint): number | bigint {
    const number = Number(value);
    return Number.isSafeInteger(number) && !(this.#bigints && this.#isInRows) ? number : value;
  }

  #text(count: number): string {
    const start = this.#take(count);
    const body = this.#body;
    if (count < SHORT_TEXT) {
      let text = "";
      let index = start;
      for (; index < start + count; index += 1) {
        const code = body[index] as number;
        if (code > 0x7f) break;
        text += String.fromCharCode(code);
      }
      if (index === start + count) return text;
    }
    return body.toString("utf8", start, start + count);
  }

  #bytes(count: number): Buffer {
    const start = this.#take(count);
    // A copy: a view would keep all of what was received with it.
    return Buffer.from(this.#body.subarray(start, start + count));
  }

  #enter(count: number, size: number): void {
    // Each element has a byte at least: no memory is set aside for what cannot be there.
    if (count * size > this.#body.length - this.#at) throw new Malformed("the message is cut short");
    this.#depth += 1;
    if (this.#depth > DEPTH_MAX) throw new Malformed("the message is nested too deeply");
  }

  #array(count: number): unknown[] {
    this.#enter(count, 1);
    const items: unknown[] = [];
    for (let index = 0; index < count; index += 1) items.push(this.#value());
    this.#depth -= 1;
    return items;
  }

  #map(count: number): Data {
    this.#enter(count, 2);
    const map: Data = {};
    const isOuter = !this.#isInRows;
    for (let index = 0; index < count; index += 1) {
      const key = this.#value();
      if (typeof key !== "string") throw new Malformed("a key is no text");
      if (isOuter) this.#isInRows = key === "rows";
      setField(map, key, this.#value());
      if (isOuter) this.#isInRows = false;
    }
    this.#depth -= 1;
    return map;
  }

  /** MessagePack's timestamp, as a Date; microseconds and nanoseconds are of no use for what the protocol has it for. */
  #extension(head: number): Date {
    const count = head === 0xd6 ? 4 : head === 0xd7 ? 8 : head === 0xc7 ? this.#count(1) : 0;
    const body = this.#body;
    if (body.readInt8(this.#take(1)) !== -1) throw new Malformed("an extension that the protocol does not have");
    const start = this.#take(count);
    if (count === 4) return new Date(body.readUInt32BE(start) * 1000);
    if (count === 8) {
      const bits = body.readBigUInt64BE(start);
      return new Date(Number(bits & 0x3_ffff_ffffn) * 1000 + Math.floor(Number(bits >> 34n) / 1e6));
    }
    if (count === 12) {
      return new Date(Number(body.readBigInt64BE(start + 4)) * 1000 + Math.floor(body.readUInt32BE(start) / 1e6));
    }
    throw new Malformed("a timestamp of an unknown form");
  }
}

/** @internal Sets a field of an object by a name that somebody else chose: `__proto__` is a name as any other. */
export function setField(object: Data, key: string, value: unknown): void {
  if (key === "__proto__") {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else {
    object[key] = value;
  }
}
