// The serve protocol between our client and our server, at every minor version, and against peers that die or lie.
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../../src/engine/base/clock.ts";
import { ByteWriter } from "../../../../src/engine/formats/wire/writer.ts";
import { ServeConnection } from "../../../../src/engine/protocols/serve/client.ts";
import { serveServe } from "../../../../src/engine/protocols/serve/server.ts";
import { ByteQueue } from "../../../../src/engine/transports/byte-queue.ts";
import type { Transport } from "../../../../src/engine/transports/transport.ts";
import { memoryPair } from "../../../support/memory-transport.ts";
import { chunksOf, derivationOf, FakeStore, gathered, hex, infoOf, narOf, Puppet, pathOf } from "../support.ts";

const limits = { maxSilentTime: 7, timeout: 8, maxLogSize: 2n ** 40n, keepFailed: true };

interface ServedServe {
  readonly client: ServeConnection;
  readonly store: FakeStore;
  readonly ended: Promise<unknown>;
}

async function connect(
  options: { readonly maxMinor?: number; readonly allowWrite?: boolean } = {},
): Promise<ServedServe> {
  const [left, right] = memoryPair();
  const store = new FakeStore();
  const stderr = new ByteQueue();
  let tail = "";
  const log = (text: string): void => {
    tail += text;
    stderr.push(Buffer.from(text));
  };
  const ended = serveServe(right, store, { trusted: true, allowWrite: true, log, ...options }).then(
    () => null,
    (error: unknown) => error,
  );
  const near: Transport = {
    input: left.input,
    write: (bytes) => left.write(bytes),
    stderr,
    stderrTail: () => tail,
    close: () => left.close(),
    closed: left.closed,
  };
  return { client: await ServeConnection.open(near, { peer: "ssh://mac", clock: systemClock }), store, ended };
}

describe.each([5, 6, 7])("serve protocol 2.%i", (maxMinor) => {
  it("does everything", async () => {
    const { client, store } = await connect({ maxMinor });
    expect(client.minor).toBe(maxMinor);
    const one = store.add("one", "1");
    const two = store.add("two", "2", [one.path]);
    const missing = pathOf("missing");
    expect(await client.queryValidPaths([one.path, missing], { lock: true, substitute: false })).toEqual([one.path]);
    expect(store.tempRoots).toEqual(new Set([one.path, missing]));
    const infos = await client.queryPathInfos([two.path, missing]);
    expect([...infos.values()]).toEqual([{ ...two, registrationTime: 0n }]);
    expect(await client.queryClosure([two.path], false)).toEqual([two.path, one.path]);
    expect(Buffer.compare(await gathered(client.dumpStorePath(one.path)), narOf("1"))).toBe(0);

    const nar = narOf("up".repeat(50_000));
    const info = infoOf(pathOf("up"), nar, [one.path]);
    await client.addToStoreNar(info, chunksOf(nar, 777));
    expect(store.paths.get(info.path)).toEqual({ info, nar: Buffer.from(nar) });
    const imports = [pathOf("imp1"), pathOf("imp2")].map((path) => ({
      path,
      references: [one.path],
      deriver: pathOf("imp.drv"),
      nar: () => [narOf(path)],
    }));
    await client.importPaths(imports);
    expect(store.paths.get(pathOf("imp2"))?.info).toMatchObject({ references: [one.path], deriver: pathOf("imp.drv") });

    const { drvPath, derivation } = derivationOf("thing", "talk:3");
    const heard: string[] = [];
    const [result, built] = await Promise.all([
      client.buildDerivation(drvPath, derivation, "normal", limits, {
        started: () => heard.push("started"),
        phase: () => undefined,
        logged: (lines) => heard.push(...lines),
        noticed: () => undefined,
      }),
      client.queryPathInfos([pathOf("thing")]),
    ]);
    expect(result).toMatchObject({ status: "Built", timesBuilt: 1, startTime: 1000 });
    expect([...result.builtOutputs.keys()]).toEqual(maxMinor >= 6 ? ["out"] : []);
    expect(built.size).toBe(1);
    expect(store.lastLimits).toEqual({ ...limits, keepFailed: maxMinor >= 7 });
    expect(heard).toEqual(["started", ...[0, 1, 2].map((index) => `line ${index} of thing`), "note: something"]);

    expect(await client.buildPaths([{ type: "built", drvPath, outputs: "all" }], limits)).toEqual({ type: "built" });
    const failing = derivationOf("failing", "fail");
    await client.buildDerivation(failing.drvPath, failing.derivation, "normal", limits);
    expect(
      await client.buildPaths([{ type: "built", drvPath: failing.drvPath, outputs: ["out"] }], limits),
    ).toMatchObject({
      type: "failed",
      exitStatus: 100,
      message: expect.stringContaining("builder failed"),
    });
    client.close();
  });
});

