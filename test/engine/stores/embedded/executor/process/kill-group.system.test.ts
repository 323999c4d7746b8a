// A sandbox killed at any moment of its start leaves nothing behind, also when its starter dies before the builder has asked to die with it.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { killGroup } from "../../../../../../src/engine/stores/embedded/executor/process/kill-group.ts";
import { ended, processesWith, signalAll, until } from "../../../../../support/processes.ts";

const BWRAP = "/usr/bin/bwrap";
const SANDBOX = [
  ...["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--die-with-parent"],
  ...["--as-pid-1", "--new-session", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--"],
];

describe.skipIf(!existsSync(BWRAP))("killing a sandbox (skipped without bubblewrap)", () => {
  it("leaves nothing of it, however young it is", async () => {
    const mark = `killed-young-${process.pid}`;
    try {
      for (let round = 0; round < 60; round++) {
        const child = spawn(BWRAP, [...SANDBOX, "/bin/sh", "-c", `: ${mark}; sleep 60; :`], {
          detached: true,
          stdio: "ignore",
        });
        await delay(round / 3);
        killGroup(child.pid ?? 0);
        await ended(child);
      }
      await until("all sandboxes to be gone", () => processesWith(mark).length === 0);
    } finally {
      signalAll(processesWith(mark), "SIGKILL");
    }
    expect(processesWith(mark)).toEqual([]);
  });

  it("may come when there is nothing left to kill", async () => {
    const child = spawn("/bin/true", [], { detached: true, stdio: "ignore" });
    await ended(child);
    killGroup(child.pid ?? 0);
  });
});
