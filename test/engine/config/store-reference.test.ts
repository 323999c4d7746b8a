import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { StoreReference } from "../../../src/engine/config/store-reference.ts";
import {
  parseStoreReference,
  printStoreReference,
  runsWithoutSsh,
} from "../../../src/engine/config/store-reference.ts";

const CONTEXT = { cwd: "/here", home: "/home/alice" };

function parse(text: string): StoreReference {
  return parseStoreReference(text, CONTEXT).reference;
}

describe("store references", () => {
  it.each([
    ["", { type: "auto" }],
    ["auto", { type: "auto" }],
    ["daemon", { type: "daemon", socket: null }],
    ["unix://", { type: "daemon", socket: null }],
    ["unix:///run/nix.sock", { type: "daemon", socket: "/run/nix.sock" }],
    ["local", { type: "local", root: null }],
    ["local?root=/my%20nix", { type: "local", root: "/my nix" }],
    ["./my-nix", { type: "local", root: "/here/my-nix" }],
    ["~/my-nix", { type: "local", root: "/home/alice/my-nix" }],
    ["/my-nix/", { type: "local", root: "/my-nix" }],
    ["local:///my-nix", { type: "local", root: "/my-nix" }],
    ["ssh://mac", { type: "ssh", scheme: "ssh", destination: { user: null, host: "mac", port: null } }],
    ["ssh://nix@mac:2222/", { type: "ssh", scheme: "ssh", destination: { user: "nix", host: "mac", port: 2222 } }],
    ["ssh-ng://a%40b@mac", { type: "ssh", scheme: "ssh-ng", destination: { user: "a@b", host: "mac", port: null } }],
    ["ssh://root@[::1]:22", { type: "ssh", destination: { user: "root", host: "::1", port: 22 } }],
    ["ssh://::1", { type: "ssh", destination: { user: null, host: "::1", port: null } }],
    ["ssh://nix@fe80::1%eth0", { type: "ssh", destination: { user: "nix", host: "fe80::1%eth0", port: null } }],
    ["ssh://[fe80::1%25eth0]", { type: "ssh", destination: { user: null, host: "fe80::1%eth0", port: null } }],
    ["file:///cache", { type: "cache", scheme: "file", location: "/cache" }],
    ["file://cache", { type: "cache", scheme: "file", location: "/here/cache" }],
    ["https://cache.nixos.org/", { type: "cache", scheme: "https", location: "cache.nixos.org", credentials: null }],
    ["http://127.0.0.1:8080/a/b/", { type: "cache", scheme: "http", location: "127.0.0.1:8080/a/b" }],
    ["https://u:p%3A@h/x", { type: "cache", location: "h/x", credentials: { user: "u", password: "p:" } }],
    [
      "s3://bucket?profile=p&region=eu",
      { type: "cache", scheme: "s3", location: "bucket", parameters: { profile: "p", region: "eu" } },
    ],
  ])("reads %j", (text, expected) => {
    expect(parse(text)).toMatchObject(expected);
  });

  it.each([
    "ssh://$(id)@mac",
    "ssh://mac%24(id)",
    "ssh://m`id`",
    "ssh://mac%3Bid",
    "ssh://a|b",
    "ssh://-oProxyCommand=id",
    "ssh://-l@mac",
    "ssh://a%0Ab",
    "ssh-ng://a%20b@mac",
    "ssh-ng://'a'@mac",
    "ssh-ng://a%5C@mac",
  ])("refuses what ssh or a shell would act on: %j", (text) => {
    expect(() => parse(text)).toThrow(/cannot parse store reference .*: expected/);
  });

  it("takes no password for SSH, and repeats none", () => {
    const read = () => parse("ssh-ng://bob:hunter2@mac");
    expect(read).toThrow("'ssh-ng://bob:***@mac': expected a user without a password: SSH logs in by key");
  });

  it("reads the parameters of SSH stores with their types", () => {
    const text =
      "ssh-ng://mac?ssh-key=/home/alice/my-key&remote-program=/opt/nix%20daemon%20--x&remote-store=/r&compress=true&max-connections=4&system-features=kvm%20benchmark&base64-ssh-public-host-key=QQ%3D%3D&priority=-3";
    expect(parse(text).parameters).toMatchObject({
      sshKey: "/home/alice/my-key",
      remoteProgram: ["/opt/nix", "daemon", "--x"],
      remoteStore: "/r",
      compress: true,
      maxConnections: 4,
      systemFeatures: new Set(["kvm", "benchmark"]),
      base64SshPublicHostKey: "QQ==",
      priority: -3,
    });
  });

  it("lets parameters from outside win, warns of unknown ones and not of Nix's other ones", () => {
    const { reference, warnings } = parseStoreReference(
      "ssh://m?ssh-key=/a&wat=1&log-fd=4&noequals",
      CONTEXT,
      new Map([["ssh-key", "/b"]]),
    );
    expect(reference.parameters).toMatchObject({ sshKey: "/b" });
    expect(warnings).toEqual(["unknown store parameter 'wat'"]);
  });

  it.each([
    ["mac", "STORE_REFERENCE_MALFORMED"],
    ["ssh://", "STORE_REFERENCE_MALFORMED"],
    ["ssh://-oProxyCommand=x", "STORE_REFERENCE_MALFORMED"],
    ["ssh://-l@h", "STORE_REFERENCE_MALFORMED"],
    ["ssh://h/path", "STORE_REFERENCE_MALFORMED"],
    ["ssh://h:99999", "STORE_REFERENCE_MALFORMED"],
    ["ssh://a b", "STORE_REFERENCE_MALFORMED"],
    ["ssh://%zz", "STORE_REFERENCE_MALFORMED"],
    ["ftp://x", "STORE_REFERENCE_MALFORMED"],
    ["https:///x", "STORE_REFERENCE_MALFORMED"],
    ["ssh://m?compress=maybe", "STORE_REFERENCE_BAD_PARAMETER"],
    ["local?store=/other/store", "STORE_REFERENCE_STORE_DIR"],
  ])("refuses %j", (text, code) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code }));
  });

  it("says which parameters of Nix have no effect here", () => {
    const warningsOf = (text: string) => parseStoreReference(text, CONTEXT).warnings;
    expect(warningsOf("local?real=/r&require-sigs=false")).toEqual([
      "store 'local': parameter 'real' has no effect here",
    ]);
    expect(warningsOf("daemon?require-sigs=false")).toEqual([
      "store 'daemon': parameter 'require-sigs' has no effect here",
    ]);
    expect(warningsOf("file:///c?write-nar-listing=1&index-debug-info=1")).toEqual([
      "store 'file:///c': parameter 'index-debug-info' has no effect here",
    ]);
    // What a list of machines adds for Nix is not the user's word.
    const added = new Map([["system-features", "kvm"]]);
    expect(parseStoreReference("ssh://mac?max-connections=2", CONTEXT, added).warnings).toEqual([
      "store 'ssh://mac': parameter 'max-connections' has no effect here",
    ]);
  });

  it.each(["priority=zz", "store=/elsewhere"])("repeats no password in what it says of ?%s", (query) => {
    expect(() => parse(`https://u:hunter2@h?${query}`)).toThrow(/^store 'https:\/\/u:\*\*\*@h': (?!.*hunter2)/);
  });
  it("never shows a password", () => {
    const reference = parse("https://alice:hunter2@cache/x?compression=zstd");
    expect(printStoreReference(reference, "full")).toBe("https://cache/x?compression=zstd");
    expect(() => parse("wat://alice:hunter2@cache")).toThrow(/wat:\/\/alice:\*\*\*@cache/);
  });

  it("prints the short form without parameters", () => {
    expect(printStoreReference(parse("ssh://nix@mac?ssh-key=/k"))).toBe("ssh://nix@mac");
    expect(printStoreReference(parse("ssh://nix@mac?ssh-key=/k"), "full")).toBe("ssh://nix@mac?ssh-key=/k");
  });

  it("knows the one destination Nix does not use SSH for", () => {
    const isLocal = (text: string): boolean => {
      const reference = parse(text);
      return reference.type === "ssh" && runsWithoutSsh(reference.destination);
    };
    expect(["ssh://localhost", "ssh://root@localhost", "ssh://localhost:22", "ssh://127.0.0.1"].map(isLocal)).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });

  it("reads back what it prints", () => {
    const word = fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9._ %&=?#/@+-]{0,12}$/);
    const host = fc.constantFrom("mac", "a.b-c.d", "::1", "fe80::1%eth0", "10.0.0.1");
    const ssh = fc
      .record({
        scheme: fc.constantFrom("ssh", "ssh-ng"),
        user: fc.option(fc.stringMatching(/^[a-z0-9@%][a-z0-9@%-]{0,6}$/)),
        host,
        port: fc.option(fc.integer({ min: 1, max: 65535 })),
        key: fc.option(word),
        store: fc.option(word),
      })
      .map(({ scheme, user, host, port, key, store }): string => {
        const at = user === null ? "" : `${encodeURIComponent(user)}@`;
        const shown = host.includes(":") ? `[${host.replace("%", "%25")}]` : host;
        const query = [
          ["ssh-key", key],
          ["remote-store", store],
        ]
          .filter(([, value]) => value !== null)
          .map(([name, value]) => `${name}=${encodeURIComponent(value ?? "")}`);
        return `${scheme}://${at}${shown}${port === null ? "" : `:${port}`}?${query.join("&")}`;
      });
    const directory = word.map((name) => `/d/${encodeURIComponent(name)}`);
    const other = fc.oneof(
      fc.constantFrom("auto", "daemon", "local", "daemon?max-connections=2", "local?read-only=true&root=/x"),
      directory.map((path) => `unix://${path}`),
      directory.map((path) => `local://${path}`),
      directory.map((path) => `file://${path}?priority=3`),
      directory.map((path) => `https://h:80${path}`),
    );
    fc.assert(
      fc.property(fc.oneof(ssh, other), (text) => {
        const reference = parse(text);
        const again = parse(printStoreReference(reference, "full"));
        const withoutRoot = ({ parameters, ...rest }: StoreReference) => [rest, { ...parameters, root: null }];
        expect(withoutRoot(again)).toEqual(withoutRoot(reference));
      }),
    );
  });
});
