// What a machine answers about a derivation, and would answer again, is final at the first word, costs the machine nothing, and is told once.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath } from "../support/nixpkgs.ts";
import { type Client, createClient } from "./client.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;

const ANSWERS = `
{ salt }:
with import <nixpkgs> {};
let dep = runCommand "dep" { inherit salt; } "echo dep > $out";
in {
  fifo = runCommand "fifo" { inherit salt; } "mkdir $out; mkfifo $out/f";
  enospc = runCommand "enospc" { inherit salt; } "echo 'test 3: expected error: No space left on device'; exit 1";
  forked = runCommand "forked" { inherit salt; } "echo 'sh: fork: retry: Resource temporarily unavailable'; exit 1";
  fetched = fixedOutput "fetched" (builtins.hashString "sha256" "x") "echo 'tar: No space left on device'; exit \${if salt == "" then "0" else "1"}";
  refers = derivation {
    name = "refers";
    inherit dep salt;
    inherit (dep) system builder;
    outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "hello";
    args = [ "-c" "echo $dep > $out" ];
  };
  allowed = runCommand "allowed" { inherit salt dep; allowedReferences = [ ]; } "echo $dep > $out";
  graph = runCommand "graph" { inherit salt; exportReferencesGraph = [ "a" "/nonexistent" ]; } "echo a > $out";
}
`;

/** Attribute → what Nix says, its exit status for a local build, and attempts where another word is needed. */
const EXPECTED: readonly (readonly [attribute: string, says: RegExp, status: readonly number[]])[] = [
  ["fifo", /unsupported type/, [1]],
  ["enospc", /failed with exit code 1/, [100]],
  ["forked", /failed with exit code 1/, [100]],
  ["fetched", /failed with exit code 1/, [100]],
  ["allowed", /not allowed to refer/, [1]],
  // Nix 2.34 reads the attribute with the derivation.
  ["graph", /nonexistent/, [100, 1]],
];

describe.skipIf(!usable)("answers (skipped without root, nix-bin, openssh-server and busybox-static)", () => {
  let fleet: Fleet;
  let client: Client;
  let file: string;

  beforeAll(async () => {
    fleet = await startBuilders(generations.map((generation) => ({ generation })));
    client = await createClient(fleet, { generation: generations[0]! });
    file = client.write("answers.nix", ANSWERS);
  });
  afterAll(async () => {
    await client?.remove();
    await fleet?.stop();
  });

  const failuresOf = async (attribute: string, index: number, ...flags: readonly string[]) => {
    const { result, events } = await client.events([
      ...["-f", file, attribute, "--argstr", "salt", `${attribute}${index}`, "-j0", "--no-out-link"],
      ...["--builders", fleet.builders[index]!.machineLine({ maxJobs: 2 }), ...flags],
    ]);
    const failures = events.flatMap(({ event }) =>
      event.type === "goalFinished" && event.result.type === "failed" ? [event.result.failure] : [],
    );
    const states = events.flatMap(({ event }) => (event.type === "machineStateChanged" ? [event.state.type] : []));
    expect(failures, result.stderr).toHaveLength(1);
    expect(states).not.toContain("coolingDown");
    return { status: result.status, failure: failures[0]! };
  };

  for (const [index, { version }] of generations.entries()) {
    it.each(EXPECTED)(`about '%s' is final at once on Nix ${version}`, async (attribute, says, statuses) => {
      const { status, failure } = await failuresOf(attribute, index);
      expect(statuses).toContain(status);
      expect(failure).toMatchObject({ kind: "final", attempts: [] });
      expect(failure.message).toMatch(says);
    });

    it(`about a fixed output that refers to paths is final on Nix ${version}, by an abort the second time`, async () => {
      const { status, failure } = await failuresOf("refers", index);
      expect(status).toBe(1);
      expect(failure.kind).toBe("final");
      // Nix 2.8 does not refuse, it fails an assertion.
      expect(failure.attempts).toHaveLength(/SIGABRT/.test(failure.message) ? 1 : 0);
      expect(failure.message).toMatch(/SIGABRT|not allowed to refer/);
    });
  }
});
