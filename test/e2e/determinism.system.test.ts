// The manual's chapter on verifying reproducibility, word for word, on local Nix, the embedded store and builders of every generation.
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath, standInNixpkgs } from "../support/nixpkgs.ts";
import type { RunResult } from "../support/processes.ts";
import { type Client, createClient, lineFor } from "./client.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;

/** The manual's `deterministic.nix`; `$RANDOM` is empty in busybox' shell, and a salt makes derivations that no store has yet. */
const EXPRESSION = `
{ salt }:
let
  inherit (import <nixpkgs> {}) runCommand;
  random = "od -An -N8 -tx8 /dev/urandom";
in {
  stable = runCommand "stable" { inherit salt; } "touch $out";
  unstable = runCommand "unstable" { inherit salt; } "\${random} > $out";
  several = runCommand "several" { inherit salt; outputs = [ "out" "dev" "doc" ]; } ''
    \${random} > $out
    \${random} > $dev
    echo doc > $doc
  '';
  named = runCommand "named" { inherit salt; } "cat /etc/tsbt-place > $out";
  slow = runCommand "slow" { inherit salt; } "sleep 1.5; echo $salt > $out";
}
`;

/** A place a build can be compared on. */
interface Place {
  readonly title: string;
  /** Flags that choose it. */
  readonly flags: () => readonly string[];
  /** Host path of a path of the store the results go to. */
  readonly hostPath: (path: string) => string;
  /** Nix's own words for where a build runs, at the end of a `building` line. */
  readonly on: () => string;
}

