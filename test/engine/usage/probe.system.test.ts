// The sampler over real SSH: figures come, and nothing of it is left behind.
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { systemClock } from "../../../src/engine/base/clock.ts";
import type { UsageEvent } from "../../../src/engine/events/event.ts";
import type { MachineId } from "../../../src/engine/events/ids.ts";
import type { TransportOpener } from "../../../src/engine/transports/transport.ts";
import { probeRemote } from "../../../src/engine/usage/probe.ts";
import { SAMPLER_COMMAND } from "../../../src/engine/usage/samples/sampler-command.ts";
import { processTree } from "../../support/processes.ts";
import { type Sshd, startSshd } from "../../support/sshd.ts";
import { hasPrograms } from "../../support/tools.ts";
import { type SshBench, sshBench } from "../transports/ssh/ssh-bench.ts";

const usable = hasPrograms("sshd", "ssh-keygen", "ssh");

const machine = "mac" as MachineId;
let sshd: Sshd;
let bench: SshBench;

beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd?.stop());
beforeEach(() => {
  bench = sshBench();
});
afterEach(() => bench.dispose());

function sampler(of: Sshd): TransportOpener {
  bench.alias("mac", of);
  return bench.transports().opener({
    type: "ssh",
    target: {
      destination: { user: null, host: "mac", port: null },
      sshKey: null,
      publicHostKey: null,
      compress: false,
      settings: { configFile: bench.configFile, options: [] },
    },
    service: { type: "command", command: SAMPLER_COMMAND },
  });
}

/** Command lines of the processes below an sshd. */
function commandsBelow(pid: number): string[] {
  const known = new Set(readdirSync("/proc"));
  return processTree([pid])
    .filter((child) => known.has(String(child)))
    .map((child) => {
      try {
        return readFileSync(`/proc/${child}/cmdline`, "utf8");
      } catch {
        return "";
      }
    });
}

it.skipIf(!usable)(
  "samples a builder, and ends over there when stopped here (skipped without openssh-server)",
  async () => {
    const events: UsageEvent[] = [];
    const enough = Promise.withResolvers<void>();
    const probe = probeRemote(
      {
        machine,
        clock: systemClock,
        intervalMs: 100,
        publish: (event) => {
          events.push(event);
          if (events.length === 3) enough.resolve();
        },
      },
      sampler(sshd),
    );
    await enough.promise;
    expect(commandsBelow(sshd.pid).some((command) => command.includes("tsbuild-top-sampler"))).toBe(true);
    probe.stop();
    for (const event of events) {
      expect(event.type === "usageSampled" && event.cores.length).toBe(cpus().length);
      expect(event.type === "usageSampled" && event.cores.every((share) => share >= 0 && share <= 1)).toBe(true);
    }
    for (let i = 0; i < 200 && commandsBelow(sshd.pid).some((command) => command.includes("sampler")); i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(commandsBelow(sshd.pid).filter((command) => command.includes("sampler"))).toEqual([]);
  },
);

it.skipIf(!usable)("says once that an account runs something else (skipped without openssh-server)", async () => {
  const forced = await startSshd({ forceCommand: "echo This account only builds. >&2" });
  try {
    const events: UsageEvent[] = [];
    await new Promise<void>((resolve) => {
      probeRemote(
        {
          machine,
          clock: systemClock,
          intervalMs: 100,
          publish: (event) => {
            events.push(event);
            resolve();
          },
        },
        sampler(forced),
      );
    });
    expect(events).toEqual([
      { type: "usageUnavailable", machine, reason: "the sampler ended: This account only builds." },
    ]);
  } finally {
    await forced.stop();
  }
});
