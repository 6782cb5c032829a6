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
