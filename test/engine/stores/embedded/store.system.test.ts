// The embedded store and real Nix on one store at the same time: each must agree with what the other says and does.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseHash, printHash } from "../../../../src/engine/formats/hash.ts";
import { parseStorePath, type StorePath } from "../../../../src/engine/formats/store-path.ts";
import { SILENT_COLLECTOR } from "../../../../src/engine/stores/embedded/collector/collector.ts";
import type { EmbeddedStore } from "../../../../src/engine/stores/embedded/embedded-store.ts";
import { atLeast, nixGenerations } from "../../../support/nix-generations.ts";
import { createInstance, type NixInstance } from "../../../support/nix-instance.ts";
import { until } from "../../../support/processes.ts";
import { buildDrv, file, Heard, incoming, openTestStore, shellDerivation, testPath } from "./support.ts";

const generations = await nixGenerations();
const NIX = ["--extra-experimental-features", "nix-command"];

/** A machine whose Nix and our store share one /nix, with the same shell in both sandboxes. */
async function sharedMachine(generation: (typeof generations)[number]): Promise<NixInstance> {
  const instance = await createInstance(generation, {
    sandbox: true,
    conf: "sandbox-paths = /bin/sh=/homes/root/busybox\nkeep-derivations = true",
  });
  copyFileSync("/usr/bin/busybox", join(instance.directory, "homes/root/busybox"));
  return instance;
}

async function verified(instance: NixInstance): Promise<void> {
  const { status, stderr } = await instance.run("nix-store", ["--verify", "--check-contents"]);
  expect(stderr).not.toMatch(/modified|disappeared|error/);
  expect(status).toBe(0);
}

async function instantiateOn(instance: NixInstance, expression: string): Promise<StorePath[]> {
  const lines = await instance.output("nix-instantiate", ["-E", expression]);
  return lines.split("\n").map((line) => parseStorePath(line.replace(/!.*$/, "")));
}

/** What both say of every path. */
async function sameAnswers(instance: NixInstance, store: EmbeddedStore): Promise<void> {
  const paths = await store.queryAllValidPaths();
  const text = await instance.output("nix", [...NIX, "path-info", "--all", "--json"]);
  const parsed = JSON.parse(text) as unknown;
  const theirs = new Map<string, Record<string, unknown>>(
    Array.isArray(parsed)
      ? (parsed as { path: string }[]).map((entry) => [entry.path, entry])
      : Object.entries((parsed as { info?: object }).info ?? (parsed as object)).map(([path, entry]) => [
          path.startsWith("/") ? path : `/nix/store/${path}`,
          entry as Record<string, unknown>,
        ]),
  );
  expect([...theirs.keys()].sort()).toEqual(paths);
  const absolute = (path: unknown): string => (String(path).startsWith("/") ? String(path) : `/nix/store/${path}`);
  for (const [path, info] of await store.queryPathInfos(paths)) {
    const entry = theirs.get(path)!;
    expect((entry.references as string[]).map(absolute).sort()).toEqual(info.references);
    expect(BigInt(entry.narSize as number)).toBe(info.narSize);
    if (typeof entry.narHash === "string") {
      expect(printHash(parseHash(entry.narHash), "hex", false)).toBe(Buffer.from(info.narHash).toString("hex"));
    }
    const deriver = entry.deriver ?? null;
    expect(deriver === null ? null : absolute(deriver)).toBe(info.deriver);
    expect(Boolean(entry.ultimate)).toBe(info.ultimate);
  }
  for (const path of paths.slice(0, 6)) {
    const ask = async (query: string): Promise<string[]> =>
      (await instance.output("nix-store", ["--query", query, path]))
        .split("\n")
        .filter((line) => line !== "")
        .sort();
    expect(await ask("--references")).toEqual((await store.queryPathInfos([path])).get(path)!.references);
    expect(await ask("--referrers")).toEqual(await store.queryReferrers(path));
    expect(await ask("--requisites")).toEqual([...(await store.queryClosure([path]))].sort());
    const deriver = (await store.queryPathInfos([path])).get(path)!.deriver;
    expect(await ask("--deriver")).toEqual([deriver ?? "unknown-deriver"]);
  }
}

