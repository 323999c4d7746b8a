// Hooks and uploads beside the builds: hooks that misbehave, a cache that is away, a program that is killed. Builds go on, nothing is lost.
import { spawn } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nixGenerations } from "../support/nix-generations.ts";
import { type ObjectServer, startObjectServer } from "../support/object-server.ts";
import { ended, processesWith, until } from "../support/processes.ts";
import { type ProgramUser, programUser } from "../support/program.ts";
import { removeDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

const generations = await nixGenerations();

/** So many builds, each referring to the one before it. */
const CHAIN = `{ count, salt }:
let
  make = before: index: derivation {
    name = "link-\${toString index}"; system = builtins.currentSystem; builder = "/bin/sh"; inherit before salt;
    args = [ "-c" "echo $before \${toString index} > $out" ];
  };
  go = before: index: if index > count then before else go (make before index) (index + 1);
in go "" 1`;

describe.skipIf(generations.length === 0)("the queue of hooks and uploads (skipped without nix-bin)", () => {
  let directory: string;
  let user: ProgramUser;

  beforeEach(() => {
    directory = temporaryDirectory("queue");
    user = programUser(join(directory, "home"));
  });
  afterEach(() => removeDirectory(directory));

  const chain = (count: number, salt: string): string[] => [
    ...["build", "-E", CHAIN, "--arg", "count", `${count}`, "--argstr", "salt", salt],
    ...["--store", join(directory, "store"), "--no-out-link", "--ui", "plain"],
  ];

  const script = (name: string, text: string): string => {
    const file = join(directory, name);
    writeFileSync(file, `#!/bin/sh\n${text}\n`);
    chmodSync(file, 0o755);
    return file;
  };

  const queued = (hook: string, ...more: readonly string[]): string[] => [
    ...["--option", "post-build-hook", hook, "--option", "post-build-hook-mode", "queued"],
    ...more,
  ];

  const lines = (file: string): string[] =>
    existsSync(file)
      ? readFileSync(file, "utf8")
          .split("\n")
          .filter((line) => line !== "")
      : [];

  const left = (): string[] => {
    const folder = join(directory, "home/state/tsbuild-top/hooks");
    return existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".jsonl")) : [];
  };

  const narInfos = (server: ObjectServer): string[] =>
    server.requests.filter((request) => /^PUT \/[a-z0-9]{32}\.narinfo$/.test(request));

  it("runs a hook for every build, each after those it refers to, and waits for them at the end", async () => {
    const done = join(directory, "done");
    const hook = script("hook", `echo $OUT_PATHS >> ${done}; echo hello from the hook`);
    const { status, stderr } = await user.run([...chain(8, "plain"), ...queued(hook)]);
    expect(status, stderr).toBe(0);
    expect(lines(done).map((path) => path.replace(/.*-link-/, ""))).toEqual(["1", "2", "3", "4", "5", "6", "7", "8"]);
    expect(left()).toEqual([]);
    const logs = join(directory, "home/state/tsbuild-top/logs");
    const kept = readdirSync(logs, { recursive: true, encoding: "utf8" }).filter((name) =>
      /\.post-build-hook\.log$/.test(name),
    );
    expect(kept.map((name) => readFileSync(join(logs, name), "utf8"))).toEqual(Array(8).fill("hello from the hook\n"));
  });

  it("ends with everything a blocking hook left running when it is interrupted twice", async () => {
    const started = join(directory, "started");
    const hook = script("hook", `sleep 1003 & echo $! > ${started}; exit 0`);
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, "../../bin/main.ts"), ...chain(3, "blocked"), "--option", "post-build-hook", hook],
      { cwd: directory, env: user.env, stdio: ["ignore", "ignore", "pipe"] },
    );
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    await until("the hook", () => lines(started).length === 1, 60_000);
    child.kill("SIGINT");
    await until("draining", () => /stopping/.test(said), 20_000);
    child.kill("SIGINT");
    await ended(child);
    expect(child.exitCode, said).toBe(130);
    const left1003 = Number(lines(started)[0]);
    await until("the hook's child to be gone", () => !processesWith("sleep\u00001003").includes(left1003), 5_000);
  });

  it("outlives hooks that fail, hang, print a megabyte or leave a child behind, and builds are none the worse", async () => {
    const done = join(directory, "done");
    const count = join(directory, "count");
    // Every third run fails; the second hangs; the third prints; the fourth leaves a child that holds its output.
    const hook = script(
      "hook",
      `echo x >> ${count}; n=$(wc -l < ${count})
case $n in
  2) sleep 1000 ;;
  4) yes 0123456789abcdef | head -c 1000000 ;;
  5) sleep 1000 & ;;
esac
[ $((n % 3)) = 0 ] && exit 7
echo $OUT_PATHS >> ${done}`,
    );
    const { status, stderr, stdout } = await user.run([
      ...chain(6, "bad"),
      ...queued(hook, "--option", "post-build-hook-timeout", "2", "--option", "post-build-hook-retries", "3"),
    ]);
    expect(status, stderr).toBe(0);
    expect(stdout.trim()).toMatch(/-link-6$/);
    expect(new Set(lines(done)).size).toBe(6);
    expect(stderr).toContain("failed with exit code 7");
    expect(stderr).toContain("timed out after 2 seconds");
    expect(left()).toEqual([]);
  });

  it("says what was not done, and the next run does it", async () => {
    const done = join(directory, "done");
    const hook = script("hook", `[ -e ${join(directory, "allowed")} ] || exit 9; echo $OUT_PATHS >> ${done}`);
    const first = await user.run([...chain(3, "refused"), ...queued(hook, "--option", "post-build-hook-retries", "0")]);
    expect(first.status).toBe(1);
    expect(first.stderr).toContain("3 hooks or uploads were not done (3 failed, 0 not tried to the end)");
    expect(left()).toHaveLength(1);
    writeFileSync(join(directory, "allowed"), "");
    const second = await user.run(chain(3, "refused"));
    expect(second.status, second.stderr).toBe(0);
    expect(second.stderr).toContain("3 hooks of an earlier run are taken up again");
    expect(lines(done)).toHaveLength(3);
    expect(left()).toEqual([]);
  });

  it("fails no later run for what fails for ever, gives it up, and lists, retries and drops it", async () => {
    const log = join(directory, "tried");
    const hook = script("hook", `echo x >> ${log}; [ -e ${join(directory, "allowed")} ] || { echo sorry; exit 9; }`);
    const args = [...chain(2, "for-ever"), ...queued(hook, "--option", "post-build-hook-retries", "0")];
    expect((await user.run(args)).status).toBe(1);
    const other = [...chain(1, "other"), "--option", "post-build-hook-retries", "0"];
    for (const last of ["still not done", "is given up after 3 tries", "are given up and not tried"]) {
      const { status, stderr } = await user.run(other);
      expect(status, stderr).toBe(0);
      expect(stderr).toContain(last);
      expect(stderr).toContain("tsbuild-top hooks");
    }
    expect(lines(log)).toHaveLength(6);
    const listed = JSON.parse(await user.output(["hooks", "--json"])) as { hooks: { id: string; drvPath: string }[] };
    const expected = { kind: "postBuild", state: "givenUp", attempts: 3, target: hook, pid: null };
    expect(listed.hooks).toMatchObject([expected, expected]);
    expect(await user.output(["hooks"])).toMatch(
      /given up · failed 3 times, .* old\n {2}program '.*' failed with exit code 9/,
    );
    const store = ["--store", join(directory, "store"), "--option", "post-build-hook-retries", "0"];
    const failed = await user.run(["hooks", "retry", "--all", ...store]);
    expect({ status: failed.status, stdout: failed.stdout }).toEqual({
      status: 1,
      stdout: "0 done, 2 still not done\n",
    });
    expect(failed.stderr).toContain("sorry");
    writeFileSync(join(directory, "allowed"), "");
    const [first, second] = listed.hooks;
    expect(await user.output(["hooks", "retry", first!.drvPath, ...store])).toBe("1 done, 0 still not done");
    expect(await user.output(["hooks", "drop", second!.id])).toBe("1 hook or upload dropped");
    expect(await user.output(["hooks", "list"])).toBe("no hook or upload is left over");
    expect(left()).toEqual([]);
    expect((await user.run(["hooks", "drop", second!.id])).stderr).toContain("there is no hook or upload");
  });

  it("keeps no password of where it uploads to, and finds it again when it is given", async () => {
    let hang = true;
    await using gate = await startObjectServer({
      fault: (method) => (hang && method === "PUT" ? { type: "hang" } : null),
    });
    const slow = [...chain(1, "secret"), "--upload-to", gate.url.replace("://", "://me:geheim@")];
    const child = spawn(process.execPath, [join(import.meta.dirname, "../../bin/main.ts"), ...slow], {
      ...{ cwd: directory, env: user.env, stdio: "ignore" },
    });
    await until("the upload", () => gate.requests.some((request) => request.startsWith("PUT")), 60_000);
    child.kill("SIGKILL");
    await ended(child);
    const folder = join(directory, "home/state/tsbuild-top/hooks");
    const [file] = left();
    expect(readFileSync(join(folder, file!), "utf8")).not.toContain("geheim");
    hang = false;
    const without = await user.run(chain(1, "secret"));
    expect(without.status, without.stderr).toBe(0);
    expect(without.stderr).toContain("is not kept; give the address again: --upload-to URI");
    const store = ["--store", join(directory, "store")];
    const uri = gate.url.replace("://", "://me:geheim@");
    expect(await user.output(["hooks", "retry", "--all", "--upload-to", uri, ...store])).toBe(
      "1 done, 0 still not done",
    );
    expect(narInfos(gate)).toHaveLength(1);
  });

  it("leaves at the deadline what does not end", async () => {
    const hook = script("hook", "sleep 1000");
    const started = performance.now();
    const { status, stderr } = await user.run([
      ...chain(2, "late"),
      ...queued(hook, "--option", "post-build-hook-drain-timeout", "1"),
    ]);
    expect(status).toBe(1);
    expect(stderr).toContain("2 hooks or uploads were not done (0 failed, 2 not tried to the end)");
    expect(performance.now() - started).toBeLessThan(30_000);
    expect(left()).toHaveLength(1);
  });

  it("uploads results while others are built, each path once, and names them", async () => {
    await using server = await startObjectServer();
    const { status, stderr } = await user.run([...chain(10, "upload"), "--upload-to", server.url]);
    expect(status, stderr).toBe(0);
    expect(narInfos(server)).toHaveLength(10);
    expect(new Set(narInfos(server)).size).toBe(10);
    for (let index = 1; index <= 10; index++)
      expect(stderr).toMatch(new RegExp(`uploaded '[^']*-link-${index}' to '${server.url}'`));
    const again = await user.run([...chain(10, "upload"), "--upload-to", server.url]);
    expect(again.status).toBe(0);
    expect(narInfos(server)).toHaveLength(10);
  });

  it("outlives a cache that is away for a while", async () => {
    let away = true;
    let refused = 0;
    await using server = await startObjectServer({
      // The network goes after the first answer, when the program believes in the cache.
      fault: (_method, _path, count) => (away && count > 1 && ++refused > 0 ? { type: "reset" } : null),
    });
    const running = user.run([...chain(4, "away"), "--upload-to", server.url, "--option", "download-attempts", "1"]);
    // More tries than a hook that fails by itself has.
    await until("uploads to fail", () => refused >= 5, 60_000);
    away = false;
    const { status, stderr } = await running;
    expect(status, stderr).toBe(0);
    expect([...server.objects.keys()].filter((key) => key.endsWith(".narinfo"))).toHaveLength(4);
    expect(new Set(narInfos(server)).size).toBe(4);
    expect(stderr).toMatch(/built '[^']*-link-4\.drv'/);
    expect(stderr).toMatch(/warning: upload for .* failed and is tried again: unable to upload /);
  });

  it("loses nothing when it is killed with 30 uploads queued, and uploads nothing twice", async () => {
    let acknowledged = 0;
    let open = true;
    await using server = await startObjectServer({
      // Six uploads get through, then the server hangs.
      fault: (method, path) => {
        if (!open) return { type: "hang" };
        if (method === "PUT" && path.endsWith(".narinfo") && ++acknowledged >= 6) open = false;
        return null;
      },
    });
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, "../../bin/main.ts"), ...chain(30, "killed"), "--upload-to", server.url],
      {
        cwd: directory,
        env: user.env,
        stdio: ["ignore", "ignore", "pipe"],
      },
    );
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    await until("30 builds", () => /built '[^']*-link-30\.drv'/.test(said) && !open, 60_000);
    child.kill("SIGKILL");
    await ended(child);
    const before = narInfos(server);
    expect(before.length).toBeGreaterThanOrEqual(6);
    expect(left()).toHaveLength(1);
    open = true;
    acknowledged = Number.NEGATIVE_INFINITY;
    // Any run takes them up, also one that builds nothing.
    const { status, stderr } = await user.run(chain(30, "killed"));
    expect(status, stderr).toBe(0);
    const all = narInfos(server);
    expect(new Set(all).size).toBe(30);
    expect(all).toHaveLength(30);
    expect(left()).toEqual([]);
  });
});
