import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  keyFingerprint,
  knownHostName,
  knownKeyTypes,
  lookupHostKey,
  matchesHost,
  matchesPattern,
  parseKnownHosts,
} from "../../../../../src/engine/transports/ssh/keys/known-hosts.ts";

/** A public key blob of a type with a body of its own. */
function key(type: string, body: string): Buffer {
  const field = (text: string): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(text.length);
    return Buffer.concat([length, Buffer.from(text)]);
  };
  return Buffer.concat([field(type), field(body)]);
}

const A = key("ssh-ed25519", "a");
const B = key("ssh-ed25519", "b");
const R = key("ssh-rsa", "r");
const line = (hosts: string, blob: Buffer): string =>
  `${hosts} ${blob.toString("latin1", 4, 4 + blob.readUInt32BE(0))} ${blob.toString("base64")} me@here`;
const entries = (...lines: string[]) => parseKnownHosts(lines.join("\n"), "/kh");

describe("a known_hosts file", () => {
  it("is read line by line; what is no key is passed over but counted", () => {
    const found = entries(
      "# comment",
      "",
      line("mac", A),
      "mac ssh-ed25519 AAAA",
      "mac 1024 35 1234",
      `@odd ${line("mac", A)}`,
      "x",
    );
    expect(found.map((entry) => [entry.line, entry.hosts, entry.marker])).toEqual([[3, "mac", "none"]]);
  });

  it("answers for plain names, ports and lists", () => {
    const known = entries(line("mac,10.0.0.1", A), line("[mac]:2222", B));
    expect(lookupHostKey(known, "mac", A)).toEqual({
      type: "ok",
      place: { file: "/kh", line: 1, keyType: "ssh-ed25519" },
    });
    expect(lookupHostKey(known, "10.0.0.1", A).type).toBe("ok");
    expect(lookupHostKey(known, "[mac]:2222", B)).toMatchObject({ type: "ok", place: { line: 2 } });
    expect(lookupHostKey(known, "mac", B)).toEqual({
      type: "changed",
      place: { file: "/kh", line: 1, keyType: "ssh-ed25519" },
    });
    expect(lookupHostKey(known, "pc", A)).toEqual({ type: "unknown", others: [], hasCertAuthority: false });
  });

  it("takes the bare name's key for a name with a port when nothing else is known, but not its absence of a match", () => {
    const known = entries(line("mac", A));
    expect(lookupHostKey(known, "[mac]:2222", A).type).toBe("ok");
    expect(lookupHostKey(known, "[mac]:2222", B).type).toBe("unknown");
  });

  it("tells an unknown key of a known host from a changed one", () => {
    expect(lookupHostKey(entries(line("mac", R)), "mac", A)).toEqual({
      type: "unknown",
      others: [{ file: "/kh", line: 1, keyType: "ssh-rsa" }],
      hasCertAuthority: false,
    });
    expect(lookupHostKey(entries(`@cert-authority ${line("*.lab", R)}`), "mac.lab", A)).toMatchObject({
      hasCertAuthority: true,
    });
  });

  it("finds a right key behind a wrong one", () => {
    expect(lookupHostKey(entries(line("mac", B), line("mac", A)), "mac", A)).toMatchObject({
      type: "ok",
      place: { line: 2 },
    });
  });

  it("lets a revoked key win over everything, for the hosts its line names", () => {
    const known = entries(line("mac", A), `@revoked ${line("*", A)}`);
    expect(lookupHostKey(known, "mac", A)).toMatchObject({ type: "revoked", place: { line: 2 } });
    expect(lookupHostKey(entries(line("mac", A), `@revoked ${line("pc", A)}`), "mac", A).type).toBe("ok");
    expect(lookupHostKey(entries(`@revoked ${line("mac", A)}`), "mac", B).type).toBe("unknown");
  });

  it("finds hashed names", () => {
    const salt = Buffer.from("0123456789abcdefghij");
    const hashed = (name: string): string =>
      `|1|${salt.toString("base64")}|${createHmac("sha1", salt).update(name).digest("base64")}`;
    const known = entries(line(hashed("[mac]:2222"), A));
    expect(lookupHostKey(known, "[mac]:2222", A).type).toBe("ok");
    expect(lookupHostKey(known, "mac", A).type).toBe("unknown");
    expect(matchesHost("|2|x|y", "mac")).toBe(false);
    expect(matchesHost("|1|broken", "mac")).toBe(false);
  });

  it("understands wildcards and negation", () => {
    expect(matchesHost("*.lab,!bad.lab", "good.lab")).toBe(true);
    expect(matchesHost("*.lab,!bad.lab", "bad.lab")).toBe(false);
    expect(matchesHost("!bad.lab", "good.lab")).toBe(false);
    expect(matchesHost("MAC", "mac")).toBe(true);
  });

  it("knows which key types to ask for", () => {
    const known = entries(
      line("mac", R),
      line("mac", A),
      line("mac", B),
      `@revoked ${line("mac", key("ssh-dss", "d"))}`,
    );
    expect(knownKeyTypes(known, "mac")).toEqual(["ssh-rsa", "ssh-ed25519"]);
  });
});

describe("patterns", () => {
  it.each([
    ["*", "", true],
    ["a?c", "abc", true],
    ["a?c", "ac", false],
    ["*.example.*", "x.example.org", true],
    ["*a*b", "xxaxxb", true],
    ["*a*b", "xxaxxbx", false],
    ["abc", "abcd", false],
  ])("%s against %s: %s", (pattern, text, expected) => {
    expect(matchesPattern(pattern, text)).toBe(expected);
  });

  it("cannot be made slow", () => {
    const begin = performance.now();
    expect(matchesPattern(`${"*a".repeat(200)}b`, "a".repeat(5000))).toBe(false);
    expect(performance.now() - begin).toBeLessThan(2000);
  });
});

it("names and fingerprints follow ssh", () => {
  expect(knownHostName("Mac", 22)).toBe("mac");
  expect(knownHostName("::1", 2222)).toBe("[::1]:2222");
  // ssh-keygen -lf of GitHub's published ed25519 key.
  const github = Buffer.from("AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl", "base64");
  expect(keyFingerprint(github)).toBe("SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU");
});
