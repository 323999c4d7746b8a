// nix32: Nix's base-32 notation of bytes, little-endian in bits and printed with the most significant digit first.
import { EngineError } from "../base/errors.ts";

/** The digits in the order of their values, without `e`, `o`, `t` and `u` (Nix manual, store path specification). */
export const NIX32_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz";

const NOT_A_DIGIT = 0xff;
const VALUES = new Uint8Array(256).fill(NOT_A_DIGIT);
for (let value = 0; value < 32; value++) VALUES[NIX32_ALPHABET.charCodeAt(value)] = value;

/** The digit value of each byte, or 255 for bytes that are not nix32 digits. Not to be written to. */
export const NIX32_VALUES: Readonly<Uint8Array> = VALUES;

/** How many digits `size` bytes take: 20 bytes 32 digits, 32 bytes 52. */
export function nix32Length(size: number): number {
  return Math.ceil((size * 8) / 5);
}

/** Prints bytes in nix32. */
export function encodeNix32(bytes: Uint8Array): string {
  let text = "";
  for (let digit = nix32Length(bytes.length) - 1; digit >= 0; digit--) {
    const bit = digit * 5;
    const index = bit >> 3;
    const shift = bit & 7;
    const low = bytes[index]! >> shift;
    const high = index + 1 < bytes.length ? bytes[index + 1]! << (8 - shift) : 0;
    text += NIX32_ALPHABET[(low | high) & 31]!;
  }
  return text;
}

/**
 * The bytes of a nix32 text. Throws `NIX32_MALFORMED` for a character that is not a digit, for an impossible length, and for bits
 * set beyond the last byte.
 */
export function decodeNix32(text: string): Uint8Array {
  const size = Math.floor((text.length * 5) / 8);
  if (nix32Length(size) !== text.length)
    throw malformed(text, `${text.length} digits, which is no whole number of bytes`);
  const bytes = new Uint8Array(size);
  for (let position = 0; position < text.length; position++) {
    const code = text.charCodeAt(position);
    const value = code < 256 ? VALUES[code]! : NOT_A_DIGIT;
    if (value === NOT_A_DIGIT) throw malformed(text, `'${text[position]}' at position ${position}`);
    const bit = (text.length - 1 - position) * 5;
    const index = bit >> 3;
    const shift = bit & 7;
    bytes[index] = bytes[index]! | ((value << shift) & 0xff);
    const carry = value >> (8 - shift);
    if (index + 1 < size) bytes[index + 1] = bytes[index + 1]! | carry;
    else if (carry !== 0) throw malformed(text, `'${text[position]}', which sets bits beyond the last byte`);
  }
  return bytes;
}

function malformed(text: string, found: string): EngineError {
  return new EngineError(
    "format",
    "NIX32_MALFORMED",
    `in '${text.slice(0, 120)}': expected digits of '${NIX32_ALPHABET}', found ${found}`,
  );
}
