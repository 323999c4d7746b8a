// Presses Ctrl-C twice at seeded moments: the program ends soon, and takes along what it began on the builders.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath } from "../support/nixpkgs.ts";
import { atSeededMoment, createInterruptedRig, type InterruptedRig, seeded } from "./interrupted-rig.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;
const rounds = Number(process.env.TSBUILD_TOP_STOPS ?? 3);
const seed = Number(process.env.TSBUILD_TOP_SEED ?? 7);
/** One second is what is promised; a machine that does much else at the time gets more. */
const withinMs = Number(process.env.TSBUILD_TOP_GONE_WITHIN ?? 10_000);

describe.skipIf(!usable)("Ctrl-C twice (skipped without root, nix-bin, openssh-server and busybox-static)", () => {
  let rig: InterruptedRig;
  beforeAll(async () => {
    rig = await createInterruptedRig(generations, "nix");
  });
  afterAll(async () => rig?.remove());

  it(`leaves no process on any machine, ${rounds} times`, { timeout: 60_000 + rounds * 30_000 }, async () => {
    const random = seeded(seed);
    let [stopped, longestMs] = [0, 0];
    for (let round = 1; round <= rounds; round++) {
      const salt = `stop-${seed}-${round}`;
      const { child, ended } = await atSeededMoment(rig.begin(salt), random);
      child.kill("SIGINT");
      // Sometimes at once, sometimes after what runs has had the time to end.
      await Promise.race([new Promise((resolve) => setTimeout(resolve, random() * 500)), ended]);
      child.kill("SIGINT");
      const { status, signal, stderr } = await ended;
      const endedAt = performance.now();
      await rig.quiet(withinMs).catch((error: Error) => {
        throw new Error(`${salt}: ${error.message}: ${rig.busy().join("\n")}\n${stderr}`);
      });
      longestMs = Math.max(longestMs, performance.now() - endedAt);
      // Before it listens, the first press ends it; after its last build nothing is left to stop.
      expect([0, 130, null], `${salt}: ${stderr}`).toContain(status);
      expect(status !== null || signal === "SIGINT", `${salt}: ${signal}`).toBe(true);
      if (status === 130) stopped += 1;
      if (round % 10 !== 0 && round !== rounds) continue;
      const again = await rig.begin(salt).ended;
      expect(again.status, `${salt}: ${again.stderr}`).toBe(0);
      await rig.quiet(10_000);
      await rig.verify();
    }
    process.stdout.write(`the last process was gone ${Math.round(longestMs)} ms after the program\n`);
    expect(stopped).toBeGreaterThanOrEqual(rounds / 2);
  });
});
