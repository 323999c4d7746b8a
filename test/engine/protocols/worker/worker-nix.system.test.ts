import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../../../src/engine/base/clock.ts";
import type { StorePath } from "../../../../src/engine/formats/store-path.ts";
import { hearBuild } from "../../../../src/engine/protocols/build-log.ts";
import type { LogFrame } from "../../../../src/engine/protocols/log-frame.ts";
import { WorkerConnection } from "../../../../src/engine/protocols/worker/client.ts";
import { atLeast, nixGenerations } from "../../../support/nix-generations.ts";
import { createInstance, type NixInstance } from "../../../support/nix-instance.ts";
import { until } from "../../../support/processes.ts";
import { buildOptions, connectTo, scriptDerivation } from "../real-nix.ts";
import { chunksOf, gathered, infoOf, narOf, pathOf } from "../support.ts";

const generations = await nixGenerations();
if (generations.length === 0) it.skip("SKIPPED: no Nix here to talk to", () => undefined);

describe.each(generations)("Nix $version as a daemon", (generation) => {
  let instance: NixInstance;
  beforeAll(async () => {
    instance = await createInstance(generation, { name: `worker-${generation.version}` });
  });
  afterAll(() => instance.remove());

  async function open(offeredMinor?: number): Promise<WorkerConnection> {
    const transport = await connectTo(instance, "nix-daemon", "--stdio");
    const options = { peer: `nix-${generation.version}`, clock: systemClock };
    return WorkerConnection.open(transport, offeredMinor === undefined ? options : { ...options, offeredMinor });
  }

  it("says who it is", async () => {
    const client = await open();
    const newest = atLeast(generation, "2.24")
      ? 38
      : atLeast(generation, "2.20")
        ? 37
        : atLeast(generation, "2.15")
          ? 35
          : 34;
    expect(client.minor).toBe(newest);
    expect(client.nixVersion).toBe(generation.version);
    expect(client.trusted).toBe(newest >= 35 ? true : null);
    expect(client.canAddMultiple).toBe(true);
    expect(client.skipsValid).toBe(atLeast(generation, "2.18"));
    client.close();
  });

  it("imports, builds, fails, checks and dumps in step at every minor", async () => {
    for (let minor = 18; minor <= 38; minor++) {
      const client = await open(minor);
      expect(client.minor).toBeLessThanOrEqual(minor);
      const label = `${generation.version}-${minor}`;
      await client.setOptions(buildOptions);

      const nar = narOf(`input of ${label} ${"x".repeat(200_000)}`);
      const input = infoOf(pathOf(`input-${label}`), nar);
      await client.addToStoreNar({ info: input, repair: false, checkSignatures: false }, chunksOf(nar, 10_000));
      expect(await client.queryPathInfo(input.path)).toMatchObject({ narHash: input.narHash, narSize: input.narSize });
      const wrong = { ...infoOf(pathOf(`wrong-${label}`), nar), narHash: new Uint8Array(32) };
      await expect(
        client.addToStoreNar({ info: wrong, repair: false, checkSignatures: false }, chunksOf(nar, 10_000)),
      ).rejects.toMatchObject({ code: "STORE_REMOTE_ERROR", message: expect.stringContaining("hash mismatch") });
      expect(await client.queryValidPaths([input.path, wrong.path], false)).toEqual([input.path]);

      const good = scriptDerivation(`good-${label}`, `echo one; echo two >&2; echo ${input.path} > $out`, [input.path]);
      const heard: string[] = [];
      const [result, info] = await Promise.all([
        client.buildDerivation(good.drvPath, good.derivation, "normal", listenTo(heard)),
        client.queryPathInfo(good.out),
      ]);
      expect(result).toMatchObject({ status: "Built", errorMessage: "" });
      expect(info?.references).toEqual([input.path]);
      if (minor >= 28) expect([...result.builtOutputs]).toEqual([["out", good.out]]);
      if (minor >= 20)
        expect(heard.filter((line) => !line.startsWith("notice"))).toEqual(["started", "| one", "| two"]);

      const bad = scriptDerivation(`bad-${label}`, "echo last words; exit 3");
      const [failed, nothing] = await Promise.all([
        client.buildDerivation(bad.drvPath, bad.derivation, "normal"),
        client.queryPathInfo(bad.out),
      ]);
      expect(failed).toMatchObject({
        status: "PermanentFailure",
        errorMessage: expect.stringContaining("exit code 3"),
      });
      expect(nothing).toBeNull();

      expect((await client.buildDerivation(good.drvPath, good.derivation, "check")).status).toBe("Built");
      const random = scriptDerivation(`random-${label}`, "cat /proc/sys/kernel/random/uuid > $out");
      expect((await client.buildDerivation(random.drvPath, random.derivation, "normal")).status).toBe("Built");
      expect((await client.buildDerivation(random.drvPath, random.derivation, "check")).status).toBe(
        "NotDeterministic",
      );

      await expect(client.ensurePath(pathOf("nowhere"))).rejects.toMatchObject({ code: "STORE_REMOTE_ERROR" });
      expect(await gathered(client.narFromPath(good.out))).toEqual(Buffer.from(narOf(`${input.path}\n`)));
      await client.addTempRoots([good.out, input.path]);
      expect(client.broken).toBe(false);
      client.close();
    }
  });

  it("answers hundreds of requests sent back to back", async () => {
    const client = await open();
    const nars = Array.from({ length: 200 }, (_, index) => ({
      path: pathOf(`many-${index}`),
      nar: narOf(`many ${index}`),
    }));
    await Promise.all(
      nars.map(({ path, nar }) =>
        client.addToStoreNar({ info: infoOf(path, nar), repair: false, checkSignatures: false }, [nar]),
      ),
    );
    const infos = client.queryPathInfos(nars.map(({ path }) => path));
    const streams = nars.map(({ path }) => client.narFromPath(path));
    expect((await infos).size).toBe(200);
    for (const [index, stream] of streams.entries())
      expect(await gathered(stream)).toEqual(Buffer.from(nars[index]!.nar));
    client.close();
  });

  it("adds by contents, keeps house, and tells what is missing", async () => {
    const client = await open();
    await client.setOptions(buildOptions);
    const text = await client.addToStore({ name: "hello.txt", method: "text:sha256", references: [] }, [
      Buffer.from("hi\n"),
    ]);
    expect(text.contentAddress).toMatch(/^text:sha256:/);
    const tree = await client.addToStore({ name: "tree", method: "fixed:r:sha256", references: [] }, [narOf("tree")]);
    expect(tree.contentAddress).toMatch(/^fixed:r:sha256:/);
    expect(await client.queryPathFromHashPart(text.path.slice(11, 43))).toBe(text.path);
    expect(await client.queryAllValidPaths()).toContain(tree.path);
    expect(await client.querySubstitutablePaths([tree.path])).toEqual([]);
    await client.addSignatures(tree.path, [`key-1:${Buffer.alloc(64, 1).toString("base64")}`]);
    expect((await client.queryPathInfo(tree.path))?.signatures).toHaveLength(1);

    const drvPath = (await instance.output("nix-instantiate", [
      "-E",
      'derivation { name = "asked"; builder = "/bin/sh"; args = [ "-c" "echo asked; echo x > $out" ]; system = builtins.currentSystem; }',
    ])) as StorePath;
    const missing = await client.queryMissing([{ type: "built", drvPath, outputs: ["out"] }]);
    expect(missing).toMatchObject({ willBuild: [drvPath], willSubstitute: [], unknown: [] });
    const out = (await client.queryDerivationOutputMap(drvPath)).get("out") ?? null;
    const target = { type: "built", drvPath, outputs: "all" } as const;
    const heard: string[] = [];
    const results = await client.buildPathsWithResults([target], "normal", listenTo(heard));
    expect(results.get(`${drvPath}!*`)).toMatchObject({ status: "Built", builtOutputs: new Map([["out", out]]) });
    expect(heard).toContain("| asked");
    await client.buildPaths([target], "check");
    await client.addBuildLog(drvPath, [Buffer.from("our own log\n")]);
    expect(await instance.output("nix-store", ["--read-log", drvPath])).toContain("asked");

    expect(await client.verifyStore(true, false)).toBe(false);
    const dead = await client.collectGarbage({ action: "returnDead", paths: [], maxFreed: null });
    expect(dead.paths).not.toContain(out);
    client.close();
    const other = await open();
    await until("the connection that held the root is gone", async () => {
      const gone = await other.collectGarbage({ action: "returnDead", paths: [], maxFreed: null });
      return out !== null && gone.paths.includes(out);
    });
    const freed = await other.collectGarbage({ action: "deleteSpecific", paths: [out!], maxFreed: null });
    expect(freed.paths).toContain(out);
    other.close();
  });

  it("ends the connection over an argument it cannot read, and that is noticed", async () => {
    const client = await open();
    await expect(client.isValidPath("/nix/store/nonsense" as StorePath)).rejects.toMatchObject({
      code: "STORE_REMOTE_ERROR",
    });
    await until("the end is noticed", () => client.broken);
    await expect(client.isValidPath(pathOf("x"))).rejects.toMatchObject({ code: "PROTOCOL_CONNECTION_LOST" });

    const piped = await open();
    const both = await Promise.allSettled([
      piped.isValidPath("/nix/store/nonsense" as StorePath),
      piped.isValidPath(pathOf("x")),
    ]);
    expect(both.map((one) => one.status === "rejected" && one.reason.code)).toEqual([
      "STORE_REMOTE_ERROR",
      "PROTOCOL_CONNECTION_LOST",
    ]);
  });

  it("refuses a NAR that is not there without doing harm to anyone but the connection", async () => {
    const client = await open();
    await expect(gathered(client.narFromPath(pathOf("not-there")))).rejects.toThrow();
    const next = client.isValidPath(pathOf("x"));
    if (atLeast(generation, "2.33")) await expect(next).rejects.toMatchObject({ code: "PROTOCOL_CONNECTION_LOST" });
    else expect(await next.catch((error: { code: string }) => error.code)).toBeDefined();
    client.close();
  });
});

function listenTo(heard: string[]): (frames: readonly LogFrame[]) => void {
  return hearBuild({
    started: () => heard.push("started"),
    phase: (name) => heard.push(`phase ${name}`),
    logged: (lines) => heard.push(...lines.map((line) => `| ${line}`)),
    noticed: (message) => heard.push(`notice ${message}`),
  });
}