describe("a serve connection", () => {
  it("cannot check", async () => {
    const { client } = await connect();
    const { drvPath, derivation } = derivationOf("thing", "ok");
    await expect(client.buildDerivation(drvPath, derivation, "check", limits)).rejects.toMatchObject({
      code: "PROTOCOL_UNSUPPORTED",
    });
    expect(client.broken).toBe(false);
    client.close();
  });

  it("dies of what cannot be done, and says why", async () => {
    const { client, store, ended } = await connect();
    const nar = narOf("x");
    const info = { ...infoOf(pathOf("x"), nar), narHash: new Uint8Array(32) };
    const outcomes = await Promise.allSettled([
      client.addToStoreNar(info, [nar]),
      client.queryValidPaths([], noOptions),
    ]);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({
        status: "rejected",
        reason: {
          code: "PROTOCOL_CONNECTION_LOST",
          message: expect.stringContaining("error: hash mismatch importing"),
        },
      });
    }
    expect(await ended).toBeInstanceOf(Error);
    expect(store.paths.size).toBe(0);
  });

  it("adds nothing where writing is not allowed", async () => {
    const { client } = await connect({ allowWrite: false });
    const nar = narOf("x");
    await expect(client.addToStoreNar(infoOf(pathOf("x"), nar), [nar])).rejects.toThrow("without --write");
  });

  it("stops the build when it is closed", async () => {
    const { client, store, ended } = await connect();
    const { drvPath, derivation } = derivationOf("endless", "wait");
    const building = client.buildDerivation(drvPath, derivation, "normal", limits);
    await expect.poll(() => store.calls.length).toBe(1);
    client.close();
    await expect(building).rejects.toMatchObject({ code: "PROTOCOL_CLOSED" });
    await ended;
    expect(store.aborted).toBe(1);
  });

  it("exchanges Nix's bytes and shows what a login shell printed instead", async () => {
    const puppet = new Puppet();
    const opening = ServeConnection.open(puppet.transport, { peer: "ssh://mac", clock: systemClock });
    expect((await puppet.heard(16)).toString("hex")).toBe("eb9d0c39000000000702000000000000");
    puppet.say(hex("cbee525400000000 0702000000000000"));
    const client = await opening;
    expect(client.minor).toBe(7);
    const asked = client.queryValidPaths([], noOptions);
    puppet.say(new ByteWriter().u64(2n ** 50n).finish());
    await expect(asked).rejects.toMatchObject({ code: "WIRE_TOO_LONG" });
    expect(client.broken).toBe(true);

    const shell = new Puppet();
    const other = ServeConnection.open(shell.transport, { peer: "ssh://mac", clock: systemClock });
    shell.say(Buffer.from("hi there\n"));
    await expect(other).rejects.toMatchObject({
      code: "PROTOCOL_BAD_GREETING",
      message: expect.stringContaining("hi there"),
    });
  });
});

const noOptions = { lock: false, substitute: false };
