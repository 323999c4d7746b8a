// Byte strings: text of unknown encoding kept as a string with one character (U+0000 to U+00FF) per byte, so that it can be a
// map key, compares bytewise and loses nothing.

declare const byteStringBrand: unique symbol;

/** Bytes as a string, one character per byte ("latin1"). Nix's strings are bytes, not necessarily UTF-8. */
export type ByteString = string & { readonly [byteStringBrand]: true };

/** The UTF-8 bytes of a JavaScript text. */
export function byteStringOf(text: string): ByteString {
  return Buffer.from(text, "utf8").toString("latin1") as ByteString;
}

/** The text of UTF-8 bytes, for display only: malformed sequences become U+FFFD. */
export function textOf(bytes: ByteString): string {
  return Buffer.from(bytes, "latin1").toString("utf8");
}

/** Wraps raw bytes. */
export function fromBytes(bytes: Uint8Array): ByteString {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1") as ByteString;
}

/** The raw bytes. */
export function toBytes(bytes: ByteString): Uint8Array {
  return Buffer.from(bytes, "latin1");
}
