// Golden bytes of the worker handshake as Nix 2.34.8 and 2.8.0 exchange them, and what happens when something else answers.
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../../src/engine/base/clock.ts";
import { ServeConnection } from "../../../../src/engine/protocols/serve/client.ts";
import { WorkerConnection } from "../../../../src/engine/protocols/worker/client.ts";
import { serveWorker } from "../../../../src/engine/protocols/worker/server.ts";
import { createFakeClock } from "../../../support/fake-clock.ts";
import { memoryPair } from "../../../support/memory-transport.ts";
import { FakeStore, hex, Puppet } from "../support.ts";

const options = { peer: "ssh-ng://mac", clock: systemClock };

describe("the client's handshake", () => {
  it("exchanges the bytes Nix 2.34.8 does", async () => {
    const puppet = new Puppet();
    const opening = WorkerConnection.open(puppet.transport, options);
    expect((await puppet.heard(16)).toString("hex")).toBe("6378696e000000002601000000000000");
    puppet.say(hex("6f69786400000000 2601000000000000"));
    expect((await puppet.heard(40)).subarray(16).toString("hex")).toBe("00".repeat(24));
    puppet.say(hex("0000000000000000 0600000000000000 322e33342e380000 0100000000000000 73746c6100000000"));
    const connection = await opening;
    expect(connection.minor).toBe(38);
    expect(connection.nixVersion).toBe("2.34.8");
    expect(connection.trusted).toBe(true);
    expect(connection.canAddMultiple).toBe(true);
    expect(connection.skipsValid).toBe(true);
    connection.close();
  });

  it("exchanges the bytes Nix 2.8.0 does, which knows neither features nor trust", async () => {
    const puppet = new Puppet();
    const opening = WorkerConnection.open(puppet.transport, options);
    puppet.say(hex("6f69786400000000 2201000000000000 0500000000000000 322e382e30000000 73746c6100000000"));
    const connection = await opening;
    expect((await puppet.heard(32)).toString("hex")).toBe(`6378696e000000002601000000000000${"00".repeat(16)}`);
    expect(connection.minor).toBe(34);
    expect(connection.nixVersion).toBe("2.8.0");
    expect(connection.trusted).toBeNull();
    expect(connection.canAddMultiple).toBe(true);
    expect(connection.skipsValid).toBe(false);
    connection.close();
  });

  it.each([
    ["worker", WorkerConnection.open],
    ["serve", ServeConnection.open],
  ] as const)("waits for the greeting of a %s program for half a minute, not for ever", async (_, open) => {
    const clock = createFakeClock();
    const puppet = new Puppet("thinking about it\n");
    const opening = open(puppet.transport, { ...options, clock });
    const failure = opening.then(
      () => null,
      (error: unknown) => error,
    );
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(29_000);
    puppet.say(Buffer.from([0x6f]));
    clock.advance(2_000);
    expect(await failure).toMatchObject({
      code: "PROTOCOL_NO_GREETING",
      message: expect.stringContaining("within 30 s"),
      hint: expect.stringContaining("by hand"),
    });
  });

  it("shows what a login shell printed instead", async () => {
    const puppet = new Puppet("mac: stty: not a terminal\n");
    const opening = WorkerConnection.open(puppet.transport, options);
    puppet.say(Buffer.from("\u001b[1mWelcome to mac!\u001b[0m\nLast login: today\n"));
    await expect(opening).rejects.toMatchObject({
      code: "PROTOCOL_BAD_GREETING",
      message: expect.stringMatching(/^ssh-ng:\/\/mac: .*"Welcome to mac!\\nLast login: today".*stty: not a terminal/),
      hint: expect.stringContaining("login shell"),
    });
  });

  it("says why nothing answered", async () => {
    const puppet = new Puppet("bash: nix-daemon: command not found\n");
    const opening = WorkerConnection.open(puppet.transport, options);
    puppet.hangUp();
    await expect(opening).rejects.toMatchObject({
      code: "PROTOCOL_CONNECTION_LOST",
      message: expect.stringContaining("bash: nix-daemon: command not found"),
      hint: expect.stringContaining("PATH"),
    });
  });

  it("ends when the connection is cut anywhere", async () => {
    const whole = hex(
      "6f69786400000000 2601000000000000 0000000000000000 0600000000000000 322e33342e380000 0100000000000000 73746c6100000000",
    );
    for (let cut = 0; cut < whole.length; cut++) {
      const puppet = new Puppet();
      const opening = WorkerConnection.open(puppet.transport, options);
      puppet.say(whole.subarray(0, cut));
      puppet.hangUp();
      await expect(opening, `cut at ${cut}`).rejects.toMatchObject({ name: "EngineError" });
    }
  });

  it("refuses versions it does not know", async () => {
    for (const version of ["1101000000000000", "2602000000000000", "ffffffffffffffff"]) {
      const puppet = new Puppet();
      const opening = WorkerConnection.open(puppet.transport, options);
      puppet.say(hex(`6f69786400000000 ${version}`));
      await expect(opening).rejects.toMatchObject({ code: "PROTOCOL_VERSION_UNSUPPORTED" });
    }
  });

  it("passes on an error at the start", async () => {
    const puppet = new Puppet();
    const opening = WorkerConnection.open(puppet.transport, { ...options, offeredMinor: 25 });
    puppet.say(
      hex(
        `6f69786400000000 1901000000000000 7074786300000000 0400000000000000 ${Buffer.from("nope\0\0\0\0").toString("hex")} 0100000000000000`,
      ),
    );
    await expect(opening).rejects.toMatchObject({ code: "STORE_REMOTE_ERROR", message: "ssh-ng://mac: nope" });
  });

  it("can be aborted", async () => {
    const puppet = new Puppet();
    const abort = new AbortController();
    const opening = WorkerConnection.open(puppet.transport, { ...options, signal: abort.signal });
    abort.abort(new Error("changed my mind"));
    await expect(opening).rejects.toThrow("changed my mind");
    expect((await puppet.transport.closed).type).toBe("closedHere");
  });
});

describe("the server's handshake", () => {
  it("sends the bytes Nix 2.34.8 does", async () => {
    const [near, far] = memoryPair();
    const served = serveWorker(far, new FakeStore(), { trusted: true, nixVersion: "2.34.8", firstActivity: 1n });
    const input = near.input[Symbol.asyncIterator]();
    const heard: Uint8Array[] = [];
    const hear = async (count: number): Promise<string> => {
      while (Buffer.concat(heard).length < count) heard.push((await input.next()).value as Uint8Array);
      return Buffer.concat(heard.splice(0)).toString("hex");
    };
    await near.write(hex("6378696e00000000 2601000000000000"));
    expect(await hear(16)).toBe("6f697864000000002601000000000000");
    await near.write(hex("0000000000000000 0000000000000000 0000000000000000"));
    expect(await hear(40)).toBe(
      "00000000000000000600000000000000322e33342e3800000100000000000000".concat("73746c6100000000"),
    );
    near.close();
    await served;
  });

  it("refuses what is no client, and clients that are too old", async () => {
    for (const bytes of ["474554202f204854 54502f312e310d0a", "6378696e00000000 1101000000000000"]) {
      const [near, far] = memoryPair();
      const served = serveWorker(far, new FakeStore(), { trusted: true, nixVersion: "2.34.8", firstActivity: 1n });
      await near.write(hex(bytes));
      await expect(served).rejects.toMatchObject({ family: "protocol" });
      expect((await near.closed).type).toBe("closedThere");
    }
  });
});
