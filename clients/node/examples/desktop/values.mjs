// Values that JSON has no form for, as the protocol writes them: integers beyond ±(2^53 − 1), blobs, infinities.

/** For JSON.stringify, which has made plain objects of buffers and dates before it asks. */
export function shown(key, value) {
  const own = this[key];
  if (typeof own === "bigint") return { $int: String(own) };
  if (own instanceof Uint8Array) return { $blob: Buffer.from(own).toString("base64") };
  if (typeof own === "number" && !Number.isFinite(own)) return { $real: String(own) };
  return value;
}

/** For JSON.parse. */
export function revive(key, value) {
  if (typeof value?.$int === "string") return BigInt(value.$int);
  if (typeof value?.$blob === "string") return Buffer.from(value.$blob, "base64");
  if (typeof value?.$real === "string") return Number(value.$real);
  return value;
}
