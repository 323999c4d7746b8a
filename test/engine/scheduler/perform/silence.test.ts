import { describe, expect, it } from "vitest";
import { askWhetherThere } from "../../../../src/engine/scheduler/perform/silence.ts";
import { manualClock } from "../../transports/manual-clock.ts";

/** A machine that never answers; `hears` says after each half second how many bytes have come. `ranBeforeMs` is its oldest build's age. */
async function silentFor(
  hears: (looks: number) => number | null,
  ranBeforeMs: number | null,
  withinMs = 15_000,
): Promise<{ ms: number; message: string }> {
  const clock = manualClock();
  let looks = 0;
  const store = {
    heard: () => hears(looks),
    ping: (signal: AbortSignal) =>
      new Promise<void>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  };
  let message: string | null = null;
  askWhetherThere({
    machine: "b1",
    store,
    clock,
    withinMs,
    atStakeMs: () => (ranBeforeMs === null ? 0 : ranBeforeMs + clock.now()),
  }).catch((error: Error) => {
    message = error.message;
  });
  for (looks = 1; message === null && looks <= 1000; looks++) {
    await clock.advance(500);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { ms: (looks - 1) * 500, message: message ?? "" };
}

describe("a machine from which nothing comes", () => {
  it("is waited for longer the more would be lost with it", async () => {
    expect(await silentFor(() => 7, 0)).toEqual({ ms: 6_000, message: "no answer from 'b1' within 6 s" });
    expect(await silentFor(() => 7, 10_000)).toMatchObject({ ms: 10_000 });
    expect(await silentFor(() => 7, 3_600_000, 60_000)).toMatchObject({ ms: 20_000 });
  });

  it("is waited for the given time where one cannot hear it", async () => {
    expect(await silentFor(() => null, 0)).toMatchObject({ ms: 15_000 });
  });
});

describe("a machine that does not answer", () => {
  it("is given up although its keep-alives come", async () => {
    expect((await silentFor((looks) => Math.floor(looks / 10), 3_600_000)).ms).toBeGreaterThanOrEqual(15_000);
    expect((await silentFor((looks) => Math.floor(looks / 10), 3_600_000)).ms).toBeLessThan(18_000);
  });

  it("is waited for while a transfer goes on, behind which the answer may stand", async () => {
    expect((await silentFor((looks) => Math.min(looks, 200), null)).ms).toBe(100_000 + 6_000);
  });

  it("is fine when it does, and when it refuses says what it says", async () => {
    const clock = manualClock();
    const options = { machine: "b1", clock, withinMs: 5_000, atStakeMs: () => 0 };
    await askWhetherThere({ ...options, store: { heard: () => 0, ping: async () => undefined } });
    const refusing = { heard: () => 0, ping: () => Promise.reject(new Error("refused")) };
    await expect(askWhetherThere({ ...options, store: refusing })).rejects.toThrow("refused");
    expect(clock.pending).toBe(0);
  });
});
