import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/engine/base/clock.ts";
import type { Transport } from "../../src/engine/transports/transport.ts";
import { type PeerKind, transportContract } from "../contracts/transport.ts";
import { manualClock } from "../engine/transports/manual-clock.ts";
import { delayed } from "./delay.ts";
import { memoryPair } from "./memory-transport.ts";

async function serve(peer: Transport, kind: PeerKind): Promise<void> {
  if (kind === "silent") return;
  for await (const chunk of peer.input) {
    if (kind === "leaves") break;
    await peer.write(chunk);
  }
  peer.close();
}

function openMemory(kind: PeerKind): Promise<Transport> {
  const [here, there] = memoryPair();
  void serve(there, kind);
  return Promise.resolve(here);
}

transportContract("memory", openMemory, { hasStderr: false, hasExitCode: false });
transportContract(
  "a delayed memory pair",
  async (kind) => delayed(await openMemory(kind), systemClock, { delayMs: 2, bytesPerSecond: null }),
  {
    hasStderr: false,
    hasExitCode: false,
  },
);
transportContract(
  "a slow memory pair",
  (kind) => {
    const [here, there] = memoryPair({ link: { clock: systemClock, speed: { delayMs: 1, bytesPerSecond: 100e6 } } });
    void serve(there, kind);
    return Promise.resolve(here);
  },
  { hasStderr: false, hasExitCode: false },
);

async function collect(transport: Transport, into: string[]): Promise<void> {
  for await (const chunk of transport.input) into.push(Buffer.from(chunk).toString());
  into.push("<end>");
}

describe("a pair with a slow link", () => {
  it("delivers after the delay, in order, and the end behind the last byte", async () => {
    const clock = manualClock();
    const [left, right] = memoryPair({ link: { clock, speed: { delayMs: 25, bytesPerSecond: null } } });
    const got: string[] = [];
    void collect(right, got);
    await left.write(Buffer.from("a"));
    await clock.advance(10);
    await left.write(Buffer.from("b"));
    left.close();
    await clock.advance(14);
    expect(got).toEqual([]);
    await clock.advance(1);
    expect(got).toEqual(["a"]);
    await clock.advance(10);
    expect(got).toEqual(["a", "b", "<end>"]);
    expect(await right.closed).toEqual({ type: "closedThere", exitCode: null, signal: null });
  });

  it("takes the time its rate needs", async () => {
    const clock = manualClock();
    const [left, right] = memoryPair({ link: { clock, speed: { delayMs: 10, bytesPerSecond: 1000 } } });
    const got: string[] = [];
    void collect(right, got);
    await left.write(Buffer.alloc(100, "x"));
    await left.write(Buffer.from("y"));
    await clock.advance(109);
    expect(got.length).toBe(0);
    await clock.advance(1);
    expect(got.length).toBe(1);
    await clock.advance(1);
    expect(got).toEqual(["x".repeat(100), "y"]);
  });
});

describe("a wrapped transport", () => {
  it("delays each direction once", async () => {
    const clock = manualClock();
    const [left, right] = memoryPair();
    const far = delayed(left, clock, { delayMs: 25, bytesPerSecond: null });
    const here: string[] = [];
    const there: string[] = [];
    void collect(far, here);
    void collect(right, there);
    await far.write(Buffer.from("ping"));
    await clock.advance(24);
    expect(there).toEqual([]);
    await clock.advance(1);
    expect(there).toEqual(["ping"]);
    await right.write(Buffer.from("pong"));
    await clock.advance(24);
    expect(here).toEqual([]);
    await clock.advance(1);
    expect(here).toEqual(["pong"]);
    far.close();
    await clock.advance(0);
    expect(here).toEqual(["pong", "<end>"]);
    expect(there).toEqual(["ping", "<end>"]);
  });
});
