// Builds on machines that only the ssh program reaches: many at once, an interrupt, and a machine that dies under them.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath } from "../support/nixpkgs.ts";
import { ended, processesWith, until } from "../support/processes.ts";
import { type Client, createClient, placesOf } from "./client.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;

const MANY = `
{ salt, seconds }: with import <nixpkgs> {};
builtins.genList (n: runCommand "many-\${toString n}" { inherit salt; } "sleep \${seconds}; echo $salt > $out") 40
`;

describe.skipIf(!usable)(
  "machines reached through the ssh program (skipped without root, nix-bin, openssh-server and busybox-static)",
  () => {
    let fleet: Fleet;
    let client: Client;
    let file: string;

    beforeAll(async () => {
      // A key exchange that the library does not know.
      const sshd = { conf: "KexAlgorithms sntrup761x25519-sha512@openssh.com" };
      fleet = await startBuilders([{ sshd }, { sshd, generation: generations.at(-1)! }]);
      client = await createClient(fleet, { generation: generations[0]! });
      file = client.write("many.nix", MANY);
    });
    afterAll(async () => {
      await client?.remove();
      await fleet?.stop();
    });

    const words = (salt: string, seconds: string): string[] => [
      ...["-f", file, "--argstr", "salt", salt, "--argstr", "seconds", seconds, "-j0", "--no-out-link"],
      ...["--builders", fleet.machines({ maxJobs: 10 })],
    ];

    it("are shown as such by 'builders'", async () => {
      const { status, stdout, stderr } = await client.run(["builders", "--builders", fleet.machines()]);
      expect(status, stderr).toBe(0);
      expect(stdout.match(/through the ssh program: no algorithm in common without it/g)).toHaveLength(2);
    });

    it("build forty derivations", async () => {
      const { result, events } = await client.events(words("forty", "0.2"));
      expect(result.status, result.stderr).toBe(0);
      expect(new Set(placesOf(events).values())).toEqual(new Set(["b1", "b2"]));
      await client.verify();
    });

    it("end their builds when the run is cancelled, and nothing stays behind here", async () => {
      const child = client.start([...words("cancelled", "7654"), "--ui", "plain"]);
      await until("builds to run", () => processesWith("sleep\x007654").length >= 10, 60_000);
      child.kill("SIGTERM");
      await ended(child);
      await until("the builders to end", () => processesWith("sleep\x007654").length === 0);
      await until("the ssh programs to end", () => processesWith("tsbt-ssh-").length === 0);
    });

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
