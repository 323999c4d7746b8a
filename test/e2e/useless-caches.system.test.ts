// A cache that turns out to be no help is passed over with a warning, and what it cannot give is built, as Nix does without `--fallback`.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath, standInNixpkgs } from "../support/nixpkgs.ts";
import { type Client, createClient } from "./client.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;

const EXPRESSION = `
{ salt }:
with import <nixpkgs> {};
rec {
  lower = runCommand "lower" { inherit salt; } "echo lower > $out";
  upper = runCommand "upper" { inherit salt; } "echo \${lower} > $out";
}
`;

interface Case {
  readonly what: string;
  /** Spoils the cache, which is a folder. */
  readonly spoil: (cache: string) => void;
  readonly flags: readonly string[];
  readonly status: number;
  readonly says: RegExp;
}

const unsigned = ["--option", "require-sigs", "false"];
const narInfos = (cache: string) => readdirSync(cache).filter((name) => name.endsWith(".narinfo"));
const infoOf = (cache: string, name: string) =>
  narInfos(cache).find((file) => readFileSync(join(cache, file), "utf8").includes(`-${name}\n`))!;

const CASES: readonly Case[] = [
  {
    what: "that nobody trusted has signed",
    spoil: () => undefined,
    flags: [],
    status: 0,
    says: /not signed|passed over/,
  },
  {
    what: "whose file is gone",
    spoil: (cache) => {
      for (const name of readdirSync(join(cache, "nar"))) rmSync(join(cache, "nar", name));
    },
    flags: unsigned,
    status: 0,
    says: /does not exist/,
  },
  {
    what: "that lacks a reference",
    spoil: (cache) => rmSync(join(cache, infoOf(cache, "lower"))),
    flags: unsigned,
    status: 0,
    says: /lower/,
  },
  {
    what: "whose files are damaged",
    spoil: (cache) => {
      for (const name of readdirSync(join(cache, "nar"))) writeFileSync(join(cache, "nar", name), "");
    },
    flags: unsigned,
    status: 1,
    says: /--fallback/,
  },
];

describe.skipIf(!usable)("a cache (skipped without root, nix-bin, openssh-server and busybox-static)", () => {
  for (const generation of generations) {
    describe(`beside Nix ${generation.version}`, () => {
      let fleet: Fleet;
      let client: Client;
      let file: string;

      beforeAll(async () => {
        fleet = await startBuilders(1);
        client = await createClient(fleet, { generation, sandbox: false });
        file = client.write("cached.nix", EXPRESSION);
      });
      afterAll(async () => {
        await client?.remove();
        await fleet?.stop();
      });

      const offered = async (salt: string, spoil: Case["spoil"]) => {
        const env = { NIX_PATH: `nixpkgs=${await standInNixpkgs()}` };
        const cache = `/homes/root/cache-${salt}`;
        const words = [file, "-A", "upper", "--no-out-link", "--argstr", "salt", salt];
        const path = await client.instance.output("nix-build", words, { env });
        await client.instance.output("nix", [
          ...["--extra-experimental-features", "nix-command", "copy", "--to", `file://${cache}`, path],
        ]);
        const closure = await client.instance.output("nix-store", ["-qR", path]);
        await client.instance.output("nix-store", [
          "--delete",
          ...closure.split("\n").filter((each) => /-(lower|upper)$/.test(each)),
        ]);
        spoil(join(client.instance.directory, "homes/root", `cache-${salt}`));
        return { cache, path };
      };

      const stores = [
        ["local Nix", []],
        // The unpacked roots of newer generations have no shell to put into its sandbox.
        ...(generation === generations[0] ? [["embedded store", ["--store", "/homes/root/own"]] as const] : []),
      ] as const;
      for (const [store, at] of stores) {
        it.each(CASES)(`$what: $status (${store})`, async ({ what, spoil, flags, status, says }) => {
          const salt = `${what}-${store}`.replaceAll(/\W/g, "-");
          const { cache, path } = await offered(salt, spoil);
          const run = await client.run([
            ...["-f", file, "upper", "--argstr", "salt", salt, "--no-out-link", "--ui", "plain", "--builders", ""],
            ...["--substituters", `file://${cache}`, ...flags, ...at],
          ]);
          expect(run.status, run.stderr).toBe(status);
          expect(run.stdout).toBe(status === 0 ? `${path}\n` : "");
          expect(run.stderr).toMatch(says);
        });
      }
    });
  }
});
