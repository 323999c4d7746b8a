import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { SshNotice } from "../../../../../src/engine/transports/ssh/config/ssh-settings.ts";
import { chooseIdentities, inspectPrivateKey } from "../../../../../src/engine/transports/ssh/keys/identities.ts";
import { hasPrograms } from "../../../../support/tools.ts";

const usable = hasPrograms("ssh-keygen");

const directory = mkdtempSync(join(tmpdir(), "tsbt-keys-"));
afterAll(() => rmSync(directory, { recursive: true }));

function makeKey(name: string, passphrase = "", ...more: string[]): string {
  const path = join(directory, name);
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", path, ...more]);
  return path;
}

const plain = usable ? makeKey("plain") : "";
const locked = usable ? makeKey("locked", "secret") : "";
const blobOf = (path: string): Buffer => Buffer.from(readFileSync(`${path}.pub`, "utf8").split(" ")[1] ?? "", "base64");

describe.skipIf(!usable)("a private key file (skipped without openssh-client)", () => {
  it("shows what it is without being opened", () => {
    expect(inspectPrivateKey(readFileSync(plain))).toEqual({ type: "plain" });
    expect(inspectPrivateKey(readFileSync(locked))).toEqual({ type: "encrypted", publicKey: blobOf(locked) });
    expect(inspectPrivateKey(readFileSync(`${plain}.pub`))).toEqual({ type: "notAKey" });
    const pem = join(directory, "pem");
    execFileSync("ssh-keygen", ["-q", "-t", "rsa", "-b", "1024", "-m", "PEM", "-N", "", "-f", pem]);
    expect(inspectPrivateKey(readFileSync(pem))).toEqual({ type: "plain" });
    execFileSync("ssh-keygen", ["-q", "-p", "-m", "PEM", "-P", "", "-N", "secret", "-f", pem]);
    expect(inspectPrivateKey(readFileSync(pem)).type).toBe("encrypted");
    execFileSync("ssh-keygen", ["-q", "-p", "-m", "PKCS8", "-P", "secret", "-N", "", "-f", pem]);
    expect(inspectPrivateKey(readFileSync(pem)).type).toBe("unsupported");
  });

  it("may be cut off anywhere or be noise", () => {
    const whole = readFileSync(locked);
    for (let length = 0; length < whole.length; length += 7) {
      expect(() => inspectPrivateKey(whole.subarray(0, length))).not.toThrow();
    }
    expect(inspectPrivateKey(Buffer.from("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END"))).toEqual({
      type: "notAKey",
    });
  });
});

describe.skipIf(!usable)("the ways to log in (skipped without openssh-client)", () => {
  const choose = (
    files: { path: string; explicit: boolean }[],
    agentSocket: string | null,
    identitiesOnly = false,
    notices: SshNotice[] = [],
  ) => chooseIdentities({ name: "mac", files, agentSocket, identitiesOnly, notice: (notice) => notices.push(notice) });

  it("are the user's files, then the agent, then the default files", async () => {
    const other = makeKey("other");
    const { identities, problems } = await choose(
      [
        { path: other, explicit: false },
        { path: plain, explicit: true },
      ],
      "/agent",
    );
    expect(identities.map((identity) => (identity.type === "file" ? identity.path : identity))).toEqual([
      plain,
      { type: "agent", socket: "/agent", only: null, except: [] },
      other,
    ]);
    expect(problems).toEqual([]);
  });

  it("ask the agent first for a named key that needs a passphrase, and say so without an agent", async () => {
    const { identities } = await choose([{ path: locked, explicit: true }], "/agent", true);
    expect(identities).toEqual([
      { type: "agent", socket: "/agent", only: [blobOf(locked)], except: [] },
      { type: "agent", socket: "/agent", only: [blobOf(locked)], except: [blobOf(locked)] },
    ]);
    const alone = await choose([{ path: locked, explicit: true }], null);
    expect(alone.identities).toEqual([]);
    expect(alone.problems[0]).toMatchObject({
      code: "SSH_KEY_PASSPHRASE",
      message: `cannot connect to 'mac': key file ${locked} needs a passphrase`,
    });
  });

  it("use a public half alone to choose among the agent's keys", async () => {
    const gone = makeKey("gone");
    renameSync(gone, join(directory, "moved"));
    const { identities, problems } = await choose([{ path: gone, explicit: true }], "/agent");
    expect(identities[0]).toEqual({ type: "agent", socket: "/agent", only: [blobOf(gone)], except: [] });
    expect(problems).toEqual([]);
  });

  it("pass over what cannot be used, with the reason", async () => {
    const noise = join(directory, "noise");
    writeFileSync(noise, "hello", { mode: 0o600 });
    const { problems, identities } = await choose(
      [
        { path: join(directory, "missing"), explicit: true },
        { path: join(directory, "missing-default"), explicit: false },
        { path: noise, explicit: true },
        { path: directory, explicit: true },
      ],
      null,
    );
    expect(identities).toEqual([]);
    expect(problems.map((problem) => problem.code)).toEqual([
      "SSH_KEY_MISSING",
      "SSH_KEY_UNREADABLE",
      "SSH_KEY_MISSING",
    ]);
  });

  it("warn of a key others can read", async () => {
    const open = makeKey("open");
    execFileSync("chmod", ["644", open]);
    const notices: SshNotice[] = [];
    await choose([{ path: open, explicit: true }], null, false, notices);
    expect(notices).toMatchObject([{ code: "SSH_KEY_PERMISSIONS", hint: `chmod 600 ${open}` }]);
  });
});
