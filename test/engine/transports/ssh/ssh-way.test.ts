// Which connections are left to the ssh program, and which failures it is given a try at.
import { describe, expect, it } from "vitest";
import { EngineError } from "../../../../src/engine/base/errors.ts";
import { parseKnownHosts } from "../../../../src/engine/transports/ssh/keys/known-hosts.ts";
import { masterFailure } from "../../../../src/engine/transports/ssh/ssh-program-errors.ts";
import { programReasons, type SshWayFacts, worthAnotherTry } from "../../../../src/engine/transports/ssh/ssh-way.ts";

const KEY = Buffer.concat([Buffer.from([0, 0, 0, 11]), Buffer.from("ssh-ed25519"), Buffer.alloc(36)]).toString(
  "base64",
);
const PLAIN: SshWayFacts = {
  settings: [],
  securityKeys: [],
  certificates: [],
  knownHosts: [],
  knownName: "mac",
  isPinned: false,
};
const known = (...lines: readonly string[]) => parseKnownHosts(lines.join("\n"), "known_hosts");

describe("the ssh program", () => {
  it("is used for what only it can do, and says what that is", () => {
    expect(programReasons(PLAIN)).toEqual([]);
    expect(
      programReasons({
        ...PLAIN,
        settings: ["PKCS11Provider"],
        securityKeys: ["/id_sk"],
        certificates: ["/id-cert.pub"],
      }),
    ).toEqual(["PKCS11Provider", "security key /id_sk", "certificate /id-cert.pub"]);
  });

  it("is used for hosts that an authority alone vouches for", () => {
    const authority = `@cert-authority *,!bad ssh-ed25519 ${KEY}`;
    expect(programReasons({ ...PLAIN, knownHosts: known(authority) })).toEqual(["@cert-authority"]);
    expect(programReasons({ ...PLAIN, knownHosts: known(authority), knownName: "bad" })).toEqual([]);
    expect(programReasons({ ...PLAIN, knownHosts: known(authority, `mac ssh-ed25519 ${KEY}`) })).toEqual([]);
    expect(programReasons({ ...PLAIN, knownHosts: known(authority), isPinned: true })).toEqual([]);
  });

  it("is given a try where it knows more than we do", () => {
    const failed = (code: string) => new EngineError("transport", code, "no");
    expect(worthAnotherTry(failed("SSH_NO_COMMON_ALGORITHM"), false)).toContain("algorithm");
    expect(worthAnotherTry(failed("SSH_NO_IDENTITY"), false)).toContain("key");
    expect(worthAnotherTry(failed("SSH_KEY_REJECTED"), false)).toBeNull();
    expect(worthAnotherTry(failed("SSH_KEY_REJECTED"), true)).toContain("key");
    for (const code of ["SSH_REFUSED", "SSH_HOST_KEY_CHANGED", "SSH_HOST_KEY_REVOKED", "SSH_TIMEOUT"])
      expect(worthAnotherTry(failed(code), true)).toBeNull();
  });

  it.each([
    ["root@mac: Permission denied (publickey).", "SSH_KEY_REJECTED"],
    ["ssh: connect to host mac port 22: Connection refused", "SSH_REFUSED"],
    [
      "No ED25519 host key is known for mac and you have requested strict checking.\nHost key verification failed.",
      "SSH_HOST_KEY_UNKNOWN",
    ],
    [
      "@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
      "SSH_HOST_KEY_CHANGED",
    ],
    ["ssh: Could not resolve hostname nowhere: Name or service not known", "SSH_HOST_NOT_FOUND"],
    ["Unable to negotiate with 10.0.0.1 port 22: no matching key exchange method found.", "SSH_NO_COMMON_ALGORITHM"],
    ["something else", "SSH_FAILED"],
    ["", "SSH_FAILED"],
  ])("says %j as one of our failures", (said, code) => {
    const failure = masterFailure("mac", said);
    expect(failure.code).toBe(code);
    expect(failure.message).toMatch(/^cannot connect to 'mac': ssh: \S/);
  });

  it("is quoted whole where it said more than one line", () => {
    const failure = masterFailure("mac", "banner\nroot@mac: Permission denied (publickey).\n");
    expect(failure.message).toBe("cannot connect to 'mac': ssh: root@mac: Permission denied (publickey).");
    expect(failure.cause).toEqual(new Error("banner; root@mac: Permission denied (publickey)."));
    expect(masterFailure("mac", "one").cause).toBeUndefined();
  });
});
