// `serve` without any Nix: our own client on it, many clients at once, one that is killed, and accounts without trust.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/engine/base/clock.ts";
import type { BasicDerivation } from "../../../src/engine/derivation/derivation.ts";
import { computeOutputPaths, derivationStorePath } from "../../../src/engine/derivation/hash-modulo.ts";
import { printDerivation } from "../../../src/engine/derivation/print.ts";
import { byteStringOf } from "../../../src/engine/formats/byte-string.ts";
import { parseStorePath, type StorePath } from "../../../src/engine/formats/store-path.ts";
import { hearBuild } from "../../../src/engine/protocols/build-log.ts";
import { WorkerConnection } from "../../../src/engine/protocols/worker/client.ts";
import { openChildProcess } from "../../../src/engine/transports/child-process.ts";
import { hostSystem } from "../../support/builders.ts";
import { collect, processesWith, type RunResult, until } from "../../support/processes.ts";
import { removeDirectory, temporaryDirectory } from "../../support/temporary-directory.ts";
import { buildOptions } from "../protocols/real-nix.ts";
import { infoOf, narOf, pathOf } from "../protocols/support.ts";

const PROGRAM = fileURLToPath(new URL("../../../bin/tsbuild-top.js", import.meta.url));
/** The full dose is 200. */
const CLIENTS = Number(process.env.TSBUILD_TOP_CLIENTS ?? "20");
const LISTENER = { phase: () => undefined, logged: () => undefined, noticed: () => undefined };

