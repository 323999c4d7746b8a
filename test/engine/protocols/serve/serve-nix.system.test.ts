import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../../../src/engine/base/clock.ts";
import type { BuildReporter } from "../../../../src/engine/protocols/build-log.ts";
import { ServeConnection } from "../../../../src/engine/protocols/serve/client.ts";
import { nixGenerations } from "../../../support/nix-generations.ts";
import { createInstance, type NixInstance } from "../../../support/nix-instance.ts";
import { connectTo, scriptDerivation } from "../real-nix.ts";
import { chunksOf, gathered, infoOf, narOf, pathOf } from "../support.ts";

const generations = await nixGenerations();
if (generations.length === 0) it.skip("SKIPPED: no Nix here to talk to", () => undefined);

const limits = { maxSilentTime: 0, timeout: 0, maxLogSize: 0n, keepFailed: false };

describe.each(generations)("Nix $version as a serving process", (generation) => {
  let instance: NixInstance;
  beforeAll(async () => {
    instance = await createInstance(generation, { name: `serve-${generation.version}` });
  });
  afterAll(() => instance.remove());

  async function open(): Promise<ServeConnection> {
    const transport = await connectTo(instance, "nix-store", "--serve", "--write");
    return ServeConnection.open(transport, { peer: `nix-${generation.version}`, clock: systemClock });
  }

  it("takes paths, builds, fails, and gives NARs", async () => {
    const client = await open();
    expect(client.minor).toBe(7);
    const nar = narOf(`input ${"x".repeat(300_000)}`);
    const input = infoOf(pathOf("serve-input"), nar);
    await client.addToStoreNar(input, chunksOf(nar, 10_000));
    const imported = {
      path: pathOf("serve-imported"),
      references: [input.path],
      deriver: null,
      nar: () => chunksOf(nar, 99_999),
    };
    await client.importPaths([imported]);
    expect(
      await client.queryValidPaths([input.path, imported.path, pathOf("no")], { lock: true, substitute: false }),
    ).toEqual([input.path, imported.path].sort());
    expect(await client.queryClosure([imported.path], false)).toEqual([input.path, imported.path].sort());

    const good = scriptDerivation("serve-good", `echo one; echo two >&2; echo ${input.path} > $out`, [input.path]);
    const { listener, heard } = recorder();
    const [result, infos] = await Promise.all([
      client.buildDerivation(good.drvPath, good.derivation, "normal", limits, listener),
      client.queryPathInfos([good.out, pathOf("no")]),
    ]);
    expect(result).toMatchObject({ status: "Built", builtOutputs: new Map([["out", good.out]]) });
    expect([...infos.keys()]).toEqual([good.out]);
    expect(infos.get(good.out)?.references).toEqual([input.path]);
    expect(heard).toEqual(["started", "one", "two"]);
    expect(await gathered(client.dumpStorePath(good.out))).toEqual(Buffer.from(narOf(`${input.path}\n`)));

    const bad = scriptDerivation("serve-bad", "echo last words; exit 3");
    const failed = await client.buildDerivation(bad.drvPath, bad.derivation, "normal", limits);
    expect(failed).toMatchObject({ status: "PermanentFailure", errorMessage: expect.stringContaining("exit code 3") });
    expect((await client.queryValidPaths([good.out], { lock: false, substitute: false })).length).toBe(1);
    client.close();
  });

  it("says its last words when it dies", async () => {
    const client = await open();
    const nar = narOf("x");
    const wrong = { ...infoOf(pathOf("serve-wrong"), nar), narHash: new Uint8Array(32).fill(1) };
    await expect(client.addToStoreNar(wrong, [nar])).rejects.toMatchObject({
      code: "PROTOCOL_CONNECTION_LOST",
      message: expect.stringContaining("hash mismatch"),
    });
    expect(client.broken).toBe(true);
  });

  it("builds a derivation of its own store", async () => {
    const client = await open();
    const expression =
      'derivation { name = "serve-paths"; builder = "/bin/sh"; args = [ "-c" "echo x > $out" ]; system = builtins.currentSystem; }';
    const drvPath = await instance.output("nix-instantiate", ["-E", expression]);
    const target = { type: "built", drvPath: drvPath as ReturnType<typeof pathOf>, outputs: ["out"] } as const;
    expect(await client.buildPaths([target], limits)).toEqual({ type: "built" });
    const broken = expression.replace("echo x > $out", "exit 1").replace("serve-paths", "serve-broken");
    const brokenPath = await instance.output("nix-instantiate", ["-E", broken]);
    expect(
      await client.buildPaths([{ ...target, drvPath: brokenPath as ReturnType<typeof pathOf> }], limits),
    ).toMatchObject({
      type: "failed",
      exitStatus: 100,
    });
    client.close();
  });
});

function recorder(): { readonly listener: BuildReporter; readonly heard: string[] } {
  const heard: string[] = [];
  const listener: BuildReporter = {
    started: () => heard.push("started"),
    phase: (name) => heard.push(`phase ${name}`),
    logged: (lines) => heard.push(...lines),
    noticed: (message) => heard.push(`notice ${message}`),
  };
  return { listener, heard };
}
