// Derivations for tests: any at all, and small ones by hand.
import fc from "fast-check";
import type { Derivation, DerivationInput, DerivationOutput } from "../../../src/engine/derivation/derivation.ts";
import { fixedOutputPath } from "../../../src/engine/derivation/hash-modulo.ts";
import { type ByteString, byteStringOf, fromBytes } from "../../../src/engine/formats/byte-string.ts";
import { HASH_SIZES, type HashAlgorithm } from "../../../src/engine/formats/hash.ts";
import { NIX32_ALPHABET } from "../../../src/engine/formats/nix32.ts";
import { parseStorePath, type StorePath } from "../../../src/engine/formats/store-path.ts";

/** A store path whose hash part is told by a number. */
export function samplePath(number: number, name: string): StorePath {
  return parseStorePath(`/nix/store/${`${number}`.padStart(32, "0")}-${name}`);
}

/** A derivation with one output that needs the `out` of the given ones. */
export function sampleDerivation(name: string, inputs: readonly StorePath[] = []): Derivation {
  return {
    name,
    outputs: new Map([["out", { type: "deferred" }]]),
    inputDrvs: new Map(inputs.map((input) => [input, { outputs: new Set(["out"]), dynamic: new Map() }])),
    inputSrcs: new Set(),
    platform: "x86_64-linux",
    builder: byteStringOf("/bin/sh"),
    args: [],
    env: new Map([[byteStringOf("out"), byteStringOf("")]]),
  };
}

const bytes = fc.oneof(fc.uint8Array({ maxLength: 12 }).map(fromBytes), fc.string().map(byteStringOf));
const name = fc.stringMatching(/^[0-9a-zA-Z+\-_?=][0-9a-zA-Z+\-._?=]{0,8}$/);
const storePath = fc
  .tuple(fc.array(fc.constantFrom(...NIX32_ALPHABET), { minLength: 32, maxLength: 32 }), name)
  .map(([hash, rest]) => parseStorePath(`/nix/store/${hash.join("")}-${rest}`));
const method = fc.constantFrom("flat", "nar", "text", "git" as const);
const algorithm = fc.constantFrom(...(Object.keys(HASH_SIZES) as HashAlgorithm[]));
const output: fc.Arbitrary<DerivationOutput> = fc.oneof(
  fc.record({ type: fc.constant("inputAddressed" as const), path: storePath }),
  fc.record({ type: fc.constant("floating" as const), method, algorithm }),
  fc.record({ type: fc.constant("impure" as const), method, algorithm }),
  fc.constant({ type: "deferred" } as const),
  fc
    .tuple(method, algorithm, storePath, fc.uint8Array({ minLength: 64, maxLength: 64 }))
    .map(([method, algorithm, path, digest]) => ({
      type: "fixed" as const,
      method,
      algorithm,
      hash: Buffer.from(digest.subarray(0, HASH_SIZES[algorithm])).toString("hex"),
      path,
    })),
);

function sorted<K extends string, V>(entries: readonly (readonly [K, V])[]): Map<K, V> {
  return new Map([...new Map(entries)].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const names = fc.array(name, { maxLength: 3 }).map((list) => new Set([...list].sort()));
const { input } = fc.letrec<{ input: DerivationInput }>((tie) => ({
  input: fc.record({
    outputs: names,
    dynamic: fc.oneof(
      { maxDepth: 2 },
      fc.constant(new Map<string, DerivationInput>()),
      fc.array(fc.tuple(name, tie("input")), { maxLength: 2 }).map(sorted),
    ),
  }),
}));

/** Any derivation, with everything in the order of a file, and fixed outputs where their hashes say. */
export const anyDerivation: fc.Arbitrary<Derivation> = fc
  .record({
    name,
    outputs: fc.array(fc.tuple(name, output), { maxLength: 3 }).map(sorted),
    inputDrvs: fc.array(fc.tuple(storePath, input), { maxLength: 3 }).map(sorted),
    inputSrcs: fc.array(storePath, { maxLength: 3 }).map((paths) => new Set([...paths].sort())),
    platform: fc.constantFrom("x86_64-linux", "builtin"),
    builder: bytes,
    args: fc.array(bytes, { maxLength: 3 }),
    env: fc.array(fc.tuple(bytes, bytes), { maxLength: 4 }).map((entries) => sorted<ByteString, ByteString>(entries)),
  })
  .map((derivation) => ({
    ...derivation,
    outputs: new Map([...derivation.outputs].map(([name, made]) => [name, placed(derivation.name, name, made)])),
  }));

function placed(drvName: string, name: string, made: DerivationOutput): DerivationOutput {
  if (made.type !== "fixed") return made;
  try {
    return { ...made, path: fixedOutputPath(drvName, name, made) };
  } catch {
    // Git trees are hashed by two algorithms only.
    return { type: "deferred" };
  }
}
