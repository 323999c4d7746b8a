// narinfo files: a binary cache's information on a path, as lines `Field: value`.
import { EngineError } from "../base/errors.ts";
import { type Hash, parseHash, printHash } from "./hash.ts";
import type { PathInfo } from "./path-info.ts";
import { baseNameOf, parseStorePath, STORE_DIR, type StorePath } from "./store-path.ts";

/** A path's information, and where its NAR lies in the cache. */
export interface NarInfo {
  readonly info: PathInfo;
  /** Relative to the cache: `nar/<file hash>.nar.xz`. */
  readonly url: string;
  /** `none`, `xz`, `zstd`, `bzip2`, `br`…; bzip2 when the file does not say, as in Nix. */
  readonly compression: string;
  /** Hash of the compressed file; null when the cache does not say. */
  readonly fileHash: Hash | null;
  /** Size of the compressed file in bytes; null when the cache does not say. */
  readonly fileSize: bigint | null;
}

/** Longest narinfo accepted, in characters. */
export const MAX_NARINFO_LENGTH = 4 * 1024 * 1024;

const NO_DERIVER = "unknown-deriver";

/**
 * Reads a narinfo file; unknown fields are ignored. `source` names it in messages. Throws `NARINFO_MALFORMED` with the line and
 * `NARINFO_INCOMPLETE` when StorePath, URL, NarHash or NarSize is missing.
 */
export function parseNarInfo(text: string, source: string): NarInfo {
  if (text.length > MAX_NARINFO_LENGTH) {
    throw new EngineError(
      "format",
      "NARINFO_MALFORMED",
      `${source}: expected at most ${MAX_NARINFO_LENGTH} characters, found ${text.length}`,
    );
  }
  const fields = new Fields(source);
  const signatures: string[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const separator = line.indexOf(":");
    if (separator < 1) throw fields.malformed(index + 1, "'Field: value'", `'${line.slice(0, 100)}'`);
    const name = line.slice(0, separator);
    const value = line.slice(separator + 1).trim();
    if (name === "Sig") signatures.push(value);
    else fields.add(index + 1, name, value);
  }
  const deriver = fields.optional("Deriver", (value) => (value === "" || value === NO_DERIVER ? null : pathOf(value)));
  const narHash = fields.required("NarHash", (value) => parseHash(value, "sha256"));
  return {
    info: {
      path: fields.required("StorePath", parseStorePath),
      deriver,
      narHash: narHash.digest,
      narSize: fields.required("NarSize", parseSize),
      references: fields.optional("References", (value) => value.split(/\s+/).filter(Boolean).map(pathOf).sort()) ?? [],
      registrationTime: 0n,
      ultimate: false,
      signatures,
      contentAddress: fields.optional("CA", (value) => value) || null,
    },
    url: fields.required("URL", nonEmpty),
    compression: fields.optional("Compression", (value) => value) || "bzip2",
    fileHash: fields.optional("FileHash", (value) => parseHash(value)),
    fileSize: fields.optional("FileSize", parseSize),
  };
}

/** Prints a narinfo file with its fields in Nix's order. */
export function printNarInfo({ info, url, compression, fileHash, fileSize }: NarInfo): string {
  const lines = [`StorePath: ${info.path}`, `URL: ${url}`, `Compression: ${compression}`];
  if (fileHash !== null) lines.push(`FileHash: ${printHash(fileHash, "nix32", true)}`);
  if (fileSize !== null) lines.push(`FileSize: ${fileSize}`);
  lines.push(`NarHash: ${printHash({ algorithm: "sha256", digest: info.narHash }, "nix32", true)}`);
  lines.push(`NarSize: ${info.narSize}`);
  lines.push(`References: ${[...info.references].sort().map(baseNameOf).join(" ")}`);
  if (info.deriver !== null) lines.push(`Deriver: ${baseNameOf(info.deriver)}`);
  for (const signature of info.signatures) lines.push(`Sig: ${signature}`);
  if (info.contentAddress !== null) lines.push(`CA: ${info.contentAddress}`);
  return `${lines.join("\n")}\n`;
}

/** The fields of one file with their lines. */
class Fields {
  readonly #source: string;
  readonly #values = new Map<string, { readonly line: number; readonly value: string }>();

  constructor(source: string) {
    this.#source = source;
  }

  add(line: number, name: string, value: string): void {
    if (this.#values.has(name)) throw this.malformed(line, `one field '${name}'`, "a second");
    this.#values.set(name, { line, value });
  }

  required<T>(name: string, parse: (value: string) => T): T {
    const entry = this.#values.get(name);
    if (entry === undefined) {
      throw new EngineError("format", "NARINFO_INCOMPLETE", `${this.#source}: expected a field '${name}', found none`);
    }
    return this.#parse(entry, name, parse);
  }

  optional<T>(name: string, parse: (value: string) => T): T | null {
    const entry = this.#values.get(name);
    return entry === undefined ? null : this.#parse(entry, name, parse);
  }

  malformed(line: number, expected: string, found: string, cause?: unknown): EngineError {
    const message = `${this.#source}:${line}: expected ${expected}, found ${found}`;
    return new EngineError("format", "NARINFO_MALFORMED", message, { cause });
  }

  #parse<T>(entry: { readonly line: number; readonly value: string }, name: string, parse: (value: string) => T): T {
    try {
      return parse(entry.value);
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      throw this.malformed(
        entry.line,
        `a good value of '${name}'`,
        `'${entry.value.slice(0, 200)}' (${error.message})`,
        error,
      );
    }
  }
}

function pathOf(baseName: string): StorePath {
  return parseStorePath(`${STORE_DIR}/${baseName}`);
}

function nonEmpty(value: string): string {
  if (value === "") throw new EngineError("format", "NARINFO_MALFORMED", "it is empty");
  return value;
}

function parseSize(value: string): bigint {
  if (!/^[0-9]{1,20}$/.test(value)) throw new EngineError("format", "NARINFO_MALFORMED", "it is no number of bytes");
  return BigInt(value);
}
