// Rounds and checks where something stands in their way: builders that are lost, accounts that may do little, runs that are cancelled, machines
// that repeat by themselves.
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Builder, type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import type { Account } from "../support/nix-instance.ts";
import { busyboxPath, standInNixpkgs } from "../support/nixpkgs.ts";
import { ended, type RunResult, until } from "../support/processes.ts";
import { type Client, createClient, PROGRAM } from "./client.ts";

const generations = await nixGenerations();
const hasDiffoscope = existsSync("/usr/bin/diffoscope");
const usable = generations.length > 0 && busyboxPath() !== null;

/** Builders write a line into `log` each time they run; without a sandbox it can be anywhere. */
const EXPRESSION = `
{ salt, log ? "/dev/null" }:
let
  inherit (import <nixpkgs> {}) runCommand;
  random = "od -An -N8 -tx8 /dev/urandom";
in rec {
  stable = runCommand "stable" { inherit salt; } "echo ran >> \${log}; touch $out";
  unstable = runCommand "unstable" { inherit salt; } "echo ran >> \${log}; \${random} > $out";
  several = runCommand "several" { inherit salt; outputs = [ "out" "dev" ]; } "\${random} > $out; \${random} > $dev";
  broken = runCommand "broken" { inherit salt; } "test ! -e \${log}.bad; touch $out";
  slow = runCommand "slow" { inherit salt; } "sleep 1.5; touch $out";
  both = [ unstable broken ];
}
`;

