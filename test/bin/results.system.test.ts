// What a build leaves behind: links, profiles and JSON as Nix makes them, and errors where something was asked for that is not there.
import { existsSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseInternalLine } from "../../src/engine/protocols/internal-json/parser.ts";
import { type Client, createClient } from "../e2e/client.ts";
import { startBuilders } from "../support/builders.ts";
import { atLeast, nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath, standInNixpkgs } from "../support/nixpkgs.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;
const nixPath = usable ? `nixpkgs=${await standInNixpkgs()}` : "";

const SET = `
with import <nixpkgs> {};
rec {
  spoiled = runCommand "spoiled" { } "echo 0 > $out";
  one = runCommand "one" { } "echo 1 > $out";
  other = runCommand "other" { } "echo 2 > $out";
  pair = runCommand "pair" { outputs = [ "first" "second" ]; } "echo 1 > $first; echo 2 > $second";
  linked = runCommand "linked" { } "ln -s \${one} $out";
  bad = runCommand "bad" { } "exit 1";
  loud = runCommand "loud" { } "echo said; echo 1 > $out";
  withOut = runCommand "with-out" { outputs = [ "out" "dev" ]; } "echo 1 > $out; echo 2 > $dev";
}
`;

for (const generation of generations) {
  describe(`results beside Nix ${generation.version}`, () => {
    let client: Client;
    let file: string;
    const home = (): string => join(client.instance.directory, "homes/root");

    beforeAll(async () => {
      await using fleet = await startBuilders(1);
      client = await createClient(fleet, { generation });
      file = client.write("set.nix", SET);
    });
    afterAll(() => client?.remove());

    const build = (...words: readonly string[]) =>
      client.run(["build", "-f", file, ...words, "--ui", "plain", "--builders", ""]);
    /** Links in the home with a name of theirs, and where they lead; removed, so that the next ones stand alone. */
    const links = (prefix: string): Record<string, string> => {
      const names = readdirSync(home()).filter((name) => name.startsWith(`${prefix}`) && name !== "set.nix");
      const found = Object.fromEntries(names.sort().map((name) => [name, readlinkSync(join(home(), name))]));
      for (const name of names) rmSync(join(home(), name));
      return found;
    };

    it("are linked under nix-build's names", async () => {
      for (const attributes of [
        ["one"],
        ["one", "other"],
        ["pair.first", "pair.second"],
        ["pair.second", "one", "pair.first"],
        ["withOut", "other", "withOut.dev"],
        ["one", "one"],
      ]) {
        const words = attributes.flatMap((attribute) => ["-A", attribute]);
        await client.instance.output("nix-build", [file, ...words, "-o", "/homes/root/linked"], {
          env: { NIX_PATH: nixPath },
        });
        const theirs = links("linked");
        const { status, stderr } = await build(...words, "-o", "/homes/root/linked");
        expect(status, stderr).toBe(0);
        expect(links("linked"), attributes.join(" ")).toEqual(theirs);
      }
    });

    it("are linked under 'nix build's names where the words are its own", async () => {
      const drv = await client.instance.output("nix-instantiate", [file, "-A", "other"], {
        env: { NIX_PATH: nixPath },
      });
      const carets: readonly (readonly string[])[] = [
        ["-f", file, "pair^*", "one"],
        ["-f", file, "one", "pair^*", "withOut^dev"],
        [`${drv}^out`, `${drv}^*`],
      ];
      for (const words of [["-f", file, "one", "other"], ...(atLeast(generation, "2.26") ? carets : [])]) {
        await client.instance.output("nix", ["build", ...words, "--out-link", "/homes/root/linked"], {
          env: { NIX_PATH: nixPath },
        });
        const theirs = links("linked");
        const flags = ["-o", "/homes/root/linked", "--ui", "plain", "--builders", ""];
        const { status, stderr } = await client.run(["build", ...words, ...flags]);
        expect(status, stderr).toBe(0);
        expect(links("linked"), words.join(" ")).toEqual(theirs);
      }
      const { status, stderr } = await client.run(["realise", drv, `${drv}^out`, "--add-root", "/homes/root/linked"]);
      expect(status, stderr).toBe(0);
      expect(Object.keys(links("linked"))).toEqual(["linked"]);
    });

    it("are printed as JSON as 'nix build --json' does", async () => {
      const words = ["--json", "--no-link", "-f", file, "one", "pair^*"];
      const outcome = await client.instance.run("nix", ["build", ...words], { env: { NIX_PATH: nixPath } });
      const { status, stdout, stderr } = await build("one", "pair^*", "--json", "--no-link");
      expect(status, stderr).toBe(0);
      const ours = JSON.parse(stdout) as unknown[];
      expect(ours).toHaveLength(2);
      // Nix 2.8 knows no '^' behind an attribute.
      if (outcome.status === 0) expect(JSON.parse(outcome.stdout)).toMatchObject(ours);
    });

    it("are not printed as JSON where the run failed, as by Nix", async () => {
      const words = ["--json", "--no-link", "-f", file, "one", "bad"];
      const theirs = await client.instance.run("nix", ["build", ...words], { env: { NIX_PATH: nixPath } });
      const ours = await build("one", "bad", "--json", "--no-link");
      expect([theirs.status, theirs.stdout]).toEqual([1, ""]);
      expect([ours.status, ours.stdout]).toEqual([100, ""]);
    });

    it("are found again by links to them, the first path a link meets, and by nothing else", async () => {
      const link = "/homes/root/kept";
      await client.instance.output("nix-build", [file, "-A", "linked", "-o", link], { env: { NIX_PATH: nixPath } });
      const theirs = await client.instance.output("nix-store", ["--realise", link]);
      const ours = await client.run(["realise", "./kept", "--ui", "quiet"]);
      expect([ours.status, ours.stdout.trim()]).toEqual([0, theirs]);
      const verified = await client.run(["verify", "./kept", "--no-trust", "-v"]);
      expect([verified.status, verified.stderr]).toEqual([0, expect.stringContaining("1 paths are whole")]);
      const refused = await client.instance.run("nix-store", ["--realise", file]);
      expect(refused.stderr).toContain("is not in the Nix store");
      for (const word of ["./set.nix", ".", "(import ./set.nix).one"]) {
        const { status, stdout, stderr } = await client.run(["realise", word, "--ui", "plain"]);
        expect([status, stdout], word).toEqual([1, ""]);
        expect(stderr).toContain("is not in the Nix store");
        expect(stderr).toContain("tsbuild-top build");
      }
    });

    it("are told in Nix's own log format as Nix tells them", async () => {
      const words = ["loud", "bad", "--no-link", "--log-format", "internal-json", "--keep-going", "-j1"];
      const env = { NIX_PATH: nixPath };
      const theirs = await client.instance.run("nix", ["build", "-f", file, ...words], { env });
      const loud = await client.instance.output("nix-build", [file, "-A", "loud", "--no-out-link"], { env });
      await client.instance.output("nix-store", ["--delete", loud]);
      const ours = await client.run(["build", "-f", file, ...words, "--builders", ""]);
      expect(ours.status).toBe(100);
      const told = (text: string) => {
        const lines = text
          .split("\n")
          .filter((line) => line !== "")
          .map(parseInternalLine);
        const builds = lines.filter((line) => line.type === "start" && line.activity === 105);
        return {
          builds: builds.map((line) => line.type === "start" && [line.text, line.fields]).sort(),
          logged: lines
            .filter((line) => line.type === "result" && line.result === 101)
            .map((line) => line.type === "result" && line.fields),
          errors: lines.filter((line) => line.type === "message" && line.level === 0).length,
          other: lines.filter(({ type }) => type === "foreign" || type === "malformed" || type === "unknown"),
        };
      };
      expect(told(ours.stderr)).toEqual({ ...told(theirs.stderr), errors: 1 });
    });

    it("are verified to the same status, whole, unsigned and damaged", async () => {
      const path = (await build("spoiled", "--no-link")).stdout.trim();
      for (const isDamaged of [false, true]) {
        if (isDamaged) writeFileSync(client.instance.hostPath(path), "something else");
        for (const flags of [[], ["-n", "1"], ["--no-contents"], ["--no-trust"]]) {
          const theirs = await client.instance.run("nix", ["store", "verify", path, ...flags]);
          const ours = await client.run(["verify", path, ...flags]);
          expect(ours.status, `${flags} ${theirs.stderr} ${ours.stderr}`).toBe(theirs.status);
        }
      }
    });

    it("become generations of a profile, which Nix goes on with", async () => {
      const profile = "/homes/root/profile";
      for (const attribute of ["one", "other", "other"]) {
        const { status, stderr } = await build(attribute, "--no-link", "--profile", profile);
        expect(status, stderr).toBe(0);
      }
      expect(Object.keys(generationsOf(home()))).toEqual(["profile", "profile-1-link", "profile-2-link"]);
      await client.instance.output("nix-store", ["--gc"]);
      expect(await client.instance.output("cat", [`${profile}-1-link`])).toBe("1");
      const listed = await client.instance.output("nix-env", ["-p", profile, "--list-generations"]);
      expect(listed).toMatch(/1 .*\n.*2 .*\(current\)/);
      const several = await build("one", "other", "--no-link", "--profile", profile);
      expect(several.status).toBe(1);
      expect(several.stderr).toContain(
        "'--profile' requires that the arguments produce a single store path, but there are 2",
      );
    });

    it("are not there where outputs are asked for that no derivation has", async () => {
      const { status, stdout, stderr } = await build("one^nope", "--no-link");
      expect(status).toBe(1);
      expect(stdout).toBe("");
      expect(stderr).toContain("does not have wanted outputs 'nope'");
      expect(stderr).toContain("It has: out");
      expect(stderr).not.toContain("nothing to do");
    });
  });
}

