import { describe, expect, it } from "vitest";
import { shellSplit } from "../../../src/engine/config/shell-split.ts";
import { parseSshOptions } from "../../../src/engine/config/ssh-options.ts";

describe("shell words", () => {
  it.each([
    ["", []],
    ["  a\tb\n", ["a", "b"]],
    [`'a b' "c d" e\\ f`, ["a b", "c d", "e f"]],
    [`x'y'"z"`, ["xyz"]],
    [`"" ''`, ["", ""]],
    [`"a\\"b" "a\\nb" 'a\\b'`, ['a"b', "a\\nb", "a\\b"]],
    [`"open`, null],
    ["'open", null],
  ])("splits %j", (text, words) => {
    expect(shellSplit(text)).toEqual(words);
  });
});

describe("NIX_SSHOPTS", () => {
  it("is nothing when empty", () => {
    expect(parseSshOptions("")).toEqual({
      options: { user: null, port: null, identityFiles: [], configFile: null, proxyJump: null, settings: new Map() },
      words: [],
      warnings: [],
    });
  });

  it("honours the flags and -o settings that mean something here", () => {
    const { options, warnings } = parseSshOptions(
      "-p 2222 -i /k1 -i/k2 -l nix -F '/my config' -J hop:22,hop2 -oConnectTimeout=5 -o 'ServerAliveInterval 10' -o StrictHostKeyChecking=no -C -Tq4",
    );
    expect(warnings).toEqual([]);
    expect(options).toMatchObject({
      user: "nix",
      port: 2222,
      identityFiles: ["/k1", "/k2"],
      configFile: "/my config",
      proxyJump: "hop:22,hop2",
    });
    expect(Object.fromEntries(options.settings)).toMatchObject({
      connecttimeout: "5",
      serveraliveinterval: "10",
      stricthostkeychecking: "no",
      compression: "yes",
      addressfamily: "inet",
    });
  });

  it("takes the first of two values, as ssh does", () => {
    expect(parseSshOptions("-p 1 -o Port=2 -o User=a -l b").options).toMatchObject({ port: 1, user: "a" });
  });

  it("takes what OpenSSH's client is needed for: it is used then", () => {
    const { options, warnings } = parseSshOptions(
      "-o CertificateFile=/c -I /p11.so -K -b 10.0.0.1 -B eth0 -o HashKnownHosts=yes -o RevokedHostKeys=/r",
    );
    expect(warnings).toEqual([]);
    expect(Object.fromEntries(options.settings)).toEqual({
      certificatefile: "/c",
      pkcs11provider: "/p11.so",
      gssapiauthentication: "yes",
      bindaddress: "10.0.0.1",
      bindinterface: "eth0",
      hashknownhosts: "yes",
      revokedhostkeys: "/r",
    });
  });

  it("names what it does not honour", () => {
    expect(parseSshOptions("-L 1:h:2 -o Tunnel=yes -z -o ControlMaster=auto mac").warnings).toEqual([
      "NIX_SSHOPTS: the SSH flag '-L' is not honoured",
      "NIX_SSHOPTS: the SSH option 'Tunnel' is not honoured",
      "NIX_SSHOPTS: the SSH flag '-z' is not honoured",
      "NIX_SSHOPTS: 'mac' is not an option and is ignored",
    ]);
  });

  it.each(["-p", "-o", "-o Key", "-p x", "-p 0", "'"])("refuses %j", (text) => {
    expect(() => parseSshOptions(text)).toThrow(expect.objectContaining({ code: "SSH_OPTIONS_MALFORMED" }));
  });
});
