// Build users are not taken from, nor ended in, a container that shares this machine's ids and does not see our locks.
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import {
  buildIds,
  endAllOf,
  idsInOrder,
  takeBuildUser,
} from "../../../../../../src/engine/stores/embedded/executor/process/build-users.ts";
import { asUser } from "../../../../../../src/engine/stores/embedded/executor/sandbox/drop-rights.ts";
import { until } from "../../../../../support/processes.ts";
import { hasPrograms } from "../../../../../support/tools.ts";

const usable = process.getuid?.() === 0 && hasPrograms("setpriv", "unshare");

const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
});

/** A process of a user, known to run once its id is its own. */
async function processOf(uid: number, ...before: string[]): Promise<ChildProcess> {
  const [program = "", ...args] = [...before, ...asUser(uid), "sleep", "60"];
  const child = spawn(program, args, { stdio: "ignore" });
  children.push(child);
  await until("the process to be the user", () => statSync(`/proc/${child.pid}`).uid === uid);
  return child;
}

const isRunning = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;

describe.skipIf(!usable)("build users beside a container that shares the ids (skipped without root)", () => {
  it("pass over an id that processes elsewhere have, and end only what runs here", async () => {
    const range = buildIds(true, readFileSync("/proc/self/uid_map", "utf8"));
    if (range === null) throw new Error("this test needs to run as root");
    const first = await takeBuildUser(range);
    const order = idsInOrder(range, "");
    const next = order[(order.indexOf(first.uid) + 1) % order.length] as number;
    const elsewhere = await processOf(next, "unshare", "--mount", "--propagation=private");

    const second = await takeBuildUser(range);
    expect(second.uid).not.toBe(next);
    expect(second.uid).not.toBe(first.uid);

    const here = await processOf(next);
    await endAllOf(next);
    await until("the process here to end", () => !isRunning(here));
    expect(isRunning(elsewhere)).toBe(true);
    first.release();
    second.release();
  });
});
