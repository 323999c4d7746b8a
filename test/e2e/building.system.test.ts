// Closures built on real builders: every generation of Nix by every scheme, all at once, and what is left of it in the store.
import { existsSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { createInstance } from "../support/nix-instance.ts";
import { busyboxPath, standInNixpkgs } from "../support/nixpkgs.ts";
import { type Client, createClient, lineFor, placesOf } from "./client.ts";
import { CLOSURE, FLOATING } from "./expressions.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;
const schemes = ["ssh-ng", "ssh", ""] as const;

describe.skipIf(!usable)("building (skipped without root, nix-bin, openssh-server and busybox-static)", () => {
  let fleet: Fleet;
  let client: Client;
  let file: string;

  beforeAll(async () => {
    fleet = await startBuilders(generations.map((generation) => ({ generation })));
    client = await createClient(fleet, { generation: generations[0]! });
    file = client.write("closure.nix", CLOSURE);
  });
  afterAll(async () => {
    await client?.remove();
    await fleet?.stop();
  });

  const closure = (salt: string, ...more: readonly string[]) => ["-f", file, "top", "--argstr", "salt", salt, ...more];
  const remote = (machines: string) => ["-j0", "--ui", "plain", "--no-out-link", "--builders", machines];

  /** What Nix itself makes of it, in a store of its own: path and hash of the contents. */
  const byNix = async (salt: string): Promise<{ path: string; hash: string }> => {
    await using instance = await createInstance(generations[0]!, { name: "oracle" });
    const env = { NIX_PATH: `nixpkgs=${await standInNixpkgs()}` };
    const words = ["--no-out-link", "-E", CLOSURE, "-A", "top", "--argstr", "salt", salt];
    const path = await instance.output("nix-build", words, { env });
    return { path, hash: await instance.output("nix-store", ["--query", "--hash", path]) };
  };

  for (const [index, generation] of generations.entries()) {
    for (const scheme of schemes) {
      const way = scheme === "" ? "its bare alias" : `${scheme}://`;
      it(`builds a closure on Nix ${generation.version} by ${way}, as nix-build does, and nothing twice`, async () => {
        const salt = `one-${index}-${scheme}`;
        const machines = lineFor(fleet.builders[index]!, scheme);
        const first = await client.run([...closure(salt), ...remote(machines)]);
        expect(first.status, first.stderr).toBe(0);
        const path = first.stdout.trim();
        const expected = await byNix(salt);
        expect(path).toBe(expected.path);
        expect(await client.instance.output("nix-store", ["--query", "--hash", path])).toBe(expected.hash);
        const uri =
          scheme === "" ? `ssh://${fleet.builders[index]!.alias}` : `${scheme}://${fleet.builders[index]!.alias}`;
        expect(first.stderr).toMatch(new RegExp(`^building '/nix/store/[a-z0-9]{32}-top.drv' on '${uri}'`, "m"));
        expect(first.stderr).not.toContain("warning");
        const second = await client.run([...closure(salt), ...remote(machines)]);
        expect(second.status, second.stderr).toBe(0);
        expect(second.stdout).toBe(first.stdout);
        expect(second.stderr).not.toContain("building '");
        await client.verify();
      });
    }
  }

  it("spreads a closure over all generations at once, with the same result", async () => {
    const wide = client.write(
      "wide.nix",
      `{ salt }: with import <nixpkgs> {};
       let part = n: runCommand "part-\${toString n}" { inherit salt; } "sleep 0.3; echo $salt \${toString n} > $out";
       in { top = runCommand "wide" { parts = map part [ 1 2 3 4 5 6 7 8 9 ]; } "cat $parts > $out"; }`,
    );
    const { result, events } = await client.events([
      ...["-f", wide, "top", "--argstr", "salt", "wide", "-j0", "--no-out-link"],
      ...["--builders", fleet.machines({ maxJobs: 2 })],
    ]);
    expect(result.status, result.stderr).toBe(0);
    const places = placesOf(events);
    expect(places.size).toBe(10);
    expect(new Set(places.values()).size).toBe(generations.length);
    const finished = events.at(-1)?.event;
    expect(finished).toMatchObject({ type: "runFinished", outcome: { exitStatus: 0, built: 10, failed: 0 } });
    const path = finished?.type === "runFinished" ? finished.outcome.outputs[0]! : "";
    expect(await client.instance.output("cat", [path])).toBe(
      [1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => `wide ${n}`).join("\n"),
    );
    await client.verify();
  });

  it("builds floating content-addressed derivations remotely and registers what they became", async () => {
    const floating = client.write("floating.nix", FLOATING);
    for (const [index, builder] of fleet.builders.entries()) {
      const words = ["-f", floating, "outer", "--argstr", "salt", `ca-${index}`];
      // Nix requires the feature of whoever builds what has no path beforehand.
      const machine = builder.machineLine({ features: ["ca-derivations"] });
      const first = await client.run([...words, ...remote(machine)]);
      expect(first.status, first.stderr).toBe(0);
      const path = first.stdout.trim();
      expect(await client.instance.output("cat", [`${path}/inner`])).toBe(`inner ca-${index}`);
      const again = await client.run([...words, ...remote(machine)]);
      expect(again.stdout).toBe(first.stdout);
      expect(again.stderr).not.toContain("building '");
    }
    await client.verify();
  });

  it("keeps the log of a remote build where nix log finds it", async () => {
    const drv = await client.instance.output(
      "nix-instantiate",
      [file, "-A", "right", "--argstr", "salt", "one-0-ssh-ng"],
      {
        env: { NIX_PATH: `nixpkgs=${await standInNixpkgs()}` },
      },
    );
    expect(await client.instance.output("nix-store", ["--read-log", drv])).toBe("building right");
    expect(await client.instance.output("nix", ["log", drv])).toBe("building right");
  });

  it("makes result links for every output asked for, which keep them from the collector", async () => {
    const links = ["-j0", "--builders", fleet.machines(), "--ui", "plain"];
    const env = { NIX_PATH: `nixpkgs=${await standInNixpkgs()}` };
    const instantiate = (attribute: string) =>
      client.instance.output("nix-instantiate", [file, "-A", attribute, "--argstr", "salt", "links"], { env });
    const built = await client.run([`${await instantiate("left")}^*`, await instantiate("base"), ...links]);
    expect(built.status, built.stderr).toBe(0);
    const home = join(client.instance.directory, "homes/root");
    const target = (name: string): string => readlinkSync(join(home, name));
    expect(target("result")).toMatch(/-left$/);
    expect(target("result-dev")).toMatch(/-left-dev$/);
    expect(target("result-2")).toMatch(/-base$/);
    expect(built.stdout.trim().split("\n").sort()).toEqual(
      [target("result"), target("result-dev"), target("result-2")].sort(),
    );

    const unlinked = await client.run([...closure("unlinked", "--no-out-link"), ...links]);
    const named = await client.run(["-f", file, "base", "--argstr", "salt", "named", "-o", "mine", ...links]);
    expect(named.status, named.stderr).toBe(0);
    await client.instance.output("nix-store", ["--gc"]);
    const isThere = (path: string): boolean => existsSync(client.instance.hostPath(path));
    for (const name of ["result", "result-dev", "result-2", "mine"]) expect(isThere(target(name)), name).toBe(true);
    expect(isThere(unlinked.stdout.trim())).toBe(false);
    await client.verify();
  });

  it("refuses to overwrite what is no result link", async () => {
    client.write("occupied", "mine");
    const run = await client.run([
      ...closure("occupied", "-o", "occupied", "-j0", "--ui", "plain"),
      "--builders",
      fleet.machines(),
    ]);
    expect(run.status).toBe(1);
    expect(run.stderr).toContain("cannot make the result link");
  });

  it("says with --dry-run what it would build and where, and does nothing", async () => {
    const dry = await client.run([...closure("dry", "--dry-run"), "-j0", "--builders", fleet.machines()]);
    expect(dry.status, dry.stderr).toBe(0);
    expect(dry.stderr).toContain("these 5 derivations will be built:");
    expect(dry.stderr).toMatch(/could go to .*b1.*: .*top/);
    const json = await client.run([...closure("dry", "--dry-run", "--json"), "-j0", "--builders", fleet.machines()]);
    const plan = JSON.parse(json.stdout) as {
      derivations: string[];
      placement: { name: string; machines: string[] }[];
    };
    expect(plan.derivations).toHaveLength(5);
    for (const { machines } of plan.placement) expect(machines).toEqual(fleet.builders.map(({ alias }) => alias));
    expect(client.instance.processes()).toEqual([]);
  });

  it("prints events line by line, numbered without a gap", async () => {
    const { result, events } = await client.events([
      ...closure("events", "-j0", "--no-out-link"),
      "--builders",
      fleet.machines(),
    ]);
    expect(result.status, result.stderr).toBe(0);
    expect(result.stderr).toBe("");
    const [first] = events;
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => first!.seq + index));
    expect(first!.event.type).toBe("runStarted");
    expect(events.at(-1)!.event.type).toBe("runFinished");
  });

  it("builds here with max-jobs, nowhere else when a build prefers that, and says who has nothing to build on", async () => {
    const preferring = client.write(
      "prefer.nix",
      `{ salt }: with import <nixpkgs> {}; { top = runCommand "pair" { a = runCommand "plain" { inherit salt; } "sleep 0.2; echo a > $out";
         b = runCommandLocal "local-one" { inherit salt; } "echo b > $out"; } "cat $a $b > $out"; }`,
    );
    const words = ["-f", preferring, "top", "--no-out-link"];
    const mixed = await client.events([
      ...words,
      "--argstr",
      "salt",
      "mixed",
      "-j1",
      "--builders",
      fleet.machines({ speed: 10 }),
    ]);
    expect(mixed.result.status, mixed.result.stderr).toBe(0);
    expect(placesOf(mixed.events).get("local-one")).toBe("local");
    const alone = await client.events([...words, "--argstr", "salt", "alone", "-j", "auto", "--builders", ""]);
    expect(alone.result.status, alone.result.stderr).toBe(0);
    expect(new Set(placesOf(alone.events).values())).toEqual(new Set(["local"]));
    const nobody = await client.run([...words, "--argstr", "salt", "nobody", "-j0", "--ui", "plain", "--builders", ""]);
    expect(nobody.status).not.toBe(0);
    expect(nobody.stderr).toContain("max-jobs");
    await client.verify();
  });
});
