// One of three builders gets into trouble in the middle of a run: every build ends built, none is reported failed, and the reason is said.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { canMakeLinks } from "../support/netns.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath } from "../support/nixpkgs.ts";
import { COOL_DOWN_MS, type FaultName, type FaultRig, type FaultRun, startFaultRig } from "./faults.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null && canMakeLinks();

// The soak project asks for the full dose: all faults, each with every generation of Nix, and how long it may take.
const isFull = process.env.TSBUILD_TOP_BUILDER_FAULTS === "full";
const builds = isFull ? 100 : 24;
const names: readonly FaultName[] = isFull
  ? ["killed", "frozen", "cutOff", "diskFull", "garbage"]
  : ["killed", "cutOff", "diskFull"];
const turns = isFull ? generations.length : 1;

for (let turn = 0; turn < turns; turn++) {
  const order = [...generations.slice(turn), ...generations.slice(0, turn)];
  const versions = order.map(({ version }) => version).join(", ");

  describe.skipIf(!usable)(`builders of Nix ${versions} (skipped without root, nix, sshd, busybox, iproute2)`, () => {
    let rig: FaultRig;
    let undisturbedMs = 0;

    const expectAllBuilt = async (run: FaultRun, count = builds): Promise<void> => {
      expect(run.status, run.stderr).toBe(0);
      const outputs = run.stdout.trim().split("\n");
      expect(new Set(outputs).size).toBe(count);
      await rig.client.instance.output("nix-store", ["--check-validity", ...outputs]);
      const texts = await rig.client.instance.output("cat", outputs);
      const numbers = texts.split("\n").map((line) => Number(line.split(" ")[1]));
      expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, n) => n));
      // Nothing is counted, or told, as a failed build.
      expect(run.stderr).toMatch(new RegExp(`: ${count} built\n$`));
      expect(run.stderr).not.toMatch(/\d+ failed|^error:/m);
      await rig.client.verify();
    };

    beforeAll(async () => {
      rig = await startFaultRig(order);
    });
    afterAll(() => rig?.stop());

    if (isFull) {
      it("takes its time when nothing happens", async () => {
        const run = await rig.run(builds, `calm-${turn}`, null);
        await expectAllBuilt(run);
        expect([...run.begun.keys()].sort()).toEqual(["b1", "b2", "b3"]);
        undisturbedMs = run.durationMs;
      });
    }

    it("waits for the only one while it restarts, and goes on there", async () => {
      const [first] = rig.fleet.builders;
      const run = await rig.run(8, `reboot-${turn}`, rig.reboot, [first!]);
      await expectAllBuilt(run, 8);
      expect(run.stderr).toMatch(/^warning: 'ssh-ng:\/\/b1' is cooling down, next try in \d+s: .*connection refused/m);
      expect(run.stderr).toContain("(attempt 2)");
    });

    for (const name of names) {
      it(`ends with everything built when one of them is: ${name}`, async () => {
        const fault = rig.faults.find((candidate) => candidate.name === name)!;
        const run = await rig.run(builds, `${name}-${turn}`, fault);
        await expectAllBuilt(run);
        const told = run.stderr
          .split("\n")
          .filter((line) => line.includes(`'ssh-ng://${fault.alias}' is cooling down`));
        expect(
          told.some((line) => fault.says.test(line)),
          run.stderr,
        ).toBe(true);
        // It worked before, and others were given its builds.
        expect(run.begun.get(fault.alias)).toBeGreaterThan(0);
        if (!isFull) return;
        const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
        const bound = 1.5 * undisturbedMs + COOL_DOWN_MS;
        process.stdout.write(
          `${name}: ${seconds(run.durationMs)}; undisturbed ${seconds(undisturbedMs)}, at most ${seconds(bound)}\n`,
        );
        expect(run.durationMs).toBeLessThan(bound);
      });
    }
  });
}
