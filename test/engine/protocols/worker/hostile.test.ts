// What a broken or hostile peer can do to a worker connection: cut, oversized and out-of-step answers, repeated errors, sudden ends.
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../../src/engine/base/clock.ts";
import { ByteWriter } from "../../../../src/engine/formats/wire/writer.ts";
import { STDERR, writeError } from "../../../../src/engine/protocols/log-frame.ts";
import { WorkerConnection } from "../../../../src/engine/protocols/worker/client.ts";
import { serveWorker } from "../../../../src/engine/protocols/worker/server.ts";
import { memoryPair } from "../../../support/memory-transport.ts";
import { connect, FakeStore, gathered, hex, infoOf, narOf, Puppet, pathOf } from "../support.ts";

const greeting = hex(
  "6f69786400000000 2601000000000000 0000000000000000 0600000000000000 322e33342e380000 0100000000000000 73746c6100000000",
);
const path = pathOf("thing");
const LAST = new ByteWriter().u64(STDERR.last).finish();

async function opened(stderrTail = ""): Promise<{ readonly puppet: Puppet; readonly client: WorkerConnection }> {
  const puppet = new Puppet(stderrTail);
  const opening = WorkerConnection.open(puppet.transport, { peer: "ssh-ng://mac", clock: systemClock });
  puppet.say(greeting);
  const client = await opening;
  return { puppet, client };
}

function errorBytes(message: string): Uint8Array {
  const writer = new ByteWriter();
  writeError(writer, { level: 0, message, traces: ["while doing this"] }, 38);
  return writer.finish();
}

describe("a peer that breaks the protocol", () => {
  it("ends in the middle of an answer", async () => {
    const info = new ByteWriter().u64(STDERR.last).u64(1);
    info.string("").string("ab".repeat(32)).strings([path]).u64(1).u64(120).u64(0).strings([]).string("");
    const whole = info.finish();
    for (let cut = 0; cut < whole.length; cut++) {
      const { puppet, client } = await opened("mac: out of memory\n");
      const asked = client.queryPathInfo(path);
      puppet.say(whole.subarray(0, cut));
      puppet.hangUp();
      await expect(asked, `cut at ${cut}`).rejects.toMatchObject({
        code: "PROTOCOL_CONNECTION_LOST",
        message: expect.stringMatching(/^ssh-ng:\/\/mac: .*'queryPathInfo'.*out of memory/),
      });
      expect(client.broken).toBe(true);
    }
  });

  it.each([
    ["an unknown tag", new ByteWriter().u64(0x1234n).finish()],
    [
      "a huge string",
      new ByteWriter()
        .u64(STDERR.next)
        .u64(2n ** 62n)
        .finish(),
    ],
    [
      "a string of 65 MiB",
      new ByteWriter()
        .u64(STDERR.next)
        .u64(65 * 1024 * 1024)
        .finish(),
    ],
    ["very many fields", new ByteWriter().u64(STDERR.result).u64(1).u64(101).u64(5000).finish()],
    ["a field of no kind", new ByteWriter().u64(STDERR.result).u64(1).u64(101).u64(1).u64(7).u64(0).finish()],
    [
      "padding that is not zero",
      hex(`${Buffer.from(LAST).toString("hex")} 0100000000000000 0100000000000000 61ffffffffffffff`),
    ],
    [
      "very many paths",
      new ByteWriter()
        .u64(STDERR.last)
        .u64(2n ** 40n)
        .finish(),
    ],
    ["something that is no path", new ByteWriter().u64(STDERR.last).u64(1).string("/etc/passwd").finish()],
    ["a request for data nobody uploads", new ByteWriter().u64(STDERR.read).u64(10).finish()],
  ])("sends %s", async (_, bytes) => {
    const { puppet, client } = await opened();
    const asked = client.queryValidPaths([path], false);
    puppet.say(bytes);
    await expect(asked).rejects.toMatchObject({ family: "protocol", message: expect.stringContaining("ssh-ng://mac") });
    expect(client.broken).toBe(true);
    expect((await puppet.transport.closed).type).toBe("closedHere");
    await expect(client.isValidPath(path)).rejects.toThrow("ssh-ng://mac");
  });

  it("sends a malformed NAR", async () => {
    const { puppet, client } = await opened();
    const nar = gathered(client.narFromPath(path));
    puppet.say(LAST);
    puppet.say(new ByteWriter().string("nix-archive-1").string("(").string("tipe").finish());
    await expect(nar).rejects.toThrow();
    expect(client.broken).toBe(true);
  });

  it("talks when it was not asked", async () => {
    const { puppet, client } = await opened();
    puppet.say(errorBytes("surprise"));
    await expect.poll(() => client.broken).toBe(true);
    await expect(client.isValidPath(path)).rejects.toMatchObject({ code: "PROTOCOL_CONNECTION_LOST" });
  });

  it("hangs up while nothing is under way", async () => {
    const { puppet, client } = await opened();
    puppet.hangUp();
    await expect.poll(() => client.broken).toBe(true);
    await expect(client.isValidPath(path)).rejects.toMatchObject({ code: "PROTOCOL_CONNECTION_LOST" });
  });
});

