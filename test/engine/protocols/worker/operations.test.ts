// Every operation of the worker protocol between our client and our server, at every minor version that can be agreed on.
import { describe, expect, it } from "vitest";
import { isSuccess } from "../../../../src/engine/derivation/build-result.ts";
import { type BuildReporter, hearBuild } from "../../../../src/engine/protocols/build-log.ts";
import type { LogFrame } from "../../../../src/engine/protocols/log-frame.ts";
import { isRemoteError } from "../../../../src/engine/protocols/remote-error.ts";
import { chopped, chunksOf, connect, derivationOf, gathered, infoOf, narOf, pathOf } from "../support.ts";

const minors = Array.from({ length: 21 }, (_, index) => 18 + index);

/** Records what is heard of a build as words. */
function recorder(): { readonly listener: BuildReporter; readonly heard: string[] } {
  const heard: string[] = [];
  const listener: BuildReporter = {
    started: () => heard.push("started"),
    phase: (name) => heard.push(`phase ${name}`),
    logged: (lines) => heard.push(...lines.map((line) => `| ${line}`)),
    noticed: (message) => heard.push(`notice ${message}`),
  };
  return { listener, heard };
}

describe("what is heard of a build", () => {
  it("tells that the store waits for a lock, and when it goes on", () => {
    const { listener, heard } = recorder();
    const hear = hearBuild(listener);
    const text = "waiting for lock on \u001b[35;1m'/nix/store/abc'\u001b[0m";
    const activity = { type: "start", level: 1, fields: [], parent: 0n } as const;
    hear([{ ...activity, id: 1n, activity: 111, text }]);
    hear([{ ...activity, id: 2n, activity: 105, text: "building" }]);
    hear([{ ...activity, id: 3n, activity: 105, text: "building" }]);
    expect(heard).toEqual([
      "phase waiting for lock",
      "notice waiting for lock on '/nix/store/abc'",
      "started",
      "phase building",
      "started",
    ]);
  });
});