describe.skipIf(!usable)("rounds (skipped without root, nix-bin, openssh-server and busybox-static)", () => {
  let fleet: Fleet;
  /** Without a daemon, as root; its Nix is told to repeat by itself where it can. */
  let client: Client;
  /** With a root daemon, for ordinary users. */
  let shared: Client;

  beforeAll(async () => {
    const conf = "repeat = 2";
    const generation = generations[0]!;
    fleet = await startBuilders([
      { generation, alias: "repeats", instance: { conf } },
      { generation, alias: "other" },
      { generation, alias: "serve-only", scheme: "ssh", sshd: { forceCommand: "nix-store --serve --write" } },
      { generation, alias: "daemon-only", sshd: { forceCommand: "nix-daemon --stdio" } },
      ...generations.map((each, index) => ({
        generation: each,
        alias: `plain-${index}`,
        account: "tsbt-plain" as const,
      })),
    ]);
    client = await createClient(fleet, { generation, conf: `${conf}\nrequire-sigs = false` });
    shared = await createClient(fleet, { generation, daemon: true });
  });
  afterAll(async () => {
    await shared?.remove();
    await client?.remove();
    await fleet?.stop();
  });

  const builder = (alias: string): Builder => fleet.builders.find((candidate) => candidate.alias === alias)!;
  const on = (...aliases: readonly string[]): string[] => [
    "-j0",
    "--builders",
    aliases.map((alias) => builder(alias).machineLine()).join("\n"),
  ];
  const here: readonly string[] = ["--builders", ""];

  const wordsFor = (at: Client, attribute: string, salt: string, user: Account, log: string): string[] => {
    const file = at.write("rounds.nix", EXPRESSION, user);
    const words = ["-f", file, attribute, "--argstr", "salt", salt, "--no-out-link", "--ui", "plain"];
    return log === "" ? words : [...words, "--argstr", "log", log];
  };
  const run = (attribute: string, salt: string, ...more: readonly string[]): Promise<RunResult> =>
    client.run([...wordsFor(client, attribute, salt, "root", ""), ...more]);
  const logOf = (name: string): string => {
    const directory = join(client.instance.directory, "homes/root/logs");
    mkdirSync(directory, { recursive: true });
    return join(directory, name);
  };
  const ran = (file: string): number => (existsSync(file) ? readFileSync(file, "utf8").split("\n").length - 1 : 0);
  const drvIn = (text: string): string => /'(\/nix\/store\/\S+\.drv)'/.exec(text)![1]!;
  const leftovers = (directory: string): string[] =>
    readdirSync(join(directory, "nix/store")).filter((name) => /\.check/.test(name));

  it("are as many as were asked for, whatever a machine's own nix.conf repeats", async () => {
    // The machine with the program reads `repeat = 2` as its own setting.
    const local = logOf("local-runs");
    const first = await client.run([
      ...wordsFor(client, "stable", "own", "root", "/homes/root/logs/local-runs"),
      ...here,
    ]);
    expect(first.status, first.stderr).toBe(0);
    expect(first.stderr).toContain("(round 3/3)");
    expect(ran(local)).toBe(3);
    const remote = join(builder("repeats").instance.directory, "homes/root/runs");
    writeFileSync(remote, "");
    const second = await client.run([
      ...wordsFor(client, "stable", "theirs", "root", "/homes/root/runs"),
      ...on("repeats"),
      "--repeat",
      "1",
    ]);
    expect(second.status, second.stderr).toBe(0);
    expect(ran(remote)).toBe(2);
  });

  it("on an account that only serves a store run elsewhere, or the reason is told", async () => {
    const alone = await run("stable", "serve-1", ...on("serve-only"), "--repeat", "1");
    expect(alone.status, alone.stderr).toBe(100);
    expect(alone.stderr).toContain("the serve protocol knows no check mode");
    const checked = await run("stable", "serve-2", ...on("serve-only"), "--repeat", "0");
    expect(checked.status, checked.stderr).toBe(0);
    const elsewhere = await run("stable", "serve-2", ...on("serve-only", "other"), "--check", "--repeat", "0");
    expect(elsewhere.status, elsewhere.stderr).toBe(0);
    const two = await run("unstable", "serve-3", ...on("serve-only", "other"), "--repeat", "1", "--rounds-on", "other");
    expect(two.status, two.stderr).toBe(104);
    expect(two.stderr).toMatch(/bytes differ, first at byte/);
  });

  it("say so where an account runs one Nix server and nothing else, and only one output can be told of", async () => {
    expect((await run("several", "forced", ...on("daemon-only"), "--repeat", "0")).status).toBe(0);
    const checked = await run("several", "forced", ...on("daemon-only"), "--repeat", "0", "--check");
    expect(checked.status, checked.stderr).toBe(104);
    expect(checked.stderr).toMatch(/only the first output of '\S+' that differs is known/);
  });

  for (const [index, { version }] of generations.entries()) {
    it(`show both results of an account without trust on Nix ${version}`, async () => {
      const flags = [
        ...on(`plain-${index}`),
        "--repeat",
        "2",
        "--keep-failed",
        "--option",
        "enforce-determinism",
        "false",
      ];
      const loose = await run("unstable", `plain-${index}`, ...flags);
      expect(loose.status, loose.stderr).toBe(0);
      const out = loose.stdout.trim();
      for (const suffix of [".check", ".check-3"]) {
        expect(loose.stderr).toContain(`differs from '${out}${suffix}' from previous round`);
        expect(existsSync(client.instance.hostPath(`${out}${suffix}`))).toBe(true);
      }
      expect((await run("several", `plain-${index}`, ...on(`plain-${index}`), "--repeat", "0")).status).toBe(0);
      const several = await run("several", `plain-${index}`, ...on(`plain-${index}`), "--check", "--repeat", "0", "-K");
      expect(several.status, several.stderr).toBe(104);
      expect(
        several.stderr.match(/^(?:error: | {7})derivation '\S+' may not be deterministic: .* differs from /gm),
      ).toHaveLength(2);
    });
  }

  it("keep results in the state directory of a user who may not write to the store, and the hook is that user's", async () => {
    const user = "tsbt-plain";
    const words = (...more: readonly string[]) => [...wordsFor(shared, "several", "user", user, ""), ...here, ...more];
    expect((await shared.run(words(), { user })).status).toBe(0);
    const hook = shared.write(
      "hook",
      '#!/bin/sh\necho "as $(id -u) in $PWD"\ncat "$1" "$2"\nfor path in "$@"; do echo "given $path"; done\nexit 3\n',
      user,
    );
    await shared.instance.output("chmod", ["755", hook]);
    const hooked = ["--option", "run-diff-hook", "true", "--option", "diff-hook", hook];
    for (const flags of [hooked, [...hooked, "--keep-failed"]]) {
      const checked = await shared.run(words("--check", ...flags), { user });
      expect(checked.status, checked.stderr).toBe(104);
      const kept = [...checked.stderr.matchAll(/differs from '(\/homes\/tsbt-plain\/\S+\.check)'/g)].map(
        ([, path]) => path!,
      );
      expect(new Set(kept).size, checked.stderr).toBe(2);
      for (const path of kept) expect(existsSync(join(shared.instance.directory, path))).toBe(true);
      expect(checked.stderr.match(/\(diff\)> as 61002 in \/$/gm)).toHaveLength(2);
      for (const path of new Set(kept)) expect(checked.stderr).toContain(`(diff)> given ${path}`);
      expect(checked.stderr).toMatch(/diff-hook.*exit code 3/);
    }
    expect(leftovers(shared.instance.directory)).toEqual([]);
  });

  it("that differ and builds that fail have the exit status Nix gives them together", async () => {
    const salt = "together";
    const log = "/homes/root/logs/broken";
    const bad = logOf("broken.bad");
    const words = wordsFor(client, "both", salt, "root", log);
    const built = await client.run([...words, ...here, "--repeat", "0"]);
    expect(built.status, built.stderr).toBe(0);
    writeFileSync(bad, "");
    const nix = ["rounds.nix", "-A", "both", "--argstr", "salt", salt, "--argstr", "log", log, "--no-out-link"];
    const env = { NIX_PATH: `nixpkgs=${await standInNixpkgs()}` };
    const flags = ["--check", "--keep-going"];
    const oracle = await client.instance.run("nix-build", [...nix, ...flags], { env, cwd: "/homes/root" });
    expect(oracle.status, oracle.stderr).toBe(108);
    const ours = await client.run([...words, ...here, ...flags, "--repeat", "0"]);
    expect(ours.status, ours.stderr).toBe(108);
    for (const machine of [on("other"), on("other", "repeats")]) {
      for (const alias of ["other", "repeats"])
        mkdirSync(join(builder(alias).instance.directory, "homes/root/logs"), { recursive: true });
      const there = await client.run([...words, ...machine, ...flags, "--repeat", "0"]);
      // On a builder the broken one finds no such file, and is as before.
      expect(there.status, there.stderr).toBe(104);
    }
  });

  const places = [
    { title: "local Nix", flags: () => here, root: "" },
    { title: "the embedded store", flags: () => [...here, "--store", "/homes/root/own"], root: "homes/root/own" },
    { title: "a builder", flags: () => on("other"), root: "" },
  ];
  for (const [index, { title, flags, root }] of places.entries()) {
    it(`leave nothing behind when they are cancelled on ${title}`, async () => {
      const words = wordsFor(client, "slow", `cancelled-${index}`, "root", "");
      const objects = (): string[] => {
        const store = join(client.instance.directory, root, "nix/store");
        // Nix leaves locks where it built; everything else would be a result of the first round.
        return existsSync(store) ? readdirSync(store).filter((name) => /-slow(?!\.drv|\.lock)/.test(name)) : [];
      };
      const before = objects();
      const [node, script] = PROGRAM;
      const env = { ...fleet.env, NIX_PATH: `nixpkgs=${await standInNixpkgs()}`, NO_COLOR: "1" };
      const child = client.instance.spawn(node, [script, ...words, ...flags(), "--repeat", "2"], {
        cwd: "/homes/root",
        env,
      });
      let said = "";
      child.stderr.on("data", (chunk: Buffer) => {
        said += chunk.toString();
      });
      child.stdout.resume();
      await until("the second round", () => said.includes("(round 2/3)") || child.exitCode !== null, 30_000);
      child.kill("SIGINT");
      await until("the first answer", () => said.includes("stopping") || child.exitCode !== null, 10_000);
      child.kill("SIGINT");
      await ended(child);
      expect(child.exitCode, said).toBe(130);
      expect(objects()).toEqual(before);
      if (root === "") {
        const out = await client.instance.output("nix-store", ["--query", "--outputs", drvIn(said)]);
        expect((await client.instance.run("nix-store", ["--query", "--hash", out])).status).not.toBe(0);
        await client.verify();
      }
      const again = await client.run([...words, ...flags(), "--repeat", "0"]);
      expect(again.status, again.stderr).toBe(0);
      // The builder has the whole result of the first round, which a run that goes on takes from there.
      expect(again.stderr).toMatch(/^\[1 built, .* done after/m);
    });
  }

  it("that differ side by side on several builders are kept under Nix's names, and the messages say where", async () => {
    const flags = [...on("repeats", "other"), "--repeat", "1", "--rounds-on", "other", "--keep-failed"];
    const hooked = ["--option", "run-diff-hook", "true", "--option", "diff-hook", "/bin/true", "--report", "side.json"];
    const loose = await run("several", "side", ...flags, "--option", "enforce-determinism", "false", ...hooked);
    expect(loose.status, loose.stderr).toBe(0);
    const told = [
      ...loose.stderr.matchAll(/^warning: output '(\S+)' of '\S+' differs from '(\S+)' from previous round$/gm),
    ];
    expect(told).toHaveLength(2);
    for (const [, path, kept] of told) {
      expect(kept).toBe(`${path}.check`);
      const [one, two] = [path!, kept!].map((each) => readFileSync(client.instance.hostPath(each), "utf8"));
      expect(one).not.toBe(two);
    }
    const report = JSON.parse(readFileSync(join(client.instance.directory, "homes/root/side.json"), "utf8"));
    for (const { firstPath, otherPath } of report.derivations[0].differences)
      for (const path of [firstPath, otherPath]) expect(existsSync(client.instance.hostPath(path)), path).toBe(true);
    const collected = await client.instance.run("nix-store", ["--gc"]);
    expect(collected.status, collected.stderr).toBe(0);
  });

  it("follow a build or a substitution where --check finds nothing to compare with yet", async () => {
    const flags = [...here, "--repeat", "0", "--check"];
    const missing = await run("unstable", "missing", ...flags, "--build-missing");
    expect(missing.status, missing.stderr).toBe(104);
    const drv = drvIn(missing.stderr);
    const order = ["building", "checking outputs of"].map((word) => missing.stderr.indexOf(`${word} '${drv}'...`));
    expect(order[0]).toBeGreaterThanOrEqual(0);
    expect(order[1]).toBeGreaterThan(order[0]!);
    // As after any check, what was built stays.
    const out = await client.instance.output("nix-store", ["--query", "--outputs", drv]);
    expect((await client.instance.run("nix-store", ["--query", "--hash", out])).status).toBe(0);
    const there = await run("stable", "missing", ...on("other"), "--repeat", "0", "--check", "--build-missing");
    expect(there.status, there.stderr).toBe(0);

    const cache = "file:///homes/root/cache";
    const store = (await run("stable", "cached", ...here, "--repeat", "0")).stdout.trim();
    await client.instance.output("nix", ["copy", "--to", cache, store]);
    const words = ["rounds.nix", "-A", "stable", "--argstr", "salt", "cached", "--no-out-link", "--check"];
    const env = { NIX_PATH: `nixpkgs=${await standInNixpkgs()}` };
    for (const check of [
      () =>
        client.instance.run("nix-build", [...words, "--option", "substituters", cache], { env, cwd: "/homes/root" }),
      () => run("stable", "cached", ...flags, "--option", "substituters", cache),
    ]) {
      await client.instance.output("nix-store", ["--delete", store]);
      const checked = await check();
      expect(checked.status, checked.stderr).toBe(0);
      expect(checked.stderr).toMatch(/^checking outputs of '\S+-stable\.drv'\.\.\.$/m);
      expect(checked.stdout.trim()).toBe(store);
    }
  });

  it("that differ take nothing back that was valid before", async () => {
    const before = await run("several", "partly", ...here, "--repeat", "0");
    expect(before.status, before.stderr).toBe(0);
    const drv = drvIn(before.stderr);
    const binding = (name: string) => client.instance.output("nix-store", ["--query", "--binding", name, drv]);
    const [out, dev] = [await binding("out"), await binding("dev")];
    const kept = readFileSync(client.instance.hostPath(dev), "utf8");
    await client.instance.output("nix-store", ["--delete", out]);
    const enforced = await run("several", "partly", ...here, "--repeat", "1");
    expect(enforced.status, enforced.stderr).toBe(104);
    expect((await client.instance.run("nix-store", ["--query", "--hash", out])).status).not.toBe(0);
    expect(readFileSync(client.instance.hostPath(dev), "utf8")).toBe(kept);
    await client.verify();
  });

  it.skipIf(!hasDiffoscope)("are explained by diffoscope (skipped where it is not installed)", async () => {
    // Python finds libraries by it, and the machine's /etc is its own.
    copyFileSync("/etc/ld.so.cache", join(client.instance.directory, "etc/ld.so.cache"));
    expect((await run("several", "scope", ...here, "--repeat", "0")).status).toBe(0);
    const checked = await run("several", "scope", ...here, "--repeat", "0", "--check", "--diffoscope");
    expect(checked.status, checked.stderr).toBe(104);
    const said = checked.stderr.split("\n").filter((line) => line.startsWith("several (diff)> "));
    for (const name of ["several", "several-dev"]) {
      expect(said.filter((line) => line.includes("--- ") && line.endsWith(`-${name}`))).toHaveLength(1);
      expect(said.filter((line) => line.includes("+++ ") && line.endsWith(`-${name}.check`))).toHaveLength(1);
    }
    // It exits with 1 whenever there is a difference: that is no failure of the hook.
    expect(checked.stderr).not.toMatch(/hook .*fail|diffoscope\.config/);
  });
});
