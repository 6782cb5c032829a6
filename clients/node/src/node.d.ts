// What of Node this package uses, so that it compiles without @types/node, which not every distribution of Node has. Where that is
// there, the tests compile against it as well (tsconfig.types.json).

interface AbortSignalEventInit {
  once?: boolean;
}
interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: any;
  throwIfAborted(): void;
  addEventListener(type: "abort", listener: (event: { target: unknown }) => void, options?: AbortSignalEventInit): void;
  removeEventListener(type: "abort", listener: (event: { target: unknown }) => void): void;
}
declare class AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}
interface Timer {
  unref(): this;
}
declare function setTimeout(task: () => void, milliseconds: number): Timer;
declare const performance: { now(): number };
declare function clearTimeout(timer: Timer): void;
declare function setImmediate(task: () => void): void;
declare function queueMicrotask(task: () => void): void;

interface ErrorConstructor {
  captureStackTrace?(error: Error): void;
}

interface Buffer extends Uint8Array {
  copy(target: Uint8Array, targetStart: number, start: number, end: number): number;
  subarray(start?: number, end?: number): Buffer;
  toString(encoding?: "utf8", start?: number, end?: number): string;
  write(text: string, offset: number, encoding: "utf8"): number;
  writeUInt16BE(value: number, offset: number): number;
  writeUInt32BE(value: number, offset: number): number;
  writeInt8(value: number, offset: number): number;
  writeInt16BE(value: number, offset: number): number;
  writeInt32BE(value: number, offset: number): number;
  writeDoubleBE(value: number, offset: number): number;
  writeBigInt64BE(value: bigint, offset: number): number;
  writeBigUInt64BE(value: bigint, offset: number): number;
  readUInt16BE(offset: number): number;
  readUInt32BE(offset: number): number;
  readInt8(offset: number): number;
  readInt16BE(offset: number): number;
  readInt32BE(offset: number): number;
  readFloatBE(offset: number): number;
  readDoubleBE(offset: number): number;
  readBigInt64BE(offset: number): bigint;
  readBigUInt64BE(offset: number): bigint;
}
declare const Buffer: {
  alloc(count: number): Buffer;
  allocUnsafe(count: number): Buffer;
  byteLength(text: string): number;
  concat(list: readonly Uint8Array[], count: number): Buffer;
  from(data: Uint8Array | string): Buffer;
};

declare const process: {
  readonly argv: string[];
  readonly env: { [name: string]: string | undefined };
  readonly title: string;
  geteuid?(): number;
  getegid?(): number;
};

declare module "node:child_process" {
  export function execFile(
    file: string,
    args: string[],
    options: { timeout: number },
    done: (error: Error | null, output: string) => void,
  ): unknown;
}
declare module "node:fs/promises" {
  interface Stats {
    readonly uid: number;
    readonly gid: number;
    readonly mode: number;
  }
  export function lstat(path: string): Promise<Stats>;
  export function stat(path: string): Promise<Stats>;
  export function realpath(path: string): Promise<string>;
}
declare module "node:net" {
  export interface Socket {
    on(event: "data", listener: (chunk: Buffer) => void): this;
    on(event: "error", listener: (error: Error) => void): this;
    on(event: "close", listener: () => void): this;
    once(event: "connect", listener: () => void): this;
    once(event: "error", listener: (error: Error) => void): this;
    removeListener(event: "error", listener: (error: Error) => void): this;
    write(bytes: Uint8Array): boolean;
    pause(): this;
    resume(): this;
    ref(): this;
    unref(): this;
    destroy(): this;
  }
  export function createConnection(options: { path: string }): Socket;
}
declare module "node:os" {
  export function homedir(): string;
}
declare module "node:path" {
  export function basename(path: string): string;
  export function dirname(path: string): string;
  export function isAbsolute(path: string): boolean;
  export function join(...parts: string[]): string;
}
