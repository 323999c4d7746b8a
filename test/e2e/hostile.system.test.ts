// Builders that lie or babble: each is named in a clear error, nothing of theirs is registered, and the builds go on elsewhere.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BuilderSpec, type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath } from "../support/nixpkgs.ts";
import { type Client, createClient, PROGRAM, placesOf } from "./client.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;

/** What a builder does wrong, and what must be said of it. */
const MODES: readonly { readonly mode: string; readonly says: RegExp }[] = [
  { mode: "magic", says: /magic|worker protocol/i },
  { mode: "oversized", says: /at most|too (?:long|large|big)|limit|expected/i },
  { mode: "truncated", says: /ended|closed|lost|found the end/i },
  { mode: "parent", says: /name|'\.\.'/ },
  { mode: "unsorted", says: /order|sorted/i },
  { mode: "duplicate", says: /order|sorted|twice|duplicate/i },
  { mode: "contents", says: /hash/i },
];

describe.skipIf(!usable)("hostile builders (skipped without root, nix-bin, openssh-server and busybox-static)", () => {
  let fleet: Fleet;
  let client: Client;
  let file: string;

  beforeAll(async () => {
    const hostile = (mode: string): BuilderSpec => ({
      alias: mode,
      sshd: { forceCommand: `${PROGRAM[0]} /checkout/test/e2e/hostile-server.mjs ${mode}` },
    });
    fleet = await startBuilders([
      { alias: "honest" },
      { alias: "chatty", sshd: { forceCommand: `echo Welcome to this machine; exec sh -c "$SSH_ORIGINAL_COMMAND"` } },
      ...MODES.map(({ mode }) => hostile(mode)),
    ]);
    client = await createClient(fleet, { generation: generations[0]! });
    file = client.write(
      "hostile.nix",
      `{ salt }: with import <nixpkgs> {}; {
         top = runCommand "top" { inherit salt; } "mkdir $out; echo $salt > $out/bb; echo honest words > $out/yy; echo > $out/zz";
         many = builtins.genList (n: runCommand "part-\${toString n}" { inherit salt; } "mkdir $out; echo honest words > $out/yy; echo > $out/zz") 6;
       }`,
    );
  });
  afterAll(async () => {
    await client?.remove();
    await fleet?.stop();
  });

  const lineOf = (alias: string): string => fleet.builders.find((builder) => builder.alias === alias)!.machineLine();
  const words = (attribute: string, salt: string) => [
    "-f",
    file,
    attribute,
    "--argstr",
    "salt",
    salt,
    "-j0",
    "--no-out-link",
  ];

  for (const { mode, says } of [{ mode: "chatty", says: /Welcome to this machine|magic/ }, ...MODES]) {
    it(`names a builder with the fault '${mode}' and registers nothing`, async () => {
      const run = await client.run(
        [...[...words("top", mode), "--ui", "plain", "--builders", lineOf(mode)], ...["--option", "max-attempts", "1"]],
        { timeoutMs: 20_000 },
      );
      expect(run.status, run.stderr).toBeGreaterThan(0);
      // One line says both who and what.
      const lines = run.stderr.split("\n").filter((line) => line.includes(`ssh-ng://${mode}`));
      expect(
        lines.some((line) => says.test(line)),
        run.stderr,
      ).toBe(true);
      const drv = /\/nix\/store\/[a-z0-9]{32}-top\.drv/.exec(run.stderr)?.[0];
      if (drv !== undefined) {
        const out = await client.instance.output("nix-store", ["--query", "--outputs", drv]);
        expect((await client.instance.run("nix-store", ["--check-validity", out])).status, out).not.toBe(0);
      }
      await client.verify();
    });

    it(`goes on at another machine beside one with the fault '${mode}'`, async () => {
      const { result, events } = await client.events([
        ...words("many", mode),
        "--builders",
        `${lineOf(mode)}\n${lineOf("honest")}`,
      ]);
      expect(result.status, result.stderr).toBe(0);
      expect(new Set(placesOf(events).values())).toEqual(new Set(["honest"]));
      await client.verify();
    });
  }
});