describe.each(minors)("worker protocol 1.%i", (maxMinor) => {
  it("agrees on the version", async () => {
    const { client } = await connect({ maxMinor });
    expect(client.minor).toBe(maxMinor);
    expect(client.nixVersion).toBe(maxMinor >= 33 ? "2.34.8" : null);
    expect(client.trusted).toBe(maxMinor >= 35 ? true : null);
    client.close();
  });

  it("queries", async () => {
    const { client, store } = await connect({ maxMinor });
    const one = store.add("one", "1");
    const two = store.add("two", "2", [one.path]);
    const missing = pathOf("missing");
    expect(await client.isValidPath(one.path)).toBe(true);
    expect(await client.isValidPath(missing)).toBe(false);
    expect(await client.queryValidPaths([one.path, missing], true)).toEqual([one.path]);
    expect(store.calls.includes("substitute")).toBe(maxMinor >= 27);
    expect(await client.queryPathInfo(two.path)).toEqual(two);
    expect(await client.queryPathInfo(missing)).toBeNull();
    expect([...(await client.queryPathInfos([two.path, missing, one.path])).keys()]).toEqual([two.path, one.path]);
    expect(await client.queryReferrers(one.path)).toEqual([two.path]);
    expect(await client.queryAllValidPaths()).toEqual([one.path, two.path]);
    expect(await client.queryPathFromHashPart(one.path.slice(11, 43))).toBe(one.path);
    expect(await client.queryPathFromHashPart("0".repeat(32))).toBeNull();
    expect(await client.querySubstitutablePaths([pathOf("x-substitutable"), missing])).toEqual([
      pathOf("x-substitutable"),
    ]);
    const { drvPath } = derivationOf("thing", "ok");
    if (maxMinor < 19) return client.close();
    expect(
      await client.queryMissing([
        { type: "opaque", path: missing },
        { type: "built", drvPath, outputs: ["out"] },
        { type: "built", drvPath, outputs: "all" },
      ]),
    ).toEqual({
      willBuild: [drvPath, drvPath],
      willSubstitute: [],
      unknown: [missing],
      downloadSize: 5n,
      narSize: 2n ** 63n,
    });
    client.close();
  });

  it("moves contents", async () => {
    const { client, store } = await connect({ maxMinor });
    const nar = narOf("contents ".repeat(30_000));
    const info = { ...infoOf(pathOf("uploaded"), nar), signatures: ["key:abc"], contentAddress: "fixed:r:sha256:x" };
    await client.addToStoreNar({ info, repair: false, checkSignatures: false }, chunksOf(nar, 7000));
    expect(store.paths.get(info.path)).toEqual({ info, nar: Buffer.from(nar) });
    expect(Buffer.compare(await gathered(client.narFromPath(info.path)), nar)).toBe(0);
    await client.addSignatures(info.path, ["key:def"]);
    expect((await client.queryPathInfo(info.path))?.signatures).toEqual(["key:def"]);

    const bad = { ...infoOf(pathOf("bad"), nar), narHash: new Uint8Array(32) };
    await expect(client.addToStoreNar({ info: bad, repair: false, checkSignatures: false }, [nar])).rejects.toThrow(
      "hash mismatch",
    );
    await expect(gathered(client.narFromPath(bad.path))).rejects.toSatisfy(isRemoteError);
    expect(await client.isValidPath(info.path)).toBe(true);
    client.close();
  });

  it("builds", async () => {
    const { client } = await connect({ maxMinor });
    const { drvPath, derivation } = derivationOf("thing", "ok");
    const { listener, heard } = recorder();
    const [result, info] = await Promise.all([
      client.buildDerivation(drvPath, derivation, "normal", hearBuild(listener)),
      client.queryPathInfo(pathOf("thing")),
    ]);
    expect(result.status).toBe("Built");
    expect(info?.path).toBe(pathOf("thing"));
    expect(result.timesBuilt).toBe(maxMinor >= 29 ? 1 : 0);
    expect(result.startTime).toBe(maxMinor >= 29 ? 1000 : 0);
    expect(result.cpuUserMicros).toBe(maxMinor >= 37 ? 12n : null);
    expect(result.cpuSystemMicros).toBe(maxMinor >= 37 ? 5n : null);
    expect([...result.builtOutputs]).toEqual(maxMinor >= 28 ? [["out", pathOf("thing")]] : []);
    if (maxMinor >= 20) {
      expect(heard).toEqual(["started", "phase buildPhase", "| line 0 of thing", "notice note: something"]);
    } else {
      expect(heard).toEqual([`notice building '${drvPath}'...`, "notice note: something"]);
    }

    const failing = derivationOf("failing", "fail");
    const failed = await client.buildDerivation(failing.drvPath, failing.derivation, "check");
    expect(failed).toMatchObject({ status: "PermanentFailure", errorMessage: "\u001b[31mbuilder failed\u001b[0m" });

    await client.buildPaths([{ type: "built", drvPath, outputs: "all" }], "normal");
    await expect(
      client.buildPaths([{ type: "built", drvPath: failing.drvPath, outputs: ["out"] }], "normal"),
    ).rejects.toThrow("builder failed");
    await client.ensurePath(pathOf("thing"));
    await expect(client.ensurePath(pathOf("nothing"))).rejects.toThrow("no substituter");
    client.close();
  });

  it("keeps house", async () => {
    const { client, store } = await connect({ maxMinor });
    const one = store.add("one", "1");
    await client.addTempRoots([one.path, pathOf("not-there")]);
    expect(store.tempRoots).toEqual(new Set([one.path, pathOf("not-there")]));
    await client.addIndirectRoot("/home/me/result");
    expect(await client.findRoots()).toEqual(new Map([["/home/me/result", pathOf("rooted")]]));
    const options = {
      keepFailed: true,
      keepGoing: false,
      tryFallback: false,
      verbosity: 3,
      maxBuildJobs: 1,
      maxSilentTime: 60,
      verboseBuild: true,
      buildCores: 4,
      useSubstitutes: false,
      overrides: new Map([
        ["timeout", "10"],
        ["builders", ""],
      ]),
    };
    await client.setOptions(options);
    const { drvPath, derivation } = derivationOf("thing", "ok");
    await client.buildDerivation(drvPath, derivation, "normal");
    expect(store.lastOptions).toEqual(options);
    expect(await client.verifyStore(true, false)).toBe(true);
    expect(await client.verifyStore(false, true)).toBe(false);
    const freed = await client.collectGarbage({ action: "deleteSpecific", paths: [one.path], maxFreed: null });
    expect(freed).toEqual({ paths: [one.path], bytesFreed: 2n ** 40n });
    expect(await client.isValidPath(one.path)).toBe(false);
    client.close();
  });
});

