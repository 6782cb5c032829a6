// What the examples use of Node, as @types/node and lib.dom declare it: not every distribution of Node brings the first, and the
// second of TypeScript 4.8 has no AbortSignal.timeout.

interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: any;
}
declare const AbortSignal: { timeout(milliseconds: number): AbortSignal };
declare class AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}
declare const console: { log(...values: unknown[]): void };
declare module "node:child_process" {
  interface Child {
    readonly pid?: number;
    readonly stdin: { end(content: string): void } | null;
  }
  export function spawn(program: string, args: string[], options: { stdio: "ignore" | (string | number)[] }): Child;
}
declare module "node:events" {
  export function once(emitter: object, event: string): Promise<any[]>;
}
declare module "node:fs/promises" {
  interface FileHandle {
    readonly fd: number;
    readFile(encoding: "utf8"): Promise<string>;
    close(): Promise<void>;
  }
  export function open(path: string, flags?: string): Promise<FileHandle>;
}