describe("serve", () => {
  let root: string;
  const clients: WorkerConnection[] = [];
  beforeEach(() => {
    root = temporaryDirectory("serve");
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
    removeDirectory(root);
  });

  async function connect(...more: readonly string[]): Promise<WorkerConnection> {
    const command = [process.execPath, PROGRAM, "serve", "--stdio", "--store", root, ...more] as const;
    const transport = await openChildProcess(
      { command, environment: { PATH: process.env.PATH, HOME: root }, clock: systemClock, stopGraceMs: 5000 },
      new AbortController().signal,
    );
    const client = await WorkerConnection.open(transport, { peer: "serve", clock: systemClock });
    clients.push(client);
    return client;
  }

  function script(name: string, text: string): { drvPath: StorePath; derivation: BasicDerivation; out: StorePath } {
    const env = new Map([
      ["builder", "/bin/sh"],
      ["name", name],
      ["out", ""],
      ["system", hostSystem],
    ]);
    const plain = {
      name,
      outputs: new Map([["out", { type: "deferred" } as const]]),
      inputDrvs: new Map(),
      inputSrcs: new Set<StorePath>(),
      platform: hostSystem,
      builder: byteStringOf("/bin/sh"),
      args: [byteStringOf("-c"), byteStringOf(text)],
      env: new Map([...env].map(([key, value]) => [byteStringOf(key), byteStringOf(value)])),
    };
    const out = computeOutputPaths(plain, () => ({ type: "known", outputs: new Map() })).get("out")!;
    const whole = {
      ...plain,
      outputs: new Map([["out", { type: "inputAddressed" as const, path: out }]]),
      env: new Map([...plain.env, [byteStringOf("out"), byteStringOf(out)]]),
    };
    return { drvPath: derivationStorePath(whole), derivation: whole, out };
  }

  it("says who it is and trusts the owner of the store", async () => {
    const client = await connect();
    expect([client.nixVersion, client.trusted]).toEqual(["2.18.0", true]);
    const stranger = await connect("--trusted-users", "nobody");
    expect(stranger.trusted).toBe(false);
  });

  it(`serves ${CLIENTS} clients at once, while some are killed and garbage is collected`, async () => {
    const builds = CLIENTS / 2;
    // What is connected from the first to the last keeps what it has asked for.
    const keeper = await connect();
    const wanted = Array.from({ length: builds }, (_, at) => script(`build-${at}`, `echo built ${at} > $out`));
    const inputs = Array.from({ length: 5 }, (_, at) => {
      const nar = narOf(`input ${at}`);
      return { nar, info: infoOf(pathOf(`shared-${at}`), nar) };
    });
    await keeper.addTempRoots([...wanted.map(({ out }) => out), ...inputs.map(({ info }) => info.path)]);
    let open = CLIENTS;
    const collections: Promise<number>[] = [];
    const outcomes = await Promise.all(
      Array.from({ length: CLIENTS }, async (_, index) => {
        const client = await connect();
        await client.setOptions(buildOptions);
        const { info, nar } = inputs[index % inputs.length]!;
        await client.addToStoreNar({ info, repair: false, checkSignatures: false }, once(nar));
        const { drvPath, derivation, out } = wanted[index % builds]!;
        // Every tenth hangs up in the middle of a build nobody else does; the others must not notice.
        if (index % 10 === 9) {
          const own = script(`broken-off-${index}`, `echo ${index}; echo ${index} > $out; while :; do :; done`);
          const begun = Promise.withResolvers<void>();
          const hear = hearBuild({ ...LISTENER, started: () => begun.resolve() });
          client.buildDerivation(own.drvPath, own.derivation, "normal", hear).catch(() => undefined);
          await begun.promise;
          client.close();
          open -= 1;
          return "hung up";
        }
        const garbage = narOf(`garbage ${index}`);
        await client.addToStoreNar(
          { info: infoOf(pathOf(`garbage-${index}`), garbage), repair: false, checkSignatures: false },
          once(garbage),
        );
        const { status, errorMessage } = await client.buildDerivation(drvPath, derivation, "normal");
        const built = await client.queryPathInfo(out);
        client.close();
        open -= 1;
        if (open % 8 === 0) {
          collections.push(
            keeper
              .collectGarbage({ action: "deleteDead", paths: [], maxFreed: null })
              .then(({ paths }) => paths.length),
          );
        }
        return built === null ? `lost after ${status}: ${errorMessage}` : status;
      }),
    );
    const allowed = new Set(["Built", "AlreadyValid", "hung up"]);
    expect(outcomes.filter((outcome) => !allowed.has(outcome))).toEqual([]);
    expect(outcomes.filter((outcome) => outcome === "hung up")).toHaveLength(CLIENTS / 10);
    await Promise.all(collections);
    const last = await connect();
    await last.collectGarbage({ action: "deleteDead", paths: [], maxFreed: null });
    expect(await last.verifyStore(true, false)).toBe(false);
    const kept = new Set(await last.queryAllValidPaths());
    for (const [index, { out }] of wanted.entries()) {
      // Each is built by two, unless both were among those that hang up.
      const builders = [index, index + builds].filter((at) => at % 10 !== 9);
      if (builders.length > 0) expect(kept).toContain(out);
    }
    for (const { info } of inputs) expect(kept).toContain(info.path);
    expect(readdirSync(join(root, "nix/store")).filter((name) => name.endsWith(".lock"))).toEqual([]);
  });

  it("ends the builder when the client hangs up, and leaves a sound store", async () => {
    const client = await connect();
    await client.setOptions(buildOptions);
    const mark = `marked-${process.pid}-${Date.now()}`;
    const { drvPath, derivation } = script("endless", `: ${mark}; while :; do read -t 1 line; done < /dev/zero`);
    let started: () => void = () => undefined;
    const running = new Promise<void>((resolve) => {
      started = resolve;
    });
    const building = client.buildDerivation(drvPath, derivation, "normal", hearBuild({ ...LISTENER, started }));
    building.catch(() => undefined);
    await running;
    await until("the builder to run", () => processesWith(mark).length > 0);
    client.close();
    await until("the builder to be gone", () => processesWith(mark).length === 0);
    await until("its server to be gone", () => processesWith(root).length === 0);
    const work = join(root, "nix/var/nix/tsbuild-top");
    expect(existsSync(work) ? readdirSync(work) : []).toEqual([]);
    const next = await connect();
    expect(await next.verifyStore(true, false)).toBe(false);
  });

  it("collects garbage for its clients, and nothing another client needs", async () => {
    const paths = ["needed", "garbage"].map((name) => {
      const nar = narOf(name);
      return { info: infoOf(pathOf(name), nar), nar };
    });
    const [needed, garbage] = paths.map(({ info }) => info.path) as [StorePath, StorePath];
    const making = await connect();
    for (const { info, nar } of paths) {
      await making.addToStoreNar({ info, repair: false, checkSignatures: false }, once(nar));
    }
    const other = await connect();
    await other.addTempRoots([needed]);
    making.close();
    const client = await connect("--trusted-users", "nobody");
    await until("the first client's roots to be gone", async () => {
      const { paths: dead } = await client.collectGarbage({ action: "returnDead", paths: [], maxFreed: null });
      return dead.includes(garbage);
    });
    const refused = client.collectGarbage({ action: "deleteSpecific", paths: [needed], maxFreed: null });
    await expect(refused).rejects.toThrow("since it is still alive");
    const said: string[] = [];
    const { paths: deleted, bytesFreed } = await client.collectGarbage(
      { action: "deleteDead", paths: [], maxFreed: null },
      (frames) => said.push(...frames.flatMap((frame) => (frame.type === "next" ? [frame.text] : []))),
    );
    expect([deleted, bytesFreed > 0n]).toEqual([[garbage], true]);
    expect(said.join("")).toContain(`deleting '${garbage}'`);
    expect(await client.queryAllValidPaths()).toEqual([needed]);
    const roots = await other.findRoots();
    expect([...roots.values()]).toContain(needed);
  });

  it("refuses what needs trust, in Nix's words, and builds from derivations it was given", async () => {
    const client = await connect("--trusted-users", "nobody");
    await client.setOptions(buildOptions);
    const { drvPath, derivation, out } = script("closure", "echo by closure > $out");
    await expect(client.buildDerivation(drvPath, derivation, "normal")).rejects.toThrow(
      "you are not privileged to build input-addressed derivations",
    );
    const nar = narOf("unsigned");
    const unsigned = infoOf(pathOf("unsigned"), nar);
    await expect(
      client.addToStoreNar({ info: unsigned, repair: false, checkSignatures: false }, once(nar)),
    ).rejects.toThrow("lacks a valid signature");
    const text = printDerivation({ ...derivation, inputDrvs: new Map() });
    const added = await client.addToStore({ name: "closure.drv", method: "text:sha256", references: [] }, once(text));
    expect(added.path).toBe(drvPath);
    const results = await client.buildPathsWithResults([{ type: "built", drvPath, outputs: "all" }], "normal");
    expect([...results.values()].map(({ status }) => status)).toEqual(["Built"]);
    expect(await client.isValidPath(out)).toBe(true);
  });

  it.skipIf(process.getuid?.() !== 0)("turns strangers away where builds are not sandboxed", async () => {
    const environment = { PATH: process.env.PATH, HOME: root, TSBUILD_TOP_SANDBOX: "chroot" };
    const serve = (...more: readonly string[]): Promise<RunResult> =>
      collect(process.execPath, [PROGRAM, "serve", "--stdio", "--store", root, ...more], { env: environment });
    const refused = await serve("--trusted-users", "nobody");
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain("builds are not sandboxed on this machine");
    expect(refused.stderr).toContain("install bubblewrap");
    expect((await serve()).stderr).not.toContain("not sandboxed");
  });

  it("adds texts, files and trees as an evaluator sends them", async () => {
    const client = await connect();
    const text = await client.addToStore(
      { name: "hello.txt", method: "text:sha256", references: [] },
      once(Buffer.from("hello")),
    );
    const flat = await client.addToStore(
      { name: "hello", method: "fixed:sha256", references: [] },
      once(Buffer.from("hello")),
    );
    const tree = await client.addToStore(
      { name: "hello", method: "fixed:r:sha256", references: [] },
      once(narOf("hello")),
    );
    expect([text, flat, tree].map(({ contentAddress }) => contentAddress?.replace(/:[^:]*$/, ""))).toEqual([
      "text:sha256",
      "fixed:sha256",
      "fixed:r:sha256",
    ]);
    // nix-instantiate --eval -E 'builtins.toFile "hello.txt" "hello"'
    expect(text.path).toBe(parseStorePath("/nix/store/q790zdjk75hm2cn42nh77pqw4gbv1b88-hello.txt"));
    expect(await client.verifyStore(true, false)).toBe(false);
  });
});

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