describe.skipIf(!usable)(
  "a store that is not there (skipped without root, nix-bin, openssh-server and busybox-static)",
  () => {
    it("is made by no command that only looks at one", async () => {
      await using fleet = await startBuilders(1);
      await using client = await createClient(fleet, { generation: generations[0]! });
      const store = ["--store", "/homes/root/mistyped"];
      const found = `/nix/store/${"0".repeat(32)}-x`;
      for (const words of [
        ["verify", "--all"],
        ["gc"],
        ["ping-store"],
        ["delete", found],
        ["log", `${found}.drv`],
        ["copy", "--to", "file:///homes/root/cache", found],
        ["copy", "--from", "/homes/root/mistyped", found],
      ]) {
        const given = words.includes("--from") ? [] : store;
        const { status, stderr } = await client.run([...words, ...given]);
        expect(status, words.join(" ")).toBe(1);
        expect(stderr, words.join(" ")).toContain("expected a store at '/homes/root/mistyped', found none");
      }
      expect(existsSync(join(client.instance.directory, "homes/root/mistyped"))).toBe(false);
      const path = `/nix/store/${"0".repeat(32)}-x.drv`;
      const { status, stderr } = await client.run(["build", `${path}^out`, ...store, "--ui", "plain"]);
      expect(status).toBe(1);
      expect(stderr).toContain(`derivation '${path}' is not in this store: found no '/homes/root/mistyped${path}'`);
      const copied = await client.run(["copy", "--to", "file:///homes/root/cache", `${path}^out`, ...store]);
      expect(copied.status).toBe(1);
      expect(copied.stderr).toMatch(/derivation '\/nix\/store\/.*\.drv' is not in '.*\/homes\/root\/mistyped.*'/);
      expect(copied.stderr).toContain("hint: it lies in another store");
      expect(existsSync(join(client.instance.directory, "homes/root/mistyped/nix/var/nix/db"))).toBe(true);
    });
  },
);

function generationsOf(directory: string): Record<string, string> {
  const names = readdirSync(directory).filter((name) => name.startsWith("profile"));
  return Object.fromEntries(names.sort().map((name) => [name, readlinkSync(join(directory, name))]));
}
