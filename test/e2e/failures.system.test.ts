// What a user learns of a build that failed on a builder: status, reason, log, kept directory; and what goes on regardless.
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath, standInNixpkgs } from "../support/nixpkgs.ts";
import { type Client, createClient } from "./client.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;

const FAILURES = `
{ salt }:
with import <nixpkgs> {};
let
  broken = runCommand "broken" { inherit salt; } ''
    for line in $(seq 30); do echo "line $line"; done
    echo "the true reason" >&2
    exit 3
  '';
  slow = runCommand "slow" { inherit salt; } "sleep 60";
  chatty = runCommand "chatty" { inherit salt; } "while true; do echo still here; sleep 0.5; done";
  mismatch = fixedOutput "mismatch" (builtins.hashString "sha256" "something else") "echo -n $name \${salt} > $out";
  fine = runCommand "fine" { inherit salt; } "echo fine > $out";
in {
  inherit broken slow chatty mismatch fine;
  above = runCommand "above" { inherit broken; } "touch $out";
  everything = [ broken slow mismatch fine (runCommand "above" { inherit broken; } "touch $out") ];
  two = [ broken mismatch ];
}
`;

describe.skipIf(!usable)("failures (skipped without root, nix-bin, openssh-server and busybox-static)", () => {
  let fleet: Fleet;
  let client: Client;
  let file: string;

  beforeAll(async () => {
    fleet = await startBuilders(generations.map((generation) => ({ generation })));
    client = await createClient(fleet, { generation: generations[0]! });
    file = client.write("failures.nix", FAILURES);
  });
  afterAll(async () => {
    await client?.remove();
    await fleet?.stop();
  });

  const build = (attribute: string, salt: string, machines: string, ...flags: readonly string[]) =>
    client.run([
      ...["-f", file, attribute, "--argstr", "salt", salt, "-j0", "--no-out-link", "--ui", "plain"],
      ...["--builders", machines, ...flags],
    ]);

  for (const [index, generation] of generations.entries()) {
    const machine = () => fleet.builders[index]!.machineLine({ maxJobs: 4 });
    const { version } = generation;

    it(`gives status 100, the reason and the last lines of a failure on Nix ${version}, and keeps its log`, async () => {
      const run = await build("broken", `f${index}`, machine());
      expect(run.status, run.stderr).toBe(100);
      expect(run.stdout).toBe("");
      expect(run.stderr).toContain("failed with exit code 3");
      expect(run.stderr).toContain("the true reason");
      expect(run.stderr).toContain("line 30");
      expect(run.stderr).not.toContain("line 20\n");
      expect(run.stderr).toContain(fleet.builders[index]!.uri);
      const env = { NIX_PATH: `nixpkgs=${await standInNixpkgs()}` };
      const words = [file, "-A", "broken", "--argstr", "salt", `f${index}`];
      const drv = await client.instance.output("nix-instantiate", words, { env });
      const log = await client.instance.output("nix-store", ["--read-log", drv]);
      expect(log.split("\n")).toHaveLength(31);
      expect(log).toContain("the true reason");
    });

    it(`gives 101 for a time limit and 102 for a wrong hash on Nix ${version}, or-ed with --keep-going`, async () => {
      const late = await build("slow", `t${index}`, machine(), "--timeout", "1");
      expect(late.status, late.stderr).toBe(101);
      expect(late.stderr).toContain("timed out after 1 seconds");
      const wrong = await build("mismatch", `h${index}`, machine());
      expect(wrong.status, wrong.stderr).toBe(102);
      expect(wrong.stderr).toContain("hash mismatch in fixed-output derivation");
      const both = await build("two", `b${index}`, machine(), "-k");
      expect(both.status, both.stderr).toBe(102);
      const all = await build("everything", `k${index}`, machine(), "-k", "--timeout", "1");
      expect(all.status, all.stderr).toBe(103);
      expect(all.stdout).toMatch(/-fine\n$/);
      expect(all.stderr).toMatch(/3 failed/);
      expect(all.stderr).toMatch(/1 not built/);
    });

    it(`ends a silent build, but not one that says something, on Nix ${version}`, async () => {
      const silent = await build("slow", `s${index}`, machine(), "--max-silent-time", "1");
      expect(silent.status, silent.stderr).toBe(101);
      expect(silent.stderr).toContain("timed out after 1 seconds");
      const chatty = await build("chatty", `c${index}`, machine(), "--max-silent-time", "2", "--timeout", "4");
      expect(chatty.status, chatty.stderr).toBe(101);
      expect(chatty.stderr).toContain("timed out after 4 seconds");
    });

    it(`names machine and directory kept on Nix ${version} by --keep-failed`, async () => {
      const run = await build("broken", `d${index}`, machine(), "-K");
      expect(run.status).toBe(100);
      const kept = new RegExp(`keeping build directory '(/[^']+)' on ${fleet.builders[index]!.alias}`).exec(run.stderr);
      expect(kept, run.stderr).not.toBeNull();
      const directory = kept![1]!;
      await fleet.builders[index]!.instance.output("test", ["-d", directory]);
      await fleet.builders[index]!.instance.output("rm", ["-r", directory]);
    });
  }

  it("says that a builder waits for the lock of another process", async () => {
    const { instance, uri } = fleet.builders[0]!;
    const env = { NIX_PATH: `nixpkgs=${await standInNixpkgs()}` };
    const words = [file, "-A", "fine", "--argstr", "salt", "locked"];
    const drv = await client.instance.output("nix-instantiate", words, { env });
    const output = await client.instance.output("nix-store", ["--query", "--outputs", drv]);
    const holder = instance.spawn("flock", [`${output}.lock`, "-c", "echo held; read line"]);
    await new Promise((resolve) => holder.stdout.once("data", resolve));
    const child = client.start([
      ...["-f", file, "fine", "--argstr", "salt", "locked", "-j0", "--no-out-link", "--ui", "plain"],
      ...["--builders", fleet.builders[0]!.machineLine()],
    ]);
    let stderr = "";
    // The lock is let go once the user was told of it.
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
      if (stderr.includes(`${uri}: waiting for lock on '${output}'`)) holder.stdin.end("\n");
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
    const status = await new Promise((resolve) => child.once("close", resolve));
    clearTimeout(timer);
    holder.kill("SIGKILL");
    expect(status, stderr).toBe(0);
    expect(stderr).toContain(`${uri}: waiting for lock on '${output}'`);
  });

  it("cancels what runs at the first failure, unless --keep-going is set", async () => {
    const run = await build("everything", "stop", fleet.builders[0]!.machineLine({ maxJobs: 4 }));
    expect(run.status, run.stderr).toBeGreaterThanOrEqual(100);
    expect(run.stderr).toContain("cancelled");
  });

  it("builds with --fallback what a cache lists and gives damaged, and says without it what to do", async () => {
    const env = { NIX_PATH: `nixpkgs=${await standInNixpkgs()}` };
    const cache = join(client.instance.directory, "homes/root/cache");
    const words = [file, "-A", "fine", "--no-out-link"];
    const offered = async (salt: string) => {
      const path = await client.instance.output("nix-build", [...words, "--argstr", "salt", salt], { env });
      await client.instance.output("nix", ["copy", "--to", "file:///homes/root/cache", path]);
      await client.instance.output("nix-store", ["--delete", path]);
      for (const name of readdirSync(join(cache, "nar"))) writeFileSync(join(cache, "nar", name), "");
    };
    const fetching = ["--substituters", "file:///homes/root/cache", "--option", "require-sigs", "false"];
    await offered("empty");
    const machines = fleet.builders[0]!.machineLine();
    const without = await build("fine", "empty", machines, ...fetching);
    expect(without.status, without.stderr).toBe(1);
    expect(without.stderr).toContain("--fallback");
    const having = await build("fine", "empty", machines, ...fetching, "--fallback");
    expect(having.status, having.stderr).toBe(0);
    expect(having.stderr).toContain("building '");
  });
});
