// Keys made here: each is read by the SSH library, and signs what its public part verifies.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import ssh2 from "ssh2";
import { describe, expect, it } from "vitest";
import { makeSshKeyPair } from "../../../../../src/engine/transports/ssh/keys/ssh-key-pair.ts";
import { removeDirectory, temporaryDirectory } from "../../../../support/temporary-directory.ts";

describe("an SSH key pair", () => {
  it("is read by the library, every time", () => {
    // Of the library's own keys three in a thousand are not.
    for (let turn = 0; turn < 3000; turn++) {
      const pair = makeSshKeyPair();
      const secret = ssh2.utils.parseKey(pair.privateKey);
      const open = ssh2.utils.parseKey(pair.publicKey);
      if (secret instanceof Error || open instanceof Error) throw new Error(`turn ${turn}: ${pair.privateKey}`);
      expect(secret.getPublicSSH().equals(open.getPublicSSH())).toBe(true);
      if (turn % 100 === 0) expect(open.verify("text", secret.sign("text") as Buffer)).toBe(true);
    }
  });

  it("has lines as ssh-keygen writes them", () => {
    const lines = makeSshKeyPair().privateKey.split("\n");
    expect(lines[0]).toBe("-----BEGIN OPENSSH PRIVATE KEY-----");
    expect(Math.max(...lines.slice(1, -2).map((line) => line.length))).toBe(70);
  });

  it.skipIf(spawnSync("ssh-keygen", ["-?"]).error !== undefined)("is read by OpenSSH (skipped without it)", () => {
    const directory = temporaryDirectory("key");
    try {
      const pair = makeSshKeyPair();
      const file = join(directory, "key");
      writeFileSync(file, pair.privateKey, { mode: 0o600 });
      const { stdout, stderr } = spawnSync("ssh-keygen", ["-y", "-f", file], { encoding: "utf8" });
      expect(stdout.trim(), stderr).toBe(pair.publicKey);
    } finally {
      removeDirectory(directory);
    }
  });
});
