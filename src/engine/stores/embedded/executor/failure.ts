// How a build can fail, with Nix's statuses and messages.

import { constants } from "node:os";
import type { BuildStatus } from "../../../derivation/build-result.ts";
import type { RunOutcome } from "./process/run.ts";

/** Ends a build with a status and a message for the result; the store itself is fine. */
export class BuildFailure extends Error {
  readonly status: BuildStatus;

  constructor(status: BuildStatus, message: string) {
    super(message);
    this.name = "BuildFailure";
    this.status = status;
  }
}

/** The failure that a builder's end means; null when it may have succeeded. */
export function failureOf(
  outcome: RunOutcome,
  about: {
    readonly drvPath: string;
    /** Whether the same build may succeed next time: it uses the network, or the disk is full. */
    readonly transient: boolean;
    readonly diskFull: boolean;
    readonly timeout: number;
    readonly maxSilentTime: number;
    readonly maxLogSize: bigint;
  },
): BuildFailure | null {
  const name = `building of '${about.drvPath}'`;
  switch (outcome.type) {
    case "timedOut":
      return new BuildFailure("TimedOut", `${name} timed out after ${about.timeout} seconds`);
    case "silent":
      return new BuildFailure("TimedOut", `${name} timed out after ${about.maxSilentTime} seconds of silence`);
    case "logTooLong":
      return new BuildFailure(
        "LogLimitExceeded",
        `${name} killed after writing more than ${about.maxLogSize} bytes of log output`,
      );
    case "exited":
      return outcome.code === 0 ? null : builderFailed(about, `failed with exit code ${outcome.code}`);
    case "killed":
      return builderFailed(about, `failed due to signal ${constants.signals[outcome.signal]} (${outcome.signal})`);
  }
}

function builderFailed(
  about: { readonly drvPath: string; readonly transient: boolean; readonly diskFull: boolean },
  how: string,
): BuildFailure {
  const note = about.diskFull ? "\nnote: build failure may have been caused by lack of free disk space" : "";
  return new BuildFailure(
    about.transient || about.diskFull ? "TransientFailure" : "PermanentFailure",
    `builder for '${about.drvPath}' ${how}${note}`,
  );
}
