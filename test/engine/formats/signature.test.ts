import { describe, expect, it } from "vitest";
import {
  fingerprintOf,
  generateSecretKey,
  parsePublicKey,
  parseSecretKey,
  printPublicKey,
  printSecretKey,
  publicKeyOf,
  secretKeyFromSeed,
  signPath,
  validSignatures,
} from "../../../src/engine/formats/signature.ts";
import { parseStorePath } from "../../../src/engine/formats/store-path.ts";

const a = parseStorePath("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a");
const b = parseStorePath("/nix/store/1123456789abcdfghijklmnpqrsvwxyz-b");
const info = { path: a, narHash: new Uint8Array(32), narSize: 2n ** 60n, references: [b, a] };
const key = secretKeyFromSeed("test-1", Buffer.alloc(32, 7));

describe("signatures", () => {
  it("cover path, hash, size and sorted references", () => {
    expect(fingerprintOf(info)).toBe(`1;${a};sha256:${"0".repeat(52)};1152921504606846976;${a},${b}`);
  });

  it("are made and verified, and fail for any other information", () => {
    const signature = signPath(info, key);
    const keys = new Map([[key.name, publicKeyOf(key)]]);
    const signed = { ...info, signatures: ["other:AAAA", "nonsense", "test-1:AAAA", signature] };
    expect(validSignatures(signed, keys)).toEqual(new Set(["test-1"]));
    expect(validSignatures({ ...signed, narSize: 1n }, keys)).toEqual(new Set());
    expect(validSignatures({ ...signed, references: [] }, keys)).toEqual(new Set());
    expect(validSignatures(signed, new Map())).toEqual(new Set());
    const impostor = new Map([[key.name, publicKeyOf(generateSecretKey(key.name))]]);
    expect(validSignatures(signed, impostor)).toEqual(new Set());
  });

  it("need keys, which are read back", () => {
    const generated = generateSecretKey("cache.example.org-1");
    expect(signPath(info, parseSecretKey(`${printSecretKey(generated)}\n`))).toBe(signPath(info, generated));
    expect(parsePublicKey(printPublicKey(publicKeyOf(generated))).bytes).toEqual(generated.publicKey);
  });

  it.each(["", "name", ":AAAA", "a b:AAAA", "name:AAAA", "name:!", `name:${Buffer.alloc(64, 1).toString("base64")}`])(
    "refuse the secret key '%s' without repeating its digits",
    (text) => {
      expect(() => parseSecretKey(text)).toThrow(expect.objectContaining({ code: "KEY_MALFORMED" }));
      expect(() => parseSecretKey(text)).not.toThrow(/AQEB/);
    },
  );

  it("refuse names that would not be read back", () => {
    expect(() => generateSecretKey("a:b")).toThrow(expect.objectContaining({ code: "KEY_MALFORMED" }));
    expect(() => parsePublicKey(`x:${Buffer.alloc(31).toString("base64")}`)).toThrow("32 bytes");
  });
});
