/** @internal Makes `await using` close objects of a class, where the runtime knows it. */
export function closedByUsing(prototype: { close(): Promise<void> }): void {
  const symbol = Symbol.asyncDispose as symbol | undefined;
  if (symbol === undefined) return;
  Object.defineProperty(prototype, symbol, {
    value(this: { close(): Promise<void> }) {
      return this.close();
    },
    configurable: true,
    writable: true,
  });
}
