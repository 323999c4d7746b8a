// Copies of the program with the same goals build each of them once, wherever each of them would have built it.
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath } from "../support/nixpkgs.ts";
import { type Client, createClient } from "./client.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;

const GRAPH = `
{ salt }: with import <nixpkgs> {};
let layer = name: inputs: builtins.genList (n: runCommand "\${name}-\${toString n}" { inherit salt inputs; } "sleep 0.4; echo $salt > $out") 4;
    one = layer "one" []; two = layer "two" one; three = layer "three" two;
in runCommand "top" { inherit salt; inputs = three; } "echo $salt > $out"
`;

let fleet: Fleet;
let client: Client;
beforeAll(async () => {
  fleet = await startBuilders(generations.map((generation) => ({ generation })));
  client = await createClient(fleet, { generation: generations[0]! });
});
afterAll(async () => {
  await client?.remove();
  await fleet?.stop();
});

it.skipIf(!usable)(
  "four copies build thirteen derivations thirteen times, and all end right (skipped without root, nix-bin, openssh-server and busybox-static)",
  async () => {
    const file = client.write("graph.nix", GRAPH);
    const runs = await Promise.all(
      Array.from({ length: 4 }, () =>
        client.events([
          ...["-f", file, "--argstr", "salt", "side by side", "-j1", "--no-out-link"],
          ...["--builders", fleet.machines({ maxJobs: 2 })],
        ]),
      ),
    );
    const built = runs.map(({ result, events }) => {
      expect(result.status, result.stderr).toBe(0);
      return events.filter(({ event }) => event.type === "buildEnded" && event.result.type === "built").length;
    });
    expect(built.reduce((sum, count) => sum + count)).toBe(13);
    await client.verify();
  },
);