describe("operations that came later", () => {
  it("AddToStore, from 1.25", async () => {
    const { client, store } = await connect({ maxMinor: 25 });
    const request = { name: "hello.txt", method: "text:sha256", references: [pathOf("a")] };
    const info = await client.addToStore(request, [Buffer.from("hel"), Buffer.from("lo")]);
    expect(info.references).toEqual([pathOf("a")]);
    expect(store.paths.get(info.path)?.nar).toEqual(narOf("hello"));
    client.close();
    const older = await connect({ maxMinor: 24 });
    await expect(older.client.addToStore(request, [])).rejects.toMatchObject({ code: "PROTOCOL_UNSUPPORTED" });
    expect(older.client.broken).toBe(false);
    older.client.close();
  });

  it("realisations, as paths from 1.27 and as JSON from 1.31", async () => {
    for (const maxMinor of [27, 30, 31, 38]) {
      const { client } = await connect({ maxMinor });
      const id = `sha256:${"ab".repeat(32)}!out`;
      expect(await client.queryRealisation(id)).toBeNull();
      await client.registerDrvOutput({ id, path: pathOf("out"), signatures: [] });
      expect(await client.queryRealisation(id)).toBe(pathOf("out"));
      client.close();
    }
  });

  it("output maps, from 1.22", async () => {
    const { client } = await connect({ maxMinor: 22 });
    const { drvPath, derivation } = derivationOf("thing", "ok");
    await client.buildDerivation(drvPath, derivation, "normal");
    expect(await client.queryDerivationOutputMap(drvPath)).toEqual(new Map([["out", pathOf("thing")]]));
    client.close();
  });

  it("AddMultipleToStore, from 1.32", async () => {
    const { client, store } = await connect({ maxMinor: 32 });
    store.add("there", "already");
    const nars = ["there", "first", "second"].map((name) => ({
      name,
      nar: narOf(name === "there" ? "already" : name),
    }));
    const uploads = nars.map(({ name, nar }) => ({
      info: infoOf(pathOf(name), nar, name === "second" ? [pathOf("first")] : []),
      nar: () => chunksOf(nar, 10),
    }));
    await client.addMultipleToStore(3, uploads, { repair: false, checkSignatures: false });
    expect([...store.paths.keys()]).toEqual([pathOf("there"), pathOf("first"), pathOf("second")]);
    await client.addMultipleToStore(0, [], { repair: false, checkSignatures: true });
    client.close();
  });

  it("build logs, from 1.33", async () => {
    const { client, store } = await connect({ maxMinor: 33 });
    await client.addBuildLog(pathOf("thing.drv"), [Buffer.from("line\n")]);
    expect(store.logs.get(pathOf("thing.drv"))).toBe("line\n");
    client.close();
    const older = await connect({ maxMinor: 32 });
    await expect(older.client.addBuildLog(pathOf("thing.drv"), [])).rejects.toMatchObject({
      code: "PROTOCOL_UNSUPPORTED",
    });
    older.client.close();
  });

  it("BuildPathsWithResults, from 1.34", async () => {
    for (const maxMinor of [34, 38]) {
      const { client, store } = await connect({ maxMinor });
      const good = derivationOf("good", "ok");
      const bad = derivationOf("bad", "fail");
      store.derivations.set(good.drvPath, good.derivation).set(bad.drvPath, bad.derivation);
      const results = await client.buildPathsWithResults(
        [
          { type: "built", drvPath: bad.drvPath, outputs: ["out"] },
          { type: "built", drvPath: good.drvPath, outputs: "all" },
        ],
        "check",
      );
      expect(results.get(`${bad.drvPath}!out`)?.status).toBe("PermanentFailure");
      expect(isSuccess(results.get(`${good.drvPath}!*`)?.status ?? "MiscFailure")).toBe(true);
      client.close();
    }
  });

  it("AddPermRoot, from 1.37", async () => {
    const { client } = await connect({ maxMinor: 37 });
    expect(await client.addPermRoot(pathOf("one"), "/roots/one")).toBe("/roots/one");
    client.close();
    const older = await connect({ maxMinor: 36 });
    await expect(older.client.addPermRoot(pathOf("one"), "/roots/one")).rejects.toMatchObject({
      code: "PROTOCOL_UNSUPPORTED",
    });
    older.client.close();
  });
});

