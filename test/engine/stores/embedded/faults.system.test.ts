// What a crash, a full disk and a crowd may not do: leave a path that is valid and wrong, lose one, or leave anything behind for good.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { StorePath } from "../../../../src/engine/formats/store-path.ts";
import { removeTree } from "../../../../src/engine/stores/embedded/files/remove.ts";
import { processesWith, until } from "../../../support/processes.ts";
import { chain } from "./fault-worker.ts";
import { buildDrv, file, incoming, instantiate, openTestStore, SYSTEM, testPath } from "./support.ts";

const nix = existsSync("/usr/bin/nix-store");
/** The full dose is 200. */
const KILLS = Number(process.env.TSBUILD_TOP_FAULTS ?? "15");
const CHAIN = 300;
const worker = fileURLToPath(new URL("fault-worker.ts", import.meta.url));
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tsbt-faults-"));
});
afterEach(async () => {
  await removeTree(root);
});

/** The same numbers in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function verify(): void {
  const options = ["--store", root, "--verify", "--check-contents"];
  expect(execFileSync("nix-store", options, { stdio: ["ignore", "pipe", "ignore"] }).toString()).toBe("");
}

/** Runs a worker and kills it after so many milliseconds; says whether it was quicker. */
async function runAndKill(args: readonly string[], after: number): Promise<boolean> {
  const child = spawn(process.execPath, [worker, root, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
  const timer = setTimeout(() => child.kill("SIGKILL"), after);
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  clearTimeout(timer);
  return child.exitCode === 0;
}

function manyDerivations(count: number, script: string): string {
  return `builtins.genList (i: derivation { name = "many-\${toString i}"; system = "${SYSTEM}"; builder = "/bin/sh";
    mark = "${root}"; args = [ "-c" "${script}" ]; }) ${count}`;
}

describe.skipIf(!nix)("kill -9", () => {
  it(`at ${KILLS} moments of imports and builds leaves a store that verifies, and the next run heals it`, async () => {
    const random = seeded(20);
    const setup = await openTestStore(root);
    const script =
      "(exec -a mkdir /bin/sh -p $out/a/b); for i in 1 2 3 4 5 6 7 8; do echo $i > $out/a/b/$i; done; echo $out > $out/self";
    const drvs = instantiate(setup, manyDerivations(KILLS * 4, script));
    await setup.close();
    let interrupted = 0;
    for (let round = 0; round < KILLS; round++) {
      const done =
        round % 3 === 2
          ? await runAndKill(["build", ...drvs.slice(0, 4 * (round + 1))], random() * 250)
          : await runAndKill(["import", String(CHAIN)], random() * 150);
      if (!done) interrupted++;
      verify();
    }
    expect(interrupted).toBeGreaterThan(KILLS / 3);
    // The builders of killed processes are gone with them.
    await until("all builders to be gone", () => processesWith(root, "environ").length === 0);

    const store = await openTestStore(root);
    const paths = chain(CHAIN);
    const valid = await store.queryValidPaths(paths.map(({ info }) => info.path));
    await store.addPaths(paths.filter(({ info }) => !valid.has(info.path)).map(incoming), { checkSignatures: false });
    for (const drv of drvs.slice(0, 8)) expect((await buildDrv(store, drv)).result.errorMessage).toBe("");
    expect((await store.verify({ checkContents: true })).faults).toEqual([]);
    expect((await store.queryValidPaths(paths.map(({ info }) => info.path))).size).toBe(CHAIN);
    await store.close();
    expect(readdirSync(join(root, "nix/var/nix/tsbuild-top"))).toEqual([]);
    verify();
  });
});

describe.skipIf(!nix)("a crowd", () => {
  it("of processes, Nix among them, builds and imports the same things in one store", async () => {
    const setup = await openTestStore(root);
    const drvs = instantiate(setup, manyDerivations(6, "echo $out > $out"));
    await setup.close();
    const ours = Array.from({ length: 5 }, (_, at) =>
      spawn(process.execPath, [worker, root, ...(at % 2 === 0 ? ["import", "60"] : ["build", ...drvs])], {
        stdio: ["ignore", "ignore", "inherit"],
      }),
    );
    const options = ["--option", "sandbox-paths", "/bin/sh=/usr/bin/busybox", "--option", "build-users-group", ""];
    const theirs = spawn("nix-store", ["--store", root, ...options, "--realise", ...drvs], { stdio: "ignore" });
    const all = [...ours, theirs];
    await Promise.all(all.map((child) => once(child, "exit")));
    expect(all.map((child) => child.exitCode)).toEqual(all.map(() => 0));
    const store = await openTestStore(root);
    expect((await store.queryValidPaths(chain(60).map(({ info }) => info.path))).size).toBe(60);
    expect((await store.verify({ checkContents: true })).faults).toEqual([]);
    expect(readdirSync(store.layout.storeDir).filter((name) => name.endsWith(".lock"))).toEqual([]);
    await store.close();
    verify();
  });
});

describe.skipIf(!nix || process.getuid?.() !== 0)("an ordinary user", () => {
  it("has a store of their own, with builds in a sandbox", async () => {
    const nobody = 65534;
    chownSync(root, nobody, nobody);
    const as = { uid: nobody, gid: nobody, env: { ...process.env, HOME: root } };
    const expression = manyDerivations(2, "(exec -a mkdir /bin/sh -p $out/a); echo $out > $out/a/b");
    const drvs = execFileSync("nix-instantiate", ["--store", root, "-E", expression], {
      ...as,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    for (const args of [
      ["import", "20"],
      ["build", ...drvs.trim().split("\n")],
    ]) {
      const child = spawn(process.execPath, [worker, root, ...args], { ...as, stdio: ["ignore", "ignore", "inherit"] });
      await once(child, "exit");
      expect(child.exitCode).toBe(0);
    }
    expect(statSync(join(root, "nix/store")).uid).toBe(nobody);
    verify();
  });
});

describe.skipIf(!nix || process.getuid?.() !== 0)("a full disk", () => {
  it("is an error that says so, and loses nothing", async () => {
    const disk = join(root, "disk");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=24m", "none", disk]);
    const store = await openTestStore(disk);
    try {
      const kept = testPath("kept", file("kept"));
      await store.addPaths([incoming(kept)], { checkSignatures: false });
      const drvs = instantiate(
        store,
        manyDerivations(2, "while echo 0123456789012345678901234567890123456789; do :; done > $out; exit 1"),
      );
      const big = testPath("big", file("x".repeat(40_000_000)));
      await expect(store.addPaths([incoming(big)], { checkSignatures: false })).rejects.toMatchObject({
        code: "STORE_NO_SPACE",
        hint: expect.stringContaining("space"),
      });
      const { result } = await buildDrv(store, drvs[0]!, { options: { timeout: 60 } });
      expect([result.status, result.errorMessage]).toEqual([
        "TransientFailure",
        expect.stringContaining("may have been caused by lack of free disk space"),
      ]);
      expect(await store.queryAllValidPaths()).toEqual([kept.info.path, ...(await drvPaths(store))].sort());
      expect((await store.verify({ checkContents: true })).faults).toEqual([]);
      // What was half done is removed, so that there is room again.
      const small = testPath("small", file("x".repeat(2_000_000)));
      await until("the leavings to be gone", async () =>
        store.addPaths([incoming(small)], { checkSignatures: false }).then(
          () => true,
          () => false,
        ),
      );
      expect((await store.queryValidPaths([small.info.path])).size).toBe(1);
    } finally {
      await store.close();
      execFileSync("umount", [disk]);
      rmSync(disk, { recursive: true });
    }
  });
});

async function drvPaths(store: Awaited<ReturnType<typeof openTestStore>>): Promise<StorePath[]> {
  return (await store.queryAllValidPaths()).filter((path) => path.endsWith(".drv"));
}