describe("errors of a daemon", () => {
  it("reach the caller without colours, and the connection goes on", async () => {
    const { puppet, client } = await opened();
    const asked = client.ensurePath(path);
    puppet.say(errorBytes("\u001b[31;1merror:\u001b[0m path '\u001b[35;1m/x\u001b[0m' is bad\n"));
    await expect(asked).rejects.toMatchObject({
      name: "RemoteError",
      code: "STORE_REMOTE_ERROR",
      remoteMessage: "path '/x' is bad",
      report: { traces: ["while doing this"] },
    });
    const again = client.isValidPath(path);
    puppet.say(new ByteWriter().u64(STDERR.last).u64(1).finish());
    expect(await again).toBe(true);
    client.close();
  });

  it("said twice and followed by the end are the end of the connection, also for the request behind", async () => {
    const { puppet, client } = await opened();
    const first = client.ensurePath(path);
    const second = client.isValidPath(path);
    puppet.say(errorBytes("unknown operation"));
    puppet.say(errorBytes("unknown operation"));
    puppet.hangUp();
    await expect(first).rejects.toMatchObject({ code: "STORE_REMOTE_ERROR" });
    await expect(second).rejects.toMatchObject({ code: "PROTOCOL_CONNECTION_LOST" });
    expect(client.broken).toBe(true);
  });

  it("may be the same for two requests", async () => {
    const { puppet, client } = await opened();
    const both = Promise.allSettled([client.ensurePath(path), client.ensurePath(path)]);
    puppet.say(errorBytes("no"));
    puppet.say(errorBytes("no"));
    expect((await both).map((one) => one.status === "rejected" && one.reason.code)).toEqual([
      "STORE_REMOTE_ERROR",
      "STORE_REMOTE_ERROR",
    ]);
    const last = client.isValidPath(path);
    puppet.say(new ByteWriter().u64(STDERR.last).u64(0).finish());
    expect(await last).toBe(false);
    client.close();
  });

  it("may stand in the place of a NAR, as since Nix 2.33", async () => {
    const { puppet, client } = await opened();
    const nar = gathered(client.narFromPath(path));
    puppet.say(LAST);
    puppet.say(errorBytes(`path '${path}' is not valid`));
    puppet.hangUp();
    await expect(nar).rejects.toMatchObject({
      code: "STORE_REMOTE_ERROR",
      remoteMessage: `path '${path}' is not valid`,
    });
    expect(client.broken).toBe(true);
  });

  it("end an upload early, with the end mark sent", async () => {
    const { puppet, client } = await opened();
    let sent = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        yield new Uint8Array(100_000);
        sent += 100_000;
        if (sent === 1_000_000) puppet.say(errorBytes("disk full"));
        if (sent > 100_000_000) throw new Error("nobody stops me");
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    const request = { info: infoOf(path, narOf("x")), repair: false, checkSignatures: false };
    await expect(client.addToStoreNar(request, endless())).rejects.toMatchObject({ remoteMessage: "disk full" });
    const next = client.isValidPath(path);
    puppet.say(new ByteWriter().u64(STDERR.last).u64(0).finish());
    expect(await next).toBe(false);
    expect(sent).toBeLessThan(50_000_000);
    client.close();
  });
});

describe("a hostile client", () => {
  const hello = hex("6378696e00000000 2601000000000000 0000000000000000 0000000000000000 0000000000000000");

  async function told(bytes: Uint8Array): Promise<{ readonly error: unknown; readonly answer: string }> {
    const [near, far] = memoryPair();
    const served = serveWorker(far, new FakeStore(), { trusted: true, nixVersion: "2.34.8", firstActivity: 1n }).then(
      () => null,
      (error: unknown) => error,
    );
    const heard = gathered(near.input);
    await near.write(hello);
    await near.write(bytes);
    const error = await served;
    return { error, answer: Buffer.from(await heard).toString("latin1") };
  }

  it.each([
    ["an unknown operation", new ByteWriter().u64(999).finish(), "operation 999 is not supported"],
    ["something that is no path", new ByteWriter().u64(1).string("/etc/passwd").finish(), "expected a store path"],
    ["a path with dots", new ByteWriter().u64(38).string("/nix/store/../etc/passwd").finish(), "expected a store path"],
    [
      "a huge string",
      new ByteWriter()
        .u64(29)
        .u64(2n ** 60n)
        .finish(),
      "expected at most",
    ],
    [
      "very many paths",
      new ByteWriter()
        .u64(31)
        .u64(2n ** 60n)
        .finish(),
      "expected at most",
    ],
    ["no build mode", new ByteWriter().u64(9).strings([]).u64(7).finish(), "expected at most 2"],
  ])("is told and dropped after sending %s", async (_, bytes, message) => {
    const { error, answer } = await told(bytes);
    expect(error).toMatchObject({ family: "protocol" });
    expect(answer).toContain(message);
  });

  it("may hang up anywhere", async () => {
    const whole = Buffer.concat([
      hello,
      new ByteWriter().u64(26).string(path).u64(1).string(path).u64(39).string(path).string("").finish(),
    ]);
    for (let cut = 0; cut <= whole.length; cut += 3) {
      const [near, far] = memoryPair();
      const served = serveWorker(far, new FakeStore(), { trusted: true, nixVersion: "2.34.8", firstActivity: 1n });
      await near.write(whole.subarray(0, cut));
      near.close();
      await served;
    }
  });

  it("cannot spoil the connection with a NAR that is none", async () => {
    const { client, store } = await connect();
    const info = infoOf(pathOf("x"), narOf("x"));
    const junk = [Buffer.from("this is not a NAR at all")];
    await expect(client.addToStoreNar({ info, repair: false, checkSignatures: false }, junk)).rejects.toThrow();
    await expect(
      client.addMultipleToStore(1, [{ info, nar: () => junk }], { repair: false, checkSignatures: false }),
    ).rejects.toThrow();
    expect(await client.isValidPath(info.path)).toBe(false);
    expect(store.paths.size).toBe(0);
    client.close();
  });
});