describe("a connection", () => {
  it("answers requests sent back to back in order", async () => {
    const { client, store } = await connect();
    const infos = Array.from({ length: 500 }, (_, index) => store.add(`p${index}`, `contents ${index}`));
    const asked = infos.map((info) => client.queryPathInfo(info.path));
    const nars = infos.slice(0, 20).map((info) => client.narFromPath(info.path));
    const last = client.isValidPath(infos[0]!.path);
    expect((await Promise.all(asked)).map((info) => info?.path)).toEqual(infos.map((info) => info.path));
    for (const [index, nar] of nars.entries())
      expect(await gathered(nar)).toEqual(Buffer.from(narOf(`contents ${index}`)));
    expect(await last).toBe(true);
    expect(client.pending).toBe(0);
    client.close();
  });

  it("pipelines uploads with queries, and a refused one does no harm", async () => {
    const { client } = await connect();
    const nar = narOf("x".repeat(500_000));
    const add = (name: string, hashed = nar): Promise<void> =>
      client.addToStoreNar(
        { info: infoOf(pathOf(name), hashed), repair: false, checkSignatures: false },
        chunksOf(nar, 9999),
      );
    const outcomes = await Promise.allSettled([
      add("a"),
      client.isValidPath(pathOf("a")),
      add("b", narOf("something else")),
      client.isValidPath(pathOf("b")),
      add("c"),
      client.isValidPath(pathOf("c")),
    ]);
    expect(outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value : "refused"))).toEqual([
      undefined,
      true,
      "refused",
      false,
      undefined,
      true,
    ]);
    client.close();
  });

  it("reads the same however the bytes are cut", async () => {
    for (const size of [1, 3, 7, 8, 64]) {
      const { client, store } = await connect({ wrap: (transport) => chopped(transport, size) });
      const one = store.add("one", "some contents");
      const { drvPath, derivation } = derivationOf("thing", "talk:5");
      const frames: LogFrame[] = [];
      const result = await client.buildDerivation(drvPath, derivation, "normal", (batch) => frames.push(...batch));
      expect(result.status).toBe("Built");
      expect(frames.filter((frame) => frame.type === "result")).toHaveLength(6);
      expect(await client.queryPathInfo(one.path)).toEqual(one);
      expect(await gathered(client.narFromPath(one.path))).toEqual(Buffer.from(narOf("some contents")));
      await expect(client.ensurePath(pathOf("nothing"))).rejects.toThrow("no substituter");
      client.close();
    }
  });

  it("hands on many log lines in few batches", async () => {
    const { client } = await connect();
    const { drvPath, derivation } = derivationOf("talker", "talk:20000");
    let lines = 0;
    let batches = 0;
    await client.buildDerivation(drvPath, derivation, "normal", (frames) => {
      lines += frames.filter((frame) => frame.type === "result" && frame.result === 101).length;
      batches++;
    });
    expect(lines).toBe(20_000);
    expect(batches).toBeLessThan(2000);
    client.close();
  });

  it("rejects an upload with the source's own error and stays usable", async () => {
    const { client } = await connect();
    const nar = narOf("y".repeat(100_000));
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield nar.subarray(0, 50_000);
      throw new Error("the disk is gone");
    }
    const request = { info: infoOf(pathOf("y"), nar), repair: false, checkSignatures: false };
    await expect(client.addToStoreNar(request, failing())).rejects.toThrow("the disk is gone");
    expect(await client.isValidPath(pathOf("y"))).toBe(false);
    client.close();
  });

  it("is dropped when a NAR is not read to its end, even before it began", async () => {
    const { client, store } = await connect();
    const big = store.add("big", "z".repeat(3_000_000));
    for await (const chunk of client.narFromPath(big.path)) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    expect(client.broken).toBe(true);
    await expect(client.isValidPath(big.path)).rejects.toMatchObject({ code: "PROTOCOL_CLOSED" });
    const other = await connect({ store });
    await other.client.narFromPath(big.path)[Symbol.asyncIterator]().return?.();
    expect(other.client.broken).toBe(true);
  });

  it("stops the build when it is closed", async () => {
    const { client, store, ended } = await connect();
    const { drvPath, derivation } = derivationOf("endless", "wait");
    const started = Promise.withResolvers<void>();
    const building = client.buildDerivation(drvPath, derivation, "normal", () => started.resolve());
    const behind = client.queryPathInfo(pathOf("endless"));
    await started.promise;
    client.close();
    await expect(building).rejects.toMatchObject({ code: "PROTOCOL_CLOSED" });
    await expect(behind).rejects.toMatchObject({ code: "PROTOCOL_CLOSED" });
    await ended;
    expect(store.aborted).toBe(1);
  });

  it("serves a client without trust as Nix does", async () => {
    const { client, store } = await connect({ trusted: false });
    expect(client.trusted).toBe(false);
    const { drvPath, derivation } = derivationOf("thing", "ok");
    await expect(client.buildDerivation(drvPath, derivation, "normal")).rejects.toThrow(
      "you are not privileged to build input-addressed derivations",
    );
    const floating = {
      ...derivation,
      outputs: new Map([["out", { type: "floating", method: "nar", algorithm: "sha256" } as const]]),
    };
    expect((await client.buildDerivation(drvPath, floating, "normal")).status).toBe("Built");
    const nar = narOf("n");
    const info = infoOf(pathOf("n"), nar);
    await expect(client.addToStoreNar({ info, repair: false, checkSignatures: false }, [nar])).rejects.toThrow(
      "lacks a signature",
    );
    await expect(
      client.addMultipleToStore(1, [{ info, nar: () => [nar] }], { repair: false, checkSignatures: false }),
    ).rejects.toThrow("lacks a signature");
    await expect(client.addBuildLog(drvPath, [Buffer.from("log")])).rejects.toThrow("not privileged to add logs");
    await expect(client.addSignatures(info.path, ["key:def"])).rejects.toThrow(
      "you are not privileged to add signatures",
    );
    await expect(client.verifyStore(false, true)).rejects.toThrow("not privileged to repair");
    await expect(client.addPermRoot(info.path, "/x")).rejects.toThrow("not privileged");
    await expect(
      client.registerDrvOutput({ id: `sha256:${"0".repeat(64)}!out`, path: info.path, signatures: [] }),
    ).rejects.toThrow("not privileged");
    const notices: LogFrame[] = [];
    const settings = { "secret-key-files": "/x", timeout: "5", builders: "", "max-silent-time": "9" };
    await client.setOptions({ ...plainOptions, overrides: new Map(Object.entries(settings)) });
    await client.buildDerivation(drvPath, floating, "normal", (frames) => notices.push(...frames));
    expect([...(store.lastOptions?.overrides.keys() ?? [])].sort()).toEqual(["builders", "max-silent-time", "timeout"]);
    expect(await client.isValidPath(info.path)).toBe(false);
    await expect(client.buildDerivation(drvPath, derivation, "repair")).rejects.toThrow("repairing is not allowed");
    await expect(client.isValidPath(info.path)).rejects.toMatchObject({ code: "PROTOCOL_CONNECTION_LOST" });
  });
});

const plainOptions = {
  keepFailed: false,
  keepGoing: false,
  tryFallback: false,
  verbosity: 0,
  maxBuildJobs: 1,
  maxSilentTime: 0,
  verboseBuild: true,
  buildCores: 0,
  useSubstitutes: false,
};
