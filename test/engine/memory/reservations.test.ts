// Runs side by side: a goal belongs to one of them at a time, a dead run's to nobody, and nothing is waited for where nothing can be written.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/engine/base/clock.ts";
import { printOwner, thisProcess } from "../../../src/engine/memory/owner.ts";
import { openReservations, Reservations } from "../../../src/engine/memory/reservations.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tsbt-reservations-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const GOAL = "00000000000000000000000000000000-a.drv";

function waiting(signal = new AbortController().signal) {
  const told: string[] = [];
  return { told, clock: systemClock, signal, begun: () => told.push("begun") };
}

describe("a goal", () => {
  it("is one run's until that releases it", async () => {
    const [one, other] = [new Reservations(directory, "one"), new Reservations(directory, "other")];
    const mine = await one.take(GOAL, waiting());
    expect(mine.hasWaited).toBe(false);
    const alone = new Reservations(join(directory, "elsewhere"), "alone");
    expect((await alone.take(GOAL, waiting())).mayBeBuilt).toBe(false);
    alone.close();
    rmSync(join(directory, "elsewhere"), { recursive: true });
    const later = waiting();
    const theirs = other.take(GOAL, later);
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(later.told).toEqual(["begun"]);
    // What is built meanwhile is another goal's.
    const another = await other.take("another.drv", waiting());
    // Nobody has it, but somebody may have had it: what is there already need not be built.
    expect([another.hasWaited, another.mayBeBuilt]).toEqual([false, true]);
    mine.release();
    const reservation = await theirs;
    expect(reservation.hasWaited).toBe(true);
    // Releasing twice takes nothing from the other.
    mine.release();
    expect(readdirSync(directory)).toContain(GOAL);
    reservation.release();
    one.close();
    other.close();
    expect(readdirSync(directory)).toEqual(["another.drv"]);
  });

  it("is nobody's when its run is gone, and is taken by one of those who want it", async () => {
    const dead = printOwner({ ...thisProcess(), start: "1" });
    writeFileSync(join(directory, GOAL), `${dead} run`);
    const runs = ["a", "b", "c"].map((name) => new Reservations(directory, name));
    const order: string[] = [];
    await Promise.all(
      runs.map(async (run, index) => {
        const { release } = await run.take(GOAL, waiting());
        order.push(`begins ${index}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
        order.push(`ends ${index}`);
        release();
      }),
    );
    for (let at = 0; at < order.length; at += 2) expect(order[at + 1]).toBe(order[at]?.replace("begins", "ends"));
    expect(order).toHaveLength(6);
  });

  it("is not waited for by a run that is cancelled", async () => {
    const mine = await new Reservations(directory, "one").take(GOAL, waiting());
    const abort = new AbortController();
    const theirs = new Reservations(directory, "other").take(GOAL, waiting(abort.signal));
    abort.abort(new Error("cancelled"));
    await expect(theirs).rejects.toThrow("cancelled");
    mine.release();
  });

  it("is reserved for each store apart, and nowhere that cannot be written", async () => {
    const one = openReservations(directory, "/a", "one");
    const other = openReservations(directory, "/b", "other");
    await one.take(GOAL, waiting());
    expect((await other.take(GOAL, waiting())).hasWaited).toBe(false);
    writeFileSync(join(directory, "file"), "");
    mkdirSync(join(directory, "unused"));
    for (const name of ["one", "other"]) {
      const nowhere = new Reservations(join(directory, "file"), name);
      expect((await nowhere.take(GOAL, waiting())).hasWaited).toBe(false);
    }
  });
});
