// Whether two results of one derivation are the same: output by output, by the hash of the NAR.
import type { BuildStatus } from "../../derivation/build-result.ts";

/** An output of which two results are known to differ. Hashes are SHA-256 of the NAR in lower-case hexadecimal. */
export interface OutputDifference {
  readonly output: string;
  readonly firstHash: string;
  readonly otherHash: string;
}

/** NAR hashes (SHA-256, lower-case hexadecimal) by output name. */
export type OutputHashes = ReadonlyMap<string, string>;

/** The outputs that both results have and that differ, in the first result's order. What only one of them has is not compared. */
export function differingOutputs(first: OutputHashes, other: OutputHashes): OutputDifference[] {
  const differences: OutputDifference[] = [];
  for (const [output, firstHash] of first) {
    const otherHash = other.get(output);
    if (otherHash !== undefined && otherHash !== firstHash) differences.push({ output, firstHash, otherHash });
  }
  return differences;
}

/** What one answer says about determinism. */
export type Judgement =
  /** The builder ran, and every output is the one expected. */
  | { readonly type: "same" }
  /** The builder ran, and these outputs differ. */
  | { readonly type: "differs"; readonly differences: readonly OutputDifference[] }
  /** The machine's own comparison found a difference; which outputs it names is in its message. */
  | { readonly type: "toldDifferent" }
  /** The outputs were there already, so nothing was compared. */
  | { readonly type: "notExecuted" }
  /** The build failed for a reason of its own; that is no difference. */
  | { readonly type: "failed" };

/**
 * Judges an answer to a build that is compared. `compared` names the outputs that this build could have made differently (see
 * `strategyFor`); the others were valid before and say nothing.
 */
export function judgeAnswer(
  status: BuildStatus,
  expected: OutputHashes,
  found: OutputHashes,
  compared: ReadonlySet<string>,
): Judgement {
  switch (status) {
    case "Built": {
      const made = new Map([...found].filter(([output]) => compared.has(output)));
      const differences = differingOutputs(expected, made);
      return differences.length > 0 ? { type: "differs", differences } : { type: "same" };
    }
    case "NotDeterministic":
      return { type: "toldDifferent" };
    case "AlreadyValid":
    case "Substituted":
    case "ResolvesToAlreadyValid":
      return { type: "notExecuted" };
    default:
      return { type: "failed" };
  }
}
