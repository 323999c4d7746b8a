// The store commands on real stores: keys, signing, verifying, logs, deleting, copying between any two, being interrupted.
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { createInstance, type NixInstance } from "../support/nix-instance.ts";
import { startObjectServer } from "../support/object-server.ts";
import { ended, type RunResult, until } from "../support/processes.ts";
import { type ProgramUser, programUser } from "../support/program.ts";
import { removeDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

const generations = await nixGenerations();

/** A path that refers to another one, and says something while it is built. */
const PAIR = `{ salt }:
let
  system = builtins.currentSystem;
  make = name: script: derivation { inherit name system salt; builder = "/bin/sh"; args = [ "-c" script ]; };
  base = make "base" "echo building base $salt; echo base $salt > $out";
in make "top" "echo building top $salt; echo \${base} $salt > $out"`;

const node = `/checkout/node_modules/node-linux-${process.arch}/bin/node`;

describe.skipIf(generations.length === 0)("store commands (skipped without root and nix-bin)", () => {
  let directory: string;
  let user: ProgramUser;
  let store: string;
  let publicKey: string;
  let instance: NixInstance;
  const secretKey = (): string => join(directory, "secret");

  beforeAll(async () => {
    directory = temporaryDirectory("commands");
    user = programUser(join(directory, "home"));
    store = join(directory, "store");
    await user.output(["generate-binary-cache-key", "test-1", secretKey(), join(directory, "public")]);
    publicKey = readFileSync(join(directory, "public"), "utf8");
    instance = await createInstance(generations[0]!);
  });
  afterAll(async () => {
    await instance?.remove();
    if (directory !== undefined) removeDirectory(directory);
  });

  const build = (salt: string, ...more: readonly string[]): Promise<string> =>
    user.output([
      "build",
      "-E",
      PAIR,
      "--argstr",
      "salt",
      salt,
      "--store",
      store,
      "--no-out-link",
      "--ui",
      "quiet",
      ...more,
    ]);
  const onNix = (args: readonly string[]): Promise<RunResult> => instance.run(node, ["/checkout/bin/main.ts", ...args]);
  const keys = (): string[] => ["--option", "trusted-public-keys", publicKey];

  describe("settings for a store", () => {
    it("says which settings its own store has no use for, and heeds sandbox-fallback", async () => {
      const own = ["build", "-E", PAIR, "--no-out-link", "--ui", "plain", "--store", join(directory, "settings")];
      const setting = ["--option", "compress-build-log", "false", "--no-sandbox"];
      const idle = await user.run([...own, "--argstr", "salt", "settings", ...setting]);
      expect(idle.status, idle.stderr).toBe(0);
      expect(idle.stderr).toContain("own store has no use for 'sandbox', 'compress-build-log'");
      const env = { TSBUILD_TOP_SANDBOX: "chroot" };
      const shut = await user.run([...own, "--argstr", "salt", "no fallback", "--no-sandbox-fallback"], { env });
      expect(shut.status).toBe(1);
      expect(shut.stderr).toContain("sandbox-fallback is false");
    });

    it("fetches what its author would not have fetched where always-allow-substitutes says so", async () => {
      const expression = PAIR.replace("inherit name", "allowSubstitutes = false; inherit name");
      const cache = `file://${directory}/always-cache`;
      const words = ["build", "-E", expression, "--argstr", "salt", "always", "--no-out-link", "--ui", "plain"];
      const first = await user.run([...words, "--store", store]);
      await user.output(["copy", "--to", cache, "--store", store, first.stdout.trim()]);
      for (const [place, word, ...flags] of [
        ["built", "2 built"],
        ["fetched", "1 substituted", "--always-allow-substitutes"],
      ] as const) {
        const where = ["--store", `${join(directory, place)}?require-sigs=false`, "--substituters", cache];
        const run = await user.run([...words, ...where, ...flags]);
        expect(run.status, run.stderr).toBe(0);
        expect(run.stderr.trimEnd().split("\n").at(-1)).toContain(word);
      }
    });

    it("fetches what nobody signed into a store that demands no signatures, and into no other", async () => {
      const top = await build("unsigned");
      const cache = `file://${directory}/unsigned-cache`;
      await user.output(["copy", "--to", cache, "--store", store, top]);
      const fetching = ["build", "-E", PAIR, "--argstr", "salt", "unsigned", "--no-out-link", "--ui", "plain"];
      for (const [place, word] of [
        ["demanding", "2 built"],
        ["open?require-sigs=false", "1 substituted"],
      ] as const) {
        const run = await user.run([...fetching, "--store", join(directory, place), "--substituters", cache]);
        expect(run.status, run.stderr).toBe(0);
        expect(run.stderr.trimEnd().split("\n").at(-1)).toContain(word);
      }
    });
  });

  describe("generate-binary-cache-key", () => {
    it("makes keys Nix takes, and never replaces a secret one", async () => {
      expect(statSync(secretKey()).mode & 0o777).toBe(0o600);
      const secret = readFileSync(secretKey(), "utf8");
      const again = await user.run(["generate-binary-cache-key", "test-1", secretKey(), join(directory, "public")]);
      expect(again.status).toBe(1);
      expect(again.stderr).toContain(`expected no file at '${secretKey()}', found one`);
      expect(readFileSync(secretKey(), "utf8")).toBe(secret);
      const path = await instance.output("nix-build", [
        "--no-out-link",
        "-E",
        PAIR,
        "--argstr",
        "salt",
        "signed by nix",
      ]);
      await instance.output("nix", ["store", "sign", "--key-file", secretKey(), path]);
      expect((await onNix(["verify", path, "-n", "1", ...keys()])).status).toBe(0);
      const badName = await user.run(["generate-binary-cache-key", "a b", join(directory, "x"), join(directory, "y")]);
      expect(badName.status).toBe(1);
    });
  });

  describe("sign-paths", () => {
    it("signs a closure once, on our own store and on Nix's", async () => {
      const path = await build("sign");
      const sign = ["sign-paths", "--key-file", secretKey(), "-r", "--store", store, path];
      expect((await user.run(sign)).stderr).toContain("added 2 signatures");
      expect((await user.run(sign)).stderr).toContain("added 0 signatures");
      const other = await instance.output("nix-build", ["--no-out-link", "-E", PAIR, "--argstr", "salt", "sign"]);
      expect((await onNix(["sign-paths", "--key-file", secretKey(), "-r", other])).stderr).toContain(
        "added 2 signatures",
      );
      await instance.output("nix", ["store", "verify", "-r", "-n", "1", ...keys(), other]);
      const missing = await user.run(["sign-paths", "--key-file", join(directory, "nowhere"), "--store", store, path]);
      expect(missing.stderr).toContain(`cannot read the secret key '${join(directory, "nowhere")}'`);
    });
  });

  describe("verify", () => {
    it("finds what was changed and what nobody signed, with Nix's exit status", async () => {
      const path = await build("verify");
      const verify = (...more: readonly string[]): Promise<RunResult> =>
        user.run(["verify", path, "--store", store, ...more]);
      expect(await verify()).toMatchObject({ status: 0, stderr: "" });
      expect(await verify("-n", "1")).toMatchObject({ status: 2, stderr: `path '${path}' is untrusted\n` });
      expect(await verify("-n", "1", "--no-trust")).toMatchObject({ status: 0 });
      const file = join(store, path);
      chmodSync(file, 0o644);
      writeFileSync(file, "something else");
      const changed = await verify("-n", "1");
      expect(changed.status).toBe(3);
      expect(changed.stderr).toMatch(
        new RegExp(
          `^path '${path}' was modified! expected hash 'sha256:[a-z0-9]{52}', got 'sha256:[a-z0-9]{52}'$`,
          "m",
        ),
      );
      expect(await verify("--no-contents")).toMatchObject({ status: 0 });
      expect((await user.run(["verify", "--store", store])).status).toBe(1);
    });

    it("does the same on the Nix of a machine", async () => {
      const path = await instance.output("nix-build", [
        "--no-out-link",
        "-E",
        PAIR,
        "--argstr",
        "salt",
        "verify there",
      ]);
      expect((await onNix(["verify", path, "-r"])).status).toBe(0);
      writeFileSync(instance.hostPath(path), "something else");
      expect((await onNix(["verify", path])).status).toBe(1);
      expect((await instance.run("nix", ["store", "verify", path])).status).toBe(1);
    });
  });

  describe("log", () => {
    it("finds logs by derivation, output and link, in our own store and packed in Nix's", async () => {
      const path = await build("log", "--add-root", join(directory, "logged"));
      expect((await user.run(["log", "--store", store, path])).stdout).toBe("building top log\n");
      const theirs = await instance.output("nix-build", ["--no-out-link", "-E", PAIR, "--argstr", "salt", "nix log"]);
      const found = await onNix(["log", theirs]);
      expect(found.stdout).toBe(await instance.output("nix", ["log", theirs]).then((text) => `${text}\n`));
      expect(found.stderr).toMatch(/from '\/nix\/var\/log\/nix\/drvs\/.*\.drv\.bz2'/);
      const drvPath = await instance.output("nix-store", ["--query", "--deriver", theirs]);
      expect((await onNix(["log", drvPath])).stdout).toBe(found.stdout);
      await instance.output("nix-store", ["--delete", drvPath]).catch(() => "");
      const nowhere = await onNix(["log", `/nix/store/${"0".repeat(32)}-nothing.drv`]);
      expect(nowhere.status).toBe(1);
      expect(nowhere.stderr).toContain("is not available");
    });

    it("prints the build's log of a run, not what a later hook printed", async () => {
      await build("hooked");
      const drv = `${"1".repeat(32)}-hooked.drv`;
      const journal = join(directory, "journal");
      mkdirSync(join(journal, "logs/run"), { recursive: true });
      for (const [age, name] of [
        [2, `${drv}.log`],
        [1, `${drv}.post-build-hook.log`],
        [0, `${drv}.upload-2.log`],
      ] as const) {
        const file = join(journal, "logs/run", name);
        writeFileSync(file, `${name}\n`);
        utimesSync(file, 2_000_000_000 - age, 2_000_000_000 - age);
      }
      const words = ["log", `/nix/store/${drv}`, "--store", store, "--option", "journal-dir", journal];
      expect((await user.run(words)).stdout).toBe(`${drv}.log\n`);
    });

    it("finds logs in a binary cache", async () => {
      const cache = `file://${directory}/logs`;
      const theirs = await instance.output("nix-build", [
        "--no-out-link",
        "-E",
        PAIR,
        "--argstr",
        "salt",
        "log in a cache",
      ]);
      const drvPath = await instance.output("nix-store", ["--query", "--deriver", theirs]);
      await instance.output("nix", ["copy", "--to", cache, theirs]);
      await instance.output("nix", ["store", "copy-log", "--to", cache, drvPath]);
      const found = await user.run(["log", "--store", store, "--option", "substituters", cache, drvPath]);
      expect(found.stdout).toBe("building top log in a cache\n");
    });
  });

  describe("delete", () => {
    it("refuses what is alive in Nix's words, and breaks only a private store, and only when told", async () => {
      const path = await build("delete");
      const link = join(directory, "kept");
      await user.output(["realise", path, "--store", store, "--add-root", link, "--ui", "quiet"]);
      const alive = await user.run(["delete", link, "--store", store]);
      expect(alive.status).toBe(1);
      expect(alive.stderr).toContain(`Cannot delete path '${path}' since it is still alive.`);
      expect((await user.run(["delete", path, "--store", store, "--ignore-liveness"])).stdout).toContain(
        "1 store paths deleted",
      );
      const theirs = await instance.output("nix-build", ["--no-out-link", "-E", PAIR, "--argstr", "salt", "delete"]);
      const base = (await instance.output("nix-store", ["--query", "--references", theirs])).trim();
      expect((await onNix(["delete", base])).stderr).toContain(`path '${base}' since it is still alive`);
      expect((await onNix(["delete", "--ignore-liveness", base])).stderr).toContain(
        "you are not allowed to ignore liveness",
      );
      expect((await onNix(["delete", theirs, base])).stdout).toContain("2 store paths deleted");
    });
  });

  describe("gc", () => {
    it("deletes what no result link keeps, on a private store and on Nix's, and tells before what it would do", async () => {
      const kept = await build("kept");
      const link = join(directory, "gc-kept");
      await user.output(["realise", kept, "--store", store, "--add-root", link, "--ui", "quiet"]);
      const garbage = await build("garbage");
      const gc = (...flags: readonly string[]): Promise<string> => user.output(["gc", "--store", store, ...flags]);
      const dead = (await gc("--dry-run")).split("\n");
      expect(dead).toContain(garbage);
      expect(dead).not.toContain(kept);
      expect((await gc("--print-live")).split("\n")).toContain(kept);
      expect((await gc("--print-roots")).split("\n")).toContain(`${link} -> ${kept}`);
      expect(await gc("--max-freed", "0")).toBe("0 store paths deleted, 0.00 MiB freed");
      const done = await user.run(["gc", "-v", "--store", store]);
      expect(done.stdout).toMatch(new RegExp(`^${dead.length} store paths deleted, \\d+\\.\\d\\d MiB freed\n$`));
      expect(done.stderr).toContain(`deleting '${garbage}'`);
      expect(await gc()).toContain("0 store paths deleted");
      await user.output(["verify", "--store", store, ...keys(), "--no-trust"]);

      const theirs = await instance.output("nix-build", ["--no-out-link", "-E", PAIR, "--argstr", "salt", "gc"]);
      expect((await onNix(["gc", "--print-dead"])).stdout.split("\n")).toContain(theirs);
      expect((await onNix(["gc"])).stdout).toMatch(/^\d+ store paths deleted/);
      expect((await instance.run("nix-store", ["--check-validity", theirs])).status).not.toBe(0);
    });
  });

  describe("copy", () => {
    it("reaches other machines over SSH, with closures and what they have already", async () => {
      await using fleet = await startBuilders([{ generation: generations[0]!, scheme: "ssh-ng" }, { scheme: "ssh" }]);
      const [first, second] = fleet.builders;
      const env = fleet.env;
      const path = await build("over ssh");
      const one = await user.run(
        ["copy", "--to", `${first!.uri}?ssh-key=${first!.sshd.userKey}`, "--store", store, path, "--no-check-sigs"],
        { env },
      );
      expect(one.status, one.stderr).toBe(0);
      expect(one.stderr).toContain(`copying path '${path}' to '${first!.uri}'...`);
      await first!.instance.output("nix-store", ["--verify-path", path]);
      const between = await user.run(
        ["copy", "--from", first!.uri, "--to", second!.uri, path, "--no-check-sigs", "--json"],
        { env },
      );
      expect(between.status, between.stderr).toBe(0);
      expect(JSON.parse(between.stdout)).toMatchObject({ alreadyThere: 0, copied: [expect.anything(), path] });
      const back = await user.run(
        ["copy", "--from", second!.uri, "--to", join(directory, "back"), path, "--no-check-sigs"],
        { env },
      );
      expect(back.status, back.stderr).toBe(0);
      expect(readFileSync(join(directory, "back", path))).toEqual(readFileSync(join(store, path)));
    });

    it("needs signatures where Nix's own copy does, and says how to get them", async () => {
      await using fleet = await startBuilders(generations.map((generation) => ({ generation })));
      const path = await instance.output("nix-build", [
        "--no-out-link",
        "-E",
        PAIR,
        "--argstr",
        "salt",
        "unsigned copy",
      ]);
      for (const { alias, instance: there } of fleet.builders) {
        for (const scheme of ["ssh", "ssh-ng"]) {
          const copying = ["copy", "--to", `${scheme}://${alias}`, path];
          const theirs = await instance.run("nix", copying, { env: fleet.env });
          await there.run("nix-store", ["--delete", path]);
          const ours = await instance.run(node, ["/checkout/bin/tsbuild-top.js", ...copying], { env: fleet.env });
          expect(ours.status, ours.stderr).toBe(theirs.status);
          if (ours.status === 0) {
            const again = await instance.run(node, ["/checkout/bin/tsbuild-top.js", ...copying], { env: fleet.env });
            expect(again.stderr).toBe("nothing to copy: all 2 paths are there already\n");
          } else expect(ours.stderr).toMatch(/lacks a .*signature.*\nhint: sign it .* or, where .* --no-check-sigs/);
          await there.run("nix-store", ["--delete", path]);
        }
      }
    });

    it("lets the destination fetch what it can, and takes everything or single paths", async () => {
      await using server = await startObjectServer({ directory: join(directory, "substituter") });
      const path = await build("substituted");
      await user.output(["copy", "--to", `${server.url}?secret-key=${secretKey()}`, "--store", store, path]);
      const target = join(directory, "fetching");
      const copied = await user.run([
        ...["copy", "--from", store, "--to", target, "-s", path, "--no-check-sigs"],
        ...["--option", "substituters", server.url, ...keys()],
      ]);
      expect(copied.status, copied.stderr).toBe(0);
      expect(copied.stderr).toContain(`copying path '${path}' from '${server.url}'...`);
      expect(copied.stderr).not.toContain(" to '");
      const single = await user.run([
        "copy",
        "--from",
        store,
        "--to",
        `file://${directory}/single`,
        "--no-recursive",
        path,
      ]);
      expect(single.status).toBe(1);
      expect(single.stderr).toContain("to the binary cache because the reference");
      const all = await user.run(["copy", "--all", "--from", server.url, "--to", target]);
      expect(all.stderr).toContain("cannot list its paths");
      const listed = await user.run([
        "copy",
        "--all",
        "--from",
        `file://${directory}/substituter`,
        "--to",
        join(directory, "all"),
        ...keys(),
        "--json",
      ]);
      expect(JSON.parse(listed.stdout).copied).toHaveLength(2);
    });

    it("ends on Ctrl-C with its status, and what had arrived stays", async () => {
      let uploads = 0;
      await using server = await startObjectServer({
        fault: (method, path) =>
          method === "PUT" && path.endsWith(".narinfo") && ++uploads > 1 ? { type: "hang" } : null,
      });
      const path = await build("interrupted");
      const child = spawn(
        process.execPath,
        [join(import.meta.dirname, "../../bin/main.ts"), "copy", "--to", server.url, "--store", store, path],
        {
          env: user.env,
          stdio: ["ignore", "ignore", "pipe"],
        },
      );
      let said = "";
      child.stderr.on("data", (chunk: Buffer) => {
        said += chunk.toString();
      });
      await until("an upload that hangs", () => uploads > 1, 30_000);
      child.kill("SIGINT");
      await ended(child);
      expect(child.exitCode).toBe(130);
      expect(said).toContain("stopping: what has arrived stays");
      expect(said).not.toContain("error");
      expect([...server.objects.keys()].filter((key) => key.endsWith(".narinfo"))).toHaveLength(1);
    });
  });

  it("runs a hook once for each build, also where Nix itself is told to run it", async () => {
    const runs = join(directory, "hook-runs");
    const hook = join(directory, "counting-hook");
    writeFileSync(hook, `#!/bin/sh\necho "$(id -un) $OUT_PATHS" >> ${runs}\n`);
    chmodSync(hook, 0o755);
    await using machine = await createInstance(generations.at(-1)!, { conf: `post-build-hook = ${hook}` });
    await machine.startDaemon();
    for (const [user, mode, runner] of [
      ["root", "blocking", "root"],
      ["tsbt-trusted", "blocking", "tsbt-trusted"],
      // A daemon that does not trust who asks runs its hook whatever it is told.
      ["tsbt-plain", "blocking", "root"],
      ["tsbt-plain", "queued", "root"],
    ] as const) {
      writeFileSync(runs, "");
      chmodSync(runs, 0o666);
      const built = await machine.run(
        node,
        [
          ...["/checkout/bin/main.ts", "build", "-E", PAIR, "--argstr", "salt", `${user} ${mode}`],
          ...["--no-out-link", "--ui", "plain", "--option", "post-build-hook-mode", mode],
        ],
        { user },
      );
      expect(built.status, built.stderr).toBe(0);
      expect(readFileSync(runs, "utf8").trim().split("\n")).toEqual([
        expect.stringMatching(new RegExp(`^${runner} /nix/store/[a-z0-9]+-base$`)),
        `${runner} ${built.stdout.trim()}`,
      ]);
    }
  });
});
