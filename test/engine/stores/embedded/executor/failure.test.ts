import { describe, expect, it } from "vitest";
import { failureOf } from "../../../../../src/engine/stores/embedded/executor/failure.ts";
import type { RunOutcome } from "../../../../../src/engine/stores/embedded/executor/process/run.ts";

const drvPath = "/nix/store/00000000000000000000000000000000-x.drv";
const about = { drvPath, transient: false, diskFull: false, timeout: 5, maxSilentTime: 7, maxLogSize: 9n };
const said = (outcome: RunOutcome, more: object = {}) => {
  const failure = failureOf(outcome, { ...about, ...more });
  return failure === null ? null : [failure.status, failure.message];
};

describe("how a builder ends", () => {
  it("is told with Nix's statuses and words", () => {
    expect(said({ type: "exited", code: 0 })).toBeNull();
    expect(said({ type: "exited", code: 3 })).toEqual([
      "PermanentFailure",
      `builder for '${drvPath}' failed with exit code 3`,
    ]);
    expect(said({ type: "killed", signal: "SIGKILL" })?.[1]).toBe(
      `builder for '${drvPath}' failed due to signal 9 (SIGKILL)`,
    );
    expect(said({ type: "timedOut" })).toEqual(["TimedOut", `building of '${drvPath}' timed out after 5 seconds`]);
    expect(said({ type: "silent" })).toEqual([
      "TimedOut",
      `building of '${drvPath}' timed out after 7 seconds of silence`,
    ]);
    expect(said({ type: "logTooLong" })).toEqual([
      "LogLimitExceeded",
      `building of '${drvPath}' killed after writing more than 9 bytes of log output`,
    ]);
  });

  it("is transient where the network or a full disk may be to blame", () => {
    expect(said({ type: "exited", code: 1 }, { transient: true })?.[0]).toBe("TransientFailure");
    const [status, message] = said({ type: "exited", code: 1 }, { diskFull: true })!;
    expect(status).toBe("TransientFailure");
    expect(message).toContain("lack of free disk space");
  });
});
