// A garbage collection in the middle of a run takes nothing that the run still needs.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath } from "../support/nixpkgs.ts";
import { type Client, createClient } from "./client.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;

/** While `slow` runs, the sources and derivations that `last` still needs are collected; `slow` ends when it is told to. */
const EXPRESSION = `
{ salt }:
with import <nixpkgs> {};
let slow = runCommand "slow" { inherit salt; } "echo started; while [ ! -e /homes/root/go-\${salt} ]; do sleep 0.1; done; echo slow > $out";
in {
  last = runCommand "last" { inherit salt slow; late = builtins.toFile "late-\${salt}.txt" "late"; } "cat $slow $late > $out";
  random = runCommand "random" { inherit salt; } "head -c 16 /dev/urandom > $out";
}
`;

/** Four layers of three, each of which needs the layer before. */
const CHAIN = `
{ salt }: with import <nixpkgs> {};
let layer = name: inputs: builtins.genList (n: runCommand "\${name}-\${toString n}" { inherit salt inputs; } "sleep 0.5; cat $inputs > $out; echo $name >> $out") 3;
    one = layer "one" [ (builtins.toFile "source-\${salt}" "source") ]; two = layer "two" one; three = layer "three" two; four = layer "four" three;
in runCommand "top" { inherit salt; inputs = four; } "cat $inputs > $out"
`;

describe.skipIf(!usable)("a collection (skipped without root, nix-bin, openssh-server and busybox-static)", () => {
  for (const generation of generations) {
    describe(`by Nix ${generation.version}`, () => {
      let fleet: Fleet;
      let client: Client;
      let file: string;

      beforeAll(async () => {
        fleet = await startBuilders(1);
        client = await createClient(fleet, { generation, sandbox: false });
        file = client.write("collected.nix", EXPRESSION);
      });
      afterAll(async () => {
        await client?.remove();
        await fleet?.stop();
      });

      // A result that differs is taken back, which closes the connections that hold the roots of the run.
      it.each([
        ["what it needs", ["last"], /started/, 0],
        [
          "what it needs after a result was taken back",
          ["last", "random", "-k"],
          /(?=[\s\S]*started)[\s\S]*differs/,
          104,
        ],
      ] as const)("leaves a run %s", async (what, targets, ready, expected) => {
        const salt = what.replaceAll(/\W/g, "-");
        const rounds = expected === 104 ? ["--repeat", "1", "--rounds-on", "same"] : [];
        const child = client.start([
          ...["-f", file, ...targets, "--argstr", "salt", salt, "--no-out-link", "--ui", "plain", "-L"],
          ...["--builders", "", "-j", "2", ...rounds],
        ]);
        let built = "";
        child.stdout.on("data", (chunk: Buffer) => {
          built += chunk.toString();
        });
        let said = "";
        let collecting: Promise<void> | null = null;
        child.stderr.on("data", (chunk: Buffer) => {
          said += chunk.toString();
          if (!ready.test(said)) return;
          collecting ??= client.instance.output("nix-collect-garbage", []).then(() => {
            client.write(`go-${salt}`, "");
          });
        });
        const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
        const status = await new Promise((resolve) => child.once("close", resolve));
        clearTimeout(timer);
        await collecting;
        expect(collecting, said).not.toBeNull();
        expect(status, said).toBe(expected);
        expect(built, said).toContain("-last");
      });
    });
  }

  // Inputs sent ahead, results that are still to be fetched: what lies on a builder belongs to the run as long as that needs it.
  for (const scheme of ["ssh-ng", "ssh"] as const) {
    it(`on builders by ${scheme} takes nothing from a run that builds there`, async () => {
      await using fleet = await startBuilders(generations.map((generation) => ({ generation, scheme })));
      await using client = await createClient(fleet, { generation: generations[0]! });
      const file = client.write("chain.nix", CHAIN);
      const child = client.start([
        ...["-f", file, "--argstr", "salt", scheme, "--no-out-link", "--ui", "plain", "-j0"],
        ...["--builders", fleet.machines({ maxJobs: 2 })],
      ]);
      let said = "";
      child.stderr.on("data", (chunk: Buffer) => {
        said += chunk.toString();
      });
      let collections = 0;
      const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
      const timer = setTimeout(() => child.kill("SIGKILL"), 90_000);
      await Promise.all(
        fleet.builders.map(async ({ instance }) => {
          while (isRunning()) {
            await instance.output("nix-collect-garbage", []);
            collections += 1;
          }
        }),
      );
      clearTimeout(timer);
      expect(child.exitCode, said).toBe(0);
      expect(said).toMatch(/: 13 built\n$/);
      expect(said).not.toContain("attempt 2");
      expect(collections).toBeGreaterThan(6);
      await client.verify();
    });
  }
});
