// Kills the program without a warning at seeded moments, again and again, and runs it again: nothing finished is built twice.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { replayDecisions } from "../../src/engine/scheduler/plan/decision-record.ts";
import { DEFAULT_PLAN_OPTIONS } from "../../src/engine/scheduler/plan/options.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath } from "../support/nixpkgs.ts";
import { until } from "../support/processes.ts";
import {
  atSeededMoment,
  BUILDS,
  createInterruptedRig,
  type InterruptedRig,
  registered,
  seeded,
} from "./interrupted-rig.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;
const rounds = Number(process.env.TSBUILD_TOP_KILLS ?? 3);
const seed = Number(process.env.TSBUILD_TOP_SEED ?? 5);
const needs = "skipped without root, nix-bin, openssh-server and busybox-static";

for (const kind of ["nix", "embedded"] as const) {
  describe.skipIf(!usable)(`kill -9 of a run into a store of kind ${kind} (${needs})`, () => {
    let rig: InterruptedRig;
    const random = seeded(seed);

    beforeAll(async () => {
      rig = await createInterruptedRig(generations, kind);
    });
    afterAll(async () => rig?.remove());

    it("left alone builds everything once and leaves no journal", async () => {
      const { status, stderr } = await rig.begin(`${kind}-whole`).ended;
      expect(status, stderr).toBe(0);
      const executed = rig.executed(`${kind}-whole`);
      // What the embedded store builds in its sandbox cannot be counted.
      if (kind === "nix") expect(executed.size).toBe(BUILDS);
      expect([...executed.values()].every((times) => times === 1)).toBe(true);
      expect(rig.journals()).toEqual([]);
      await rig.quiet(10_000);
    });

    it("decides the same again from the facts it had", () => {
      const { machineSigns, carriesSignature } = DEFAULT_PLAN_OPTIONS;
      const replayed = replayDecisions(rig.decisions(), { machineSigns, carriesSignature });
      expect(replayed.different).toBeNull();
      // Each build is sent, built and fetched, at the least.
      expect(replayed.decisions).toBeGreaterThan(3 * BUILDS);
    });

    it("between two rounds here leaves nothing valid that was never compared", async () => {
      const rounds = ["--repeat", "1", "--builders", ""];
      const result = () => [...registered(rig.root).keys()].find((path) => path.endsWith("-random"));
      const { child, ended } = rig.begin(`${kind}-rounds`, "random", ...rounds);
      await Promise.race([until("the first round to be registered", () => result() !== undefined, 60_000), ended]);
      child.kill("SIGKILL");
      await ended;
      await rig.quiet(20_000);
      expect(rig.journals()).toHaveLength(1);
      expect(result()).toBeDefined();
      const again = await rig.begin(`${kind}-rounds`, "random", ...rounds).ended;
      expect(again.status, again.stderr).toBe(104);
      expect(again.stderr).toMatch(/continuing a run interrupted at .*: 0 of 1 done, 1 was being built here/);
      expect(again.stderr).toContain("differs from previous round");
      expect(result()).toBeUndefined();
      expect(rig.journals()).toEqual([]);
      await rig.quiet(10_000);
    });

    it(`ends as if nothing had been, ${rounds} times`, { timeout: 60_000 + rounds * 60_000 }, async () => {
      let [continued, found] = [0, 0];
      for (let round = 1; round <= rounds; round++) {
        const salt = `${kind}-${seed}-${round}`;
        const { outputs, store } = await rig.undisturbed(salt);
        expect(outputs.size).toBe(BUILDS);
        for (let kills = 1 + Math.floor(random() * 3); kills > 0; kills--) {
          const { child, ended } = await atSeededMoment(rig.begin(salt), random);
          child.kill("SIGKILL");
          const { stderr } = await ended;
          expect(stderr, salt).not.toMatch(/^error/m);
          // A Nix whose client has gone ends the build.
          await rig.quiet(20_000);
          const finished = rig.finished(outputs);
          const before = rig.executed(salt);
          const wasInterrupted = rig.journals().length > 0;
          // Either killed again, or brought to the end.
          if (kills > 1) continue;
          const again = await rig.begin(salt).ended;
          expect(again.status, `${salt}: ${again.stderr}`).toBe(0);
          expect(again.stdout.trim()).toBe(outputs.get("top"));
          if (wasInterrupted && /^building '/m.test(again.stderr)) {
            expect(again.stderr).toMatch(/continuing a run interrupted at [-\d]{10} [:\d]{8}: \d+ of 25 done/);
            continued += 1;
          }
          const { machineSigns, carriesSignature } = DEFAULT_PLAN_OPTIONS;
          expect(replayDecisions(rig.decisions(), { machineSigns, carriesSignature }).different).toBeNull();
          const after = rig.executed(salt);
          for (const name of finished) expect([name, after.get(name)], salt).toEqual([name, before.get(name)]);
          found += finished.size;
        }
        const mine = registered(rig.root);
        for (const [name, path] of outputs) expect([name, mine.get(path)], salt).toEqual([name, store.get(path)]);
        expect(rig.journals(), salt).toEqual([]);
        if (round % 10 === 0 || round === rounds) await rig.verify();
      }
      expect(continued).toBeGreaterThan(rounds / 2);
      expect(found).toBeGreaterThan(rounds);
    });
  });
}