describe.skipIf(generations.length === 0).each(generations)("with Nix $version", (generation) => {
  it("what we make is valid to Nix, what it makes is valid to us, and each goes on where the other stopped", async () => {
    await using instance = await sharedMachine(generation);
    const store = await openTestStore(instance.directory);
    try {
      const lib = testPath("lib", file("library"));
      const app = testPath(
        "app",
        { type: "directory", entries: new Map([["run" as never, file(lib.info.path, true)]]) },
        [lib.info.path],
      );
      await store.addPaths([lib, app].map(incoming), { checkSignatures: false });
      await verified(instance);

      const first = shellDerivation("first", "echo first > $out; echo said >&2");
      const second = shellDerivation(
        "second",
        `read x < \${first}; echo $x $self > $out; echo \${first} >> $out; echo $dev > $dev`,
        'outputs = [ "out" "dev" ];',
      );
      const third = shellDerivation("third", `echo \${second} \${second.dev} $out > $out`);
      const expression = `let first = ${first}; second = ${second}; third = ${third}; in [ first second third ]`;
      const [one, two, three] = await instantiateOn(instance, expression);
      const ours = await buildDrv(store, one!);
      expect(ours.result.status).toBe("Built");
      const byNix = await instance.output("nix-store", ["--realise", two!]);
      expect(byNix.split("\n")).toHaveLength(2);
      const last = await buildDrv(store, three!);
      expect(last.result.status).toBe("Built");
      const [info] = last.outputs.values();
      expect(info!.references).toEqual([...byNix.split("\n"), info!.path].sort());
      expect((await buildDrv(store, two!)).result.status).toBe("AlreadyValid");
      expect(await instance.output("nix-store", ["--realise", three!])).toBe(info!.path);

      await verified(instance);
      await sameAnswers(instance, store);
      expect((await store.verify({ checkContents: true })).faults).toEqual([]);
      expect(await instance.output("nix-store", ["--read-log", one!])).toBe("said");
    } finally {
      await store.close();
    }
  });

  it("the same derivations give the same contents", async () => {
    await using machine = await sharedMachine(generation);
    await using other = await sharedMachine(generation);
    const text = readFileSync(new URL("fixtures/same-contents.nix", import.meta.url), "utf8");
    const expression = `(${text}) { graphs = ${atLeast(generation, "2.20")}; }`;
    const drvs = await instantiateOn(machine, expression);
    expect(await instantiateOn(other, expression)).toEqual(drvs);
    await machine.output("nix-store", ["--realise", ...drvs]);
    const theirs = await openTestStore(machine.directory);
    // NIX_BUILD_CORES is in what some of them write; 0 is told as it is by Nix before 2.24, resolved since.
    const cores = Number((await machine.output("nix", [...NIX, "show-config"])).match(/^cores = (\d+)/m)?.[1] ?? "0");
    const ours = await openTestStore(other.directory);
    try {
      for (const drv of drvs) {
        const { result, outputs } = await buildDrv(ours, drv, { options: { cores } });
        expect(result.errorMessage).toBe("");
        for (const [name, info] of outputs) {
          const nix = (await theirs.queryPathInfos([info.path])).get(info.path);
          const read = (from: NixInstance): string => {
            const path = from.hostPath(info.path);
            return execFileSync("nix-store", ["--dump", path]).toString("latin1").replaceAll("\0", "");
          };
          const differing = Buffer.compare(nix!.narHash, info.narHash) !== 0;
          if (differing) expect(`${drv} ${name}\n${read(other)}`).toBe(`${drv} ${name}\n${read(machine)}`);
          expect(info.references).toEqual(nix!.references);
        }
      }
    } finally {
      await theirs.close();
      await ours.close();
    }
  });

  it("neither deletes what the other uses", async () => {
    await using instance = await sharedMachine(generation);
    const store = await openTestStore(instance.directory);
    try {
      const paths = ["kept", "rooted", "garbage"].map((name) => testPath(name, file(name)));
      const [kept, rooted, garbage] = paths.map(({ info }) => info.path) as [StorePath, StorePath, StorePath];
      const making = await openTestStore(instance.directory);
      await making.addPaths(paths.map(incoming), { checkSignatures: false });
      await making.close();
      await store.addTempRoots([kept]);
      symlinkSync(rooted, join(store.layout.gcRootsDir, "rooted"));

      const refusal = await instance.run("nix-store", ["--delete", kept]);
      expect(refusal.status).toBe(1);
      const words = refusal.stderr.match(/(Cannot delete path|Cannot delete)[^\n]*/)?.[0] ?? "";
      expect(words).toMatch(/still alive|because it's/);
      await instance.output("nix-store", ["--gc"]);
      expect(await store.queryValidPaths([kept, rooted, garbage])).toEqual(new Set([kept, rooted]));
      expect(existsSync(instance.hostPath(garbage))).toBe(false);

      // A root made while the collector is at work reaches it over its socket.
      const late = testPath("late", file("late"));
      const fifo = join(instance.directory, "homes/root/sync");
      execFileSync("mkfifo", [fifo]);
      const more = await openTestStore(instance.directory);
      await more.addPaths([incoming(late)], { checkSignatures: false });
      await more.close();
      const env = { _NIX_TEST_GC_SYNC: "/homes/root/sync", _NIX_TEST_GC_SYNC_2: "/homes/root/sync" };
      const collector = instance.spawn("nix-store", ["--gc"], { env });
      // It opens the pipe, and so can it be opened here, when it has found the roots and before it deletes.
      let gate = -1;
      await until("the collector to have found the roots", () => {
        try {
          gate = openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK);
          return true;
        } catch {
          return false;
        }
      });
      await store.addTempRoots([late.info.path]);
      closeSync(gate);
      await once(collector, "exit");
      expect(await store.queryValidPaths([late.info.path])).toEqual(new Set([late.info.path]));

      const ours = await store.deletePaths([rooted]).then(
        () => "deleted",
        (error: Error) => error.message,
      );
      expect(ours).toContain("still alive");
      if (!atLeast(generation, "2.9")) {
        const nix = await instance.run("nix-store", ["--delete", rooted]);
        expect(nix.stderr.replace(new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, "g"), "")).toContain(ours);
      }
      await verified(instance);
    } finally {
      await store.close();
    }
  });

  it("both tell the same of what is alive and what is dead, and each collects what the other left", async () => {
    await using instance = await sharedMachine(generation);
    const store = await openTestStore(instance.directory);
    try {
      const expression = (name: string): string =>
        `let dep = ${shellDerivation(`dep-${name}`, "echo dep > $out")};
         in ${shellDerivation(name, "read x < $dep; echo $x > $out", 'inherit dep; src = builtins.toFile "s" "s";')}`;
      const build = (name: string): Promise<string> =>
        instance.output("nix-build", ["--no-out-link", "-E", expression(name)]);
      symlinkSync(await build("theirs"), join(store.layout.gcRootsDir, "theirs"));
      await build("unrooted");
      const [drv] = await instantiateOn(instance, expression("ours"));
      const making = await openTestStore(instance.directory);
      const { result } = await buildDrv(making, drv!);
      symlinkSync(result.builtOutputs.get("out")!, join(making.layout.gcRootsDir, "ours"));
      await making.addPaths([incoming(testPath("loose", file("loose")))], { checkSignatures: false });
      await making.close();
      writeFileSync(join(store.layout.storeDir, `${"0".repeat(32)}-left-over`), "x");

      for (const [keepDerivations, keepOutputs] of [
        [true, false],
        [false, false],
        [true, true],
        [false, true],
      ]) {
        const asked = await openTestStore(instance.directory, {
          keepDerivations: keepDerivations!,
          keepOutputs: keepOutputs!,
        });
        const theirSettings = [
          "--option",
          "keep-derivations",
          `${keepDerivations}`,
          "--option",
          "keep-outputs",
          `${keepOutputs}`,
        ];
        for (const [task, flag] of [
          ["tellAlive", "--print-live"],
          ["tellDead", "--print-dead"],
        ] as const) {
          const theirs = await instance.output("nix-store", ["--gc", flag, ...theirSettings]);
          const ours = await asked.collectGarbage({ type: task }, SILENT_COLLECTOR);
          expect(ours.paths, `${flag} ${theirSettings}`).toEqual(theirs.split("\n").sort());
        }
        await asked.close();
      }
      const valid = await store.queryAllValidPaths();
      const dead = (await store.collectGarbage({ type: "tellDead" }, SILENT_COLLECTOR)).paths;
      expect(dead.length).toBeGreaterThan(4);
      const { paths } = await store.collectGarbage({ type: "deleteDead", maxFreed: null }, SILENT_COLLECTOR);
      expect(paths).toEqual(dead);
      expect(await store.queryAllValidPaths()).toEqual(valid.filter((path) => !dead.includes(path)));
      expect(await instance.output("nix-store", ["--gc", "--print-dead"])).toBe("");
      await verified(instance);
      await sameAnswers(instance, store);
    } finally {
      await store.close();
    }
  });

  it("neither collects what the other is building with", async () => {
    await using instance = await sharedMachine(generation);
    const store = await openTestStore(instance.directory);
    try {
      const slow = (name: string): string =>
        `let dep = ${shellDerivation(`dep-${name}`, "echo dep > $out")};
         in ${shellDerivation(name, "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; read x < $dep; echo $x > $out", "inherit dep;")}`;
      const nix = spawn(instance.command("nix-build"), ["--no-out-link", "-E", slow("theirs")], {
        stdio: ["ignore", "pipe", "pipe"],
      });
      let said = "";
      nix.stderr.on("data", (chunk: Buffer) => {
        said += chunk.toString();
      });
      await until("Nix to build", () => /building '[^']*-theirs\.drv'/.test(said));
      await store.collectGarbage({ type: "deleteDead", maxFreed: null }, SILENT_COLLECTOR);
      if (nix.exitCode === null) await once(nix, "exit");
      expect(nix.exitCode, said).toBe(0);

      const drvs = await instantiateOn(instance, slow("ours"));
      const heard = new Heard();
      let collecting: ReturnType<NixInstance["run"]> | null = null;
      heard.started = () => {
        collecting = instance.run("nix-store", ["--gc"]);
      };
      const { result } = await buildDrv(store, drvs[0]!, { heard });
      expect((await collecting!).status).toBe(0);
      expect(result.errorMessage).toBe("");
      expect(await store.queryValidPaths([result.builtOutputs.get("out")!])).toHaveProperty("size", 1);
      await verified(instance);
    } finally {
      await store.close();
    }
  });

  it("both wait for each other's locks", async () => {
    await using instance = await sharedMachine(generation);
    const store = await openTestStore(instance.directory);
    try {
      const script = "read x < /proc/uptime; i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; echo $x > $out";
      const [drv] = await instantiateOn(instance, shellDerivation("slow", script));
      const nix = spawn(instance.command("nix-store"), ["--realise", drv!], { stdio: ["ignore", "pipe", "pipe"] });
      let said = "";
      nix.stderr.on("data", (chunk: Buffer) => {
        said += chunk.toString();
      });
      await until("Nix to build", () => said.includes("building"));
      const { result } = await buildDrv(store, drv!);
      expect(["AlreadyValid", "Built"]).toContain(result.status);
      if (nix.exitCode === null) await once(nix, "exit");
      expect(nix.exitCode).toBe(0);
      await verified(instance);
      expect(readFileSync(instance.hostPath(result.builtOutputs.get("out")!), "utf8")).toMatch(/^\d/);
    } finally {
      await store.close();
    }
  });
});