describe.skipIf(!usable)("determinism (skipped without root, nix-bin, openssh-server and busybox-static)", () => {
  let fleet: Fleet;
  let client: Client;
  let file: string;
  let hook: string;

  beforeAll(async () => {
    fleet = await startBuilders(generations.map((generation) => ({ generation })));
    client = await createClient(fleet, { generation: generations[0]! });
    file = client.write("deterministic.nix", EXPRESSION);
    hook = client.write("my-diff-hook", '#!/bin/sh\nexec >&2\necho "For derivation $3:"\ndiff -r "$1" "$2"\n');
    chmodSync(join(client.instance.directory, hook), 0o755);
    for (const { instance, alias } of fleet.builders)
      writeFileSync(join(instance.directory, "etc/tsbt-place"), `${alias}\n`);
    writeFileSync(join(client.instance.directory, "etc/tsbt-place"), "client\n");
  });
  afterAll(async () => {
    await client?.remove();
    await fleet?.stop();
  });

  const inClient = (path: string): string => client.instance.hostPath(path);
  const embeddedRoot = "/homes/root/my-nix";
  const places: readonly Place[] = [
    { title: "local Nix", flags: () => ["--builders", ""], hostPath: inClient, on: () => "" },
    {
      title: "the embedded store",
      flags: () => ["--builders", "", "--store", embeddedRoot],
      hostPath: (path) => join(client.instance.directory, embeddedRoot, path),
      on: () => "",
    },
    ...generations.map(
      (generation, index): Place => ({
        title: `a builder with Nix ${generation.version}`,
        flags: () => ["-j0", "--builders", lineFor(fleet.builders[index]!, "ssh-ng")],
        hostPath: inClient,
        on: () => ` on 'ssh-ng://${fleet.builders[index]!.alias}'`,
      }),
    ),
  ];

  /** Runs the program; `attribute` of the file, made new by `salt`. */
  const run = (place: Place, attribute: string, salt: string, ...more: readonly string[]): Promise<RunResult> =>
    client.run([
      "-f",
      file,
      attribute,
      "--argstr",
      "salt",
      salt,
      "--no-out-link",
      "--ui",
      "plain",
      ...place.flags(),
      ...more,
    ]);
  const attributes = ["stable", "unstable", "several"];
  const made = new Map<string, Promise<string[]>>();
  const drvOf = async (attribute: string, salt: string): Promise<string> => {
    const instantiate = async (): Promise<string[]> => {
      const words = [file, ...attributes.flatMap((name) => ["-A", name]), "--argstr", "salt", salt];
      const env = { NIX_PATH: `nixpkgs=${await standInNixpkgs()}` };
      return (await client.instance.output("nix-instantiate", words, { env })).split("\n");
    };
    const drvs = made.get(salt) ?? instantiate();
    made.set(salt, drvs);
    return (await drvs)[attributes.indexOf(attribute)]!;
  };
  const outOf = async (drv: string): Promise<string> =>
    client.instance.output("nix-store", ["--query", "--outputs", drv]);
  const valid = async (path: string): Promise<boolean> =>
    (await client.instance.run("nix-store", ["--query", "--hash", path])).status === 0;
  const linesOf = ({ stderr }: RunResult): string[] => stderr.split("\n");
  const differs = (drv: string, out: string): string =>
    `derivation '${drv}' may not be deterministic: output '${out}' differs`;

  for (const [index, place] of places.entries()) {
    const isEmbedded = place.title === "the embedded store";

    it(`checks as the manual says on ${place.title}`, async () => {
      const salt = `salt-${index}`;
      const stable = await drvOf("stable", salt);
      const early = await run(place, "stable", salt, "--check");
      expect(early.status, early.stderr).toBe(1);
      expect(early.stderr).toContain(`error: some outputs of '${stable}' are not valid, so checking is not possible`);
      expect((await run(place, "stable", salt)).status).toBe(0);
      const same = await run(place, "stable", salt, "--check");
      expect(same.status, same.stderr).toBe(0);
      expect(linesOf(same)).toContain(`checking outputs of '${stable}'${place.on()}...`);
      expect(same.stdout.trim()).toBe(await outOf(stable));

      const drv = await drvOf("unstable", salt);
      const out = await outOf(drv);
      expect((await run(place, "unstable", salt)).status).toBe(0);
      const first = readFileSync(place.hostPath(out), "utf8");
      const other = await run(place, "unstable", salt, "--check");
      expect(other.status, other.stderr).toBe(104);
      expect(linesOf(other)).toContain(`checking outputs of '${drv}'${place.on()}...`);
      expect(linesOf(other)).toContain(`error: ${differs(drv, out)}`);
      expect(other.stdout).toBe("");
      expect(other.stderr).toMatch(/bytes differ, first at byte/);
      expect(existsSync(place.hostPath(`${out}.check`))).toBe(false);

      const kept = await run(place, "unstable", salt, "--check", "--keep-failed");
      expect(kept.status, kept.stderr).toBe(104);
      const where = isEmbedded ? `${embeddedRoot}${out}` : out;
      expect(linesOf(kept)).toContain(`error: ${differs(drv, out)} from '${where}.check'`);
      const check = readFileSync(place.hostPath(`${out}.check`), "utf8");
      expect(check).not.toBe(first);
      expect(readFileSync(place.hostPath(out), "utf8")).toBe(first);
    });

    it(`repeats as the manual says on ${place.title}`, async () => {
      const salt = `repeat-${index}`;
      const stable = await drvOf("stable", salt);
      const same = await run(place, "stable", salt, "--repeat", "2");
      expect(same.status, same.stderr).toBe(0);
      for (const round of [1, 2, 3])
        expect(linesOf(same)).toContain(`building '${stable}' (round ${round}/3)${place.on()}...`);

      const drv = await drvOf("unstable", salt);
      const out = await outOf(drv);
      const enforced = await run(place, "unstable", salt, "--repeat", "2", "--option", "enforce-determinism", "true");
      expect(enforced.status, enforced.stderr).toBe(104);
      expect(linesOf(enforced)).toContain(`error: output '${out}' of '${drv}' differs from previous round`);
      expect(enforced.stderr).not.toContain("(round 3/3)");
      expect(enforced.stderr).not.toContain("stay valid");
      expect(existsSync(place.hostPath(out))).toBe(false);
      if (!isEmbedded) expect(await valid(out)).toBe(false);

      const salt2 = `${salt}-loose`;
      const drv2 = await drvOf("unstable", salt2);
      const out2 = await outOf(drv2);
      const hooked = ["--option", "run-diff-hook", "true", "--option", "diff-hook", hook];
      const report = `report-${index}.json`;
      const words = ["--repeat", "1", "--option", "enforce-determinism", "false", "--report", report, ...hooked];
      const loose = await run(place, "unstable", salt2, ...words);
      expect(loose.status, loose.stderr).toBe(0);
      expect(loose.stdout.trim()).toBe(out2);
      const where = isEmbedded ? `${embeddedRoot}${out2}` : out2;
      for (const round of [1, 2])
        expect(linesOf(loose)).toContain(`building '${drv2}' (round ${round}/2)${place.on()}...`);
      expect(loose.stderr).toContain(`output '${out2}' of '${drv2}' differs from '${where}.check' from previous round`);
      const first = readFileSync(place.hostPath(out2), "utf8");
      const second = readFileSync(place.hostPath(`${out2}.check`), "utf8");
      expect(second).not.toBe(first);
      // What the manual finds in the daemon's log; the first result is the older line, and the one that stays.
      expect(loose.stderr).toContain(`For derivation ${drv2}:`);
      expect(linesOf(loose)).toContain(`unstable (diff)> < ${first.trimEnd()}`);
      expect(linesOf(loose)).toContain(`unstable (diff)> > ${second.trimEnd()}`);
      expect(loose.stderr).toMatch(/^unstable +\S+: first +\S+: DIFFERS +NOT DETERMINISTIC \(out\)$/m);
      const json = JSON.parse(readFileSync(join(client.instance.directory, "homes/root", report), "utf8"));
      expect(json.derivations).toMatchObject([
        { drvPath: drv2, verdict: "differs", differences: [{ output: "out", round: 2 }] },
      ]);
    });

    it(`reports and keeps every output that differs on ${place.title}`, async () => {
      const salt = `salt-${index}`;
      const drv = await drvOf("several", salt);
      const outs = await client.instance.output("nix-store", ["--query", "--binding", "out", drv]);
      const dev = await client.instance.output("nix-store", ["--query", "--binding", "dev", drv]);
      expect((await run(place, "several", salt)).status).toBe(0);
      const hooked = ["--option", "run-diff-hook", "true", "--option", "diff-hook", hook];
      const checked = await run(place, "several", salt, "--check", ...hooked);
      expect(checked.status, checked.stderr).toBe(104);
      for (const path of [outs, dev]) {
        expect(checked.stderr).toContain(
          `output '${path}' differs from '${isEmbedded ? embeddedRoot : ""}${path}.check'`,
        );
        expect(existsSync(place.hostPath(`${path}.check`))).toBe(true);
      }
      expect(checked.stderr.match(/For derivation /g)?.length).toBe(2);
      expect(checked.stderr).not.toMatch(/-several-doc' differs/);
    });
  }

  it("checks what it has to build first with --build-missing", async () => {
    const place = places[0]!;
    const run1 = await run(place, "stable", "missing", "--check", "--build-missing");
    expect(run1.status, run1.stderr).toBe(0);
    const drv = await drvOf("stable", "missing");
    expect(
      linesOf(run1).filter((line) => line.includes(`'${drv}'`) && /^(?:building|checking)/.test(line)).length,
    ).toBeGreaterThan(0);
  });

  it("passes on one machine and fails on others what holds the machine's name", async () => {
    const machines = ["-j0", "--builders", fleet.machines()];
    const place: Place = { title: "", flags: () => machines, hostPath: inClient, on: () => "" };
    const same = await run(place, "named", "host-same", "--repeat", "1", "--rounds-on", "same");
    expect(same.status, same.stderr).toBe(0);
    const other = await run(place, "named", "host-other", "--repeat", "1", "--rounds-on", "other");
    expect(other.status, other.stderr).toBe(104);
    expect(other.stderr).toMatch(/error: output '\S+-named' of '\S+' differs/);
    expect(other.stderr).toMatch(/b\d.*b\d/);
  });

  it("does not take a round that was lost with its builder for a difference", async () => {
    const [one, two] = fleet.builders;
    const machines = ["-j0", "--builders", `${lineFor(one!, "ssh-ng")}\n${lineFor(two!, "ssh-ng")}`];
    const running = client.events([
      "-f",
      file,
      "slow",
      "--argstr",
      "salt",
      "lost",
      "--no-out-link",
      "--repeat",
      "1",
      "--rounds-on",
      "any",
      ...machines,
    ]);
    await new Promise((resolve) => setTimeout(resolve, 2500));
    await two!.sshd.stop();
    const { result, events } = await running;
    expect(result.status, result.stderr).toBe(0);
    expect(events.some(({ event }) => event.type === "outputDiffered")).toBe(false);
    const verdicts = events.flatMap(({ event }) => (event.type === "roundFinished" ? [event.verdict] : []));
    // When the first round's machine is the one that is lost, the rounds begin anew.
    expect(verdicts.slice(-2)).toEqual(["first", "same"]);
    expect(verdicts).not.toContain("differs");
  });
});
