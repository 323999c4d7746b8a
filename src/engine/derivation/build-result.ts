// How one build ended, in Nix's own terms (`BuildResult` of Nix's build-result.hh, as the worker and serve protocols carry it).
import type { StorePath } from "../formats/store-path.ts";

/** Nix's terminal build statuses in wire order: the index is the number on the wire. */
export const BUILD_STATUSES = [
  "Built",
  "Substituted",
  "AlreadyValid",
  "PermanentFailure",
  "InputRejected",
  "OutputRejected",
  "TransientFailure",
  "CachedFailure",
  "TimedOut",
  "MiscFailure",
  "DependencyFailed",
  "LogLimitExceeded",
  "NotDeterministic",
  "ResolvesToAlreadyValid",
  "NoSubstituters",
] as const;

export type BuildStatus = (typeof BUILD_STATUSES)[number];

/** Statuses that mean the outputs are valid. */
export function isSuccess(status: BuildStatus): boolean {
  return (
    status === "Built" || status === "Substituted" || status === "AlreadyValid" || status === "ResolvesToAlreadyValid"
  );
}

/** The answer to BuildDerivation. Status numbers newer than this program become `MiscFailure`. */
export interface BuildResult {
  readonly status: BuildStatus;
  /** As sent: may hold ANSI colours and line breaks. Empty on success. */
  readonly errorMessage: string;
  /** 0 when unknown; Nix 2.34 always sends 0. */
  readonly timesBuilt: number;
  readonly isNonDeterministic: boolean;
  /** Seconds since 1970, 0 when unknown. */
  readonly startTime: number;
  readonly stopTime: number;
  /** CPU time of the builder in microseconds, null when not reported. */
  readonly cpuUserMicros: bigint | null;
  readonly cpuSystemMicros: bigint | null;
  /** Output name → path, as far as the server reports it (≥ 1.28 / serve 2.6). */
  readonly builtOutputs: ReadonlyMap<string, StorePath>;
}
