// Builds on machines that only the ssh program reaches: many at once, an interrupt, and a machine that dies under them.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath } from "../support/nixpkgs.ts";
import { ended, outputOf, processesWith, until } from "../support/processes.ts";
import { removeDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { type Client, createClient, placesOf } from "./client.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;

const MANY = `
{ salt, seconds }: with import <nixpkgs> {};
builtins.genList (n: runCommand "many-\${toString n}" { inherit salt; } "sleep \${seconds}; echo $salt > $out") 40
`;

/** Machines that offer a key exchange alone which the library does not know. */
async function modernFleet(): Promise<Fleet> {
  const sshd = { conf: "KexAlgorithms sntrup761x25519-sha512@openssh.com" };
  return await startBuilders([{ sshd }, { sshd, generation: generations.at(-1)! }]);
}

/** Machines that let in a certificate alone and are known by an authority alone: no plain key opens them, and no list names theirs. */
async function certifiedFleet(directory: string): Promise<Fleet> {
  const keygen = (...words: readonly string[]) => outputOf("ssh-keygen", ["-q", ...words]);
  const ca = join(directory, "ca");
  for (const file of [ca, join(directory, "host")]) await keygen("-t", "ed25519", "-N", "", "-f", file);
  await keygen("-s", ca, "-I", "h", "-h", "-n", "b1,b2", join(directory, "host.pub"));
  const conf = [
    `TrustedUserCAKeys ${ca}.pub`,
    `HostKey ${join(directory, "host")}`,
    `HostCertificate ${join(directory, "host-cert.pub")}`,
    "HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com",
  ].join("\n");
  const fleet = await startBuilders([{ sshd: { conf } }, { sshd: { conf }, generation: generations.at(-1)! }]);
  for (const { sshd } of fleet.builders) {
    await keygen("-s", ca, "-I", "u", "-n", "root", `${sshd.userKey}.pub`);
    writeFileSync(join(dirname(sshd.userKey), "authorized_keys"), "");
  }
  writeFileSync(fleet.knownHosts, `@cert-authority * ${readFileSync(`${ca}.pub`, "utf8")}`);
  const machines: Fleet["machines"] = (fields) => fleet.machines(fields).replace(/ \S+$/gm, "");
  return { ...fleet, machines };
}

describe.skipIf(!usable).each([
  { kind: "a key exchange of today", start: modernFleet, via: /: no algorithm in common without it/g },
  { kind: "certificates", start: certifiedFleet, via: /: certificate \S+user_key-cert\.pub, @cert-authority/g },
])(
  "machines reached through the ssh program for $kind (skipped without root, nix-bin, openssh-server and busybox-static)",
  ({ start, via }) => {
    let directory: string;
    let fleet: Fleet;
    let client: Client;
    let file: string;

    beforeAll(async () => {
      directory = temporaryDirectory("authority");
      fleet = await start(directory);
      client = await createClient(fleet, { generation: generations[0]! });
      file = client.write("many.nix", MANY);
    });
    afterAll(async () => {
      await client?.remove();
      await fleet?.stop();
      if (directory !== undefined) removeDirectory(directory);
    });

    const words = (salt: string, seconds: string): string[] => [
      ...["-f", file, "--argstr", "salt", salt, "--argstr", "seconds", seconds, "-j0", "--no-out-link"],
      ...["--builders", fleet.machines({ maxJobs: 10 })],
    ];

    it("are shown as such by 'builders'", async () => {
      const { status, stdout, stderr } = await client.run(["builders", "--builders", fleet.machines()]);
      expect(status, stderr).toBe(0);
      expect(stdout.match(/through the ssh program: /g)).toHaveLength(2);
      expect(stdout.match(via), stdout).toHaveLength(2);
    });

    it("build forty derivations", async () => {
      const { result, events } = await client.events(words("forty", "0.2"));
      expect(result.status, result.stderr).toBe(0);
      expect(new Set(placesOf(events).values())).toEqual(new Set(["b1", "b2"]));
      await client.verify();
    });

    it.each(["SIGTERM", "SIGKILL"] as const)(
      "end with the run at %s, and nothing stays behind here",
      async (signal) => {
        const seconds = signal === "SIGTERM" ? "7654" : "7655";
        const child = client.start([...words(signal, seconds), "--ui", "plain"]);
        const builds = () => processesWith(`sleep\x00${seconds}`).length;
        await until("builds to run", () => builds() >= 10, 60_000);
        child.kill(signal);
        await ended(child);
        await until("the builders to end", () => builds() === 0);
        await until("the ssh programs to end", () => processesWith("tsbt-ssh-").length === 0);
      },
    );

    it("are gone on without when one of them dies", async () => {
      const child = client.start([...words("dies", "0.5"), "--ui", "plain"]);
      let said = "";
      child.stderr.on("data", (chunk: Buffer) => {
        said += chunk.toString();
      });
      await until("something to be built", () => said.includes("built '"), 60_000);
      await fleet.builders[0]!.sshd.kill();
      await ended(child);
      expect(child.exitCode, said).toBe(0);
      expect(said).toMatch(/: 40 built\n$/);
      await fleet.builders[0]!.sshd.restart();
    });
  },
);
