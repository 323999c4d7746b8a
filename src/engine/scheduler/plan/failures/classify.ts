// What a failure means: one table from where it happened, status, kind of derivation and evidence to final or machinery.
//
// Statuses as measured against Nix 2.8, 2.26 and 2.34. A builder's own failure is final: to try it again is the user's choice. So is what a machine
// answers about the derivation. Everything else is machinery, and tried again; what may be either is final once it has been said twice.
import type { BuildStatus } from "../../../derivation/build-result.ts";
import type { ExitClass } from "../../../events/event.ts";
import type { ClaimFailure, GoalSpec } from "../fact.ts";

/** What a failure says of the machine it happened on. */
export type Effect =
  | "nothing"
  /** Its machinery failed; a few times in a row and it cools down. */
  | "suspect"
  | "diskFull"
  | "processTableFull"
  /** Nothing can ever be built there. */
  | "unable"
  /** This goal cannot be built there. */
  | "excluded";

export interface Verdict {
  readonly kind: "final" | "machinery";
  readonly exitClass: ExitClass;
  readonly effect: Effect;
  /** Whether the same words once more, there or elsewhere, say that it is the derivation after all. */
  readonly isConfirmable: boolean;
}

type Evidence =
  | "noSpace"
  | "noProcesses"
  | "wrongMachine"
  | "notTrusted"
  | "inputMissing"
  | "hashMismatch"
  | "notValidYet"
  | "unable"
  | "ofDerivation"
  | "ofMachine";

/** A line of the table; the first whose conditions all hold decides. A condition left out always holds. */
export interface Rule {
  readonly what: string;
  readonly origin?: readonly ClaimFailure["origin"][];
  readonly status?: readonly BuildStatus[];
  readonly addressing?: readonly GoalSpec["addressing"][];
  readonly evidence?: Evidence;
  readonly receiving?: boolean;
  readonly verdict: Verdict;
}

const final = (exitClass: ExitClass): Verdict => ({
  kind: "final",
  exitClass,
  effect: "nothing",
  isConfirmable: false,
});
const machinery = (effect: Effect): Verdict => ({
  kind: "machinery",
  exitClass: "other",
  effect,
  isConfirmable: false,
});
const unclear = (effect: Effect): Verdict => ({ ...machinery(effect), isConfirmable: true });

/** The table. Exit classes are those of a local build in Nix: 100 build, 101 timeout, 102 hash mismatch, 104 not deterministic, 1 other. */
export const FAILURE_RULES: readonly Rule[] = [
  { what: "the outputs did not arrive", receiving: true, verdict: machinery("nothing") },
  { what: "the connection broke", origin: ["connection"], verdict: machinery("nothing") },
  { what: "the program that serves the store ended", origin: ["crash"], verdict: unclear("nothing") },
  {
    what: "an input was refused for want of trust",
    origin: ["transfer"],
    evidence: "notTrusted",
    verdict: machinery("excluded"),
  },
  { what: "no space for the inputs", origin: ["transfer"], evidence: "noSpace", verdict: machinery("diskFull") },
  {
    what: "no process to receive the inputs",
    origin: ["transfer"],
    evidence: "noProcesses",
    verdict: machinery("processTableFull"),
  },
  { what: "the inputs did not arrive", origin: ["transfer"], verdict: unclear("suspect") },
  { what: "it cannot be compared there", origin: ["comparison"], verdict: machinery("excluded") },
  { what: "something failed here", origin: ["local"], verdict: machinery("nothing") },
  { what: "no space where it builds", evidence: "noSpace", verdict: machinery("diskFull") },
  { what: "no process where it builds", evidence: "noProcesses", verdict: machinery("processTableFull") },
  { what: "time limit", status: ["TimedOut"], verdict: final("timeout") },
  { what: "rounds or a check differ", status: ["NotDeterministic"], verdict: final("notDeterministic") },
  { what: "log limit", status: ["LogLimitExceeded"], verdict: final("build") },
  { what: "hash mismatch", status: ["OutputRejected"], evidence: "hashMismatch", verdict: final("hashMismatch") },
  { what: "output missing or forbidden reference", status: ["OutputRejected"], verdict: final("other") },
  { what: "builder failed", status: ["PermanentFailure"], verdict: final("build") },
  { what: "it failed before", status: ["CachedFailure"], verdict: final("build") },
  {
    what: "builder with network access failed: Nix calls that transient",
    status: ["TransientFailure"],
    addressing: ["fixed", "impure"],
    verdict: final("build"),
  },
  {
    what: "Nix says a sandboxed build failed for want of space",
    status: ["TransientFailure"],
    verdict: machinery("diskFull"),
  },
  {
    what: "wrong system or feature: 2.8 and 2.26 say misc, 2.34 says rejected",
    status: ["MiscFailure", "InputRejected"],
    evidence: "wrongMachine",
    verdict: machinery("excluded"),
  },
  {
    what: "the account may not build it",
    status: ["MiscFailure", "InputRejected"],
    evidence: "notTrusted",
    verdict: machinery("excluded"),
  },
  { what: "nothing to check yet", status: ["MiscFailure"], evidence: "notValidYet", verdict: final("other") },
  {
    what: "an input has gone from the machine",
    status: ["MiscFailure"],
    evidence: "inputMissing",
    verdict: unclear("suspect"),
  },
  { what: "the derivation is malformed", status: ["InputRejected"], verdict: final("build") },
  {
    what: "an input could not be had there",
    status: ["DependencyFailed", "NoSubstituters"],
    verdict: machinery("excluded"),
  },
  { what: "the machine allows no builders", status: ["MiscFailure"], evidence: "unable", verdict: machinery("unable") },
  {
    what: "the machine has trouble of its own",
    status: ["MiscFailure"],
    evidence: "ofMachine",
    verdict: machinery("suspect"),
  },
  {
    what: "an answer about the derivation",
    status: ["MiscFailure"],
    evidence: "ofDerivation",
    verdict: final("other"),
  },
  { what: "anything else", verdict: unclear("suspect") },
];

/** Below this much free space (bytes) a disk counts as full, above it a builder that ran out of space did so by itself. */
const ENOUGH_SPACE = 1 << 30;

/** What a builder that failed may have printed whatever the machine was like. */
const BY_BUILDER: readonly BuildStatus[] = ["PermanentFailure", "TransientFailure"];

const PATTERNS: Readonly<Record<Exclude<Evidence, "noSpace" | "noProcesses">, RegExp>> = {
  wrongMachine: /is required to build '|required system or feature not available|platform mismatch|but I am a '/i,
  notTrusted: /lacks a (?:valid )?signature|not privileged to build|not trusted/i,
  inputMissing: /dependency '.*' of '.*' does not exist|path '.*' is not valid|interrupted by the user/i,
  hashMismatch: /hash mismatch/i,
  notValidYet: /are not valid, so checking is not possible/i,
  unable: /allows neither user namespaces nor a private root directory|builders cannot be run by '/,
  ofDerivation:
    /has an unsupported type|not allowed to refer|illegal path references?|must not (?:reference|refer)|'__noChroot' set|while parsing derivation|is not in the Nix store|contains a non-store path|invalid (?:reference|output|name|hash)|unknown hash algorithm|suspicious ownership or permission|case hack|requires non-existent output/i,
  ofMachine:
    /read-only file system|input\/output error|structure needs cleaning|stale file handle|cannot allocate memory|out of memory|too many open files|database .{0,40}(?:is locked|is busy|malformed|corrupt)|sqlite|connection (?:reset|refused|closed)|broken pipe|timed out|build users|group '.*' (?:does not exist|has no members)|unable to (?:start|fork|create) /i,
};
const NO_SPACE = /no space left on device|disk quota exceeded|database or disk is full/i;
/** Nix has looked for itself (`cleanupDecideWhetherDiskFull`). */
const NIX_SAYS_FULL = /may have been caused by lack of free disk space/i;
// The bare words of EAGAIN are also said of pipes and locks that are merely not ready.
const NO_PROCESSES =
  /(?:fork|clone|spawn|exec|thread|process).{0,80}resource temporarily unavailable|can(?:no|')t fork|unable to fork|fork: retry|creating a new process|too many open files in system/i;

/** Decides what a failure means for a goal and for the machine. `receiving` when the build was over and its outputs were on their way. */
export function classify(failure: ClaimFailure, addressing: GoalSpec["addressing"], receiving: boolean): Verdict {
  const rule = FAILURE_RULES.find((candidate) => {
    if (candidate.receiving === true && !receiving) return false;
    if (candidate.origin !== undefined && !candidate.origin.includes(failure.origin)) return false;
    if (candidate.status !== undefined && (failure.status === null || !candidate.status.includes(failure.status)))
      return false;
    if (candidate.addressing !== undefined && !candidate.addressing.includes(addressing)) return false;
    return candidate.evidence === undefined || shows(failure, candidate.evidence);
  });
  return rule?.verdict ?? unclear("suspect");
}

/** Whether a failed builder blames something that its machine can be asked about. What the builder prints proves nothing by itself. */
export function blamesMachine(failure: Pick<ClaimFailure, "message" | "logTail" | "status">): boolean {
  const { status } = failure;
  return status !== null && BY_BUILDER.includes(status) && (says(failure, NO_SPACE) || says(failure, NO_PROCESSES));
}

function shows(failure: ClaimFailure, evidence: Evidence): boolean {
  const { message, means, status } = failure;
  const byBuilder = status !== null && BY_BUILDER.includes(status);
  switch (evidence) {
    case "noSpace": {
      if (NIX_SAYS_FULL.test(message)) return true;
      const isFull = means.type === "answered" ? means.freeBytes < ENOUGH_SPACE : !byBuilder;
      return isFull && says(failure, NO_SPACE);
    }
    case "noProcesses":
      return (!byBuilder || means.type === "noAnswer") && says(failure, NO_PROCESSES);
    default:
      return PATTERNS[evidence].test(message);
  }
}

function says(
  { message, logTail, status }: Pick<ClaimFailure, "message" | "logTail" | "status">,
  words: RegExp,
): boolean {
  // What ended within a limit or with a result was stopped by that, whatever its log says.
  const ran =
    status === null ||
    !["TimedOut", "NotDeterministic", "LogLimitExceeded", "OutputRejected", "CachedFailure"].includes(status);
  return words.test(plainReason(message)) || (ran && logTail.some((line) => words.test(line)));
}

/** The reason alone: without colours, and without the log lines Nix appends to it. */
export function plainReason(message: string): string {
  const text = message.replace(/\u001b\[[0-9;]*m/g, "");
  const cut = text.search(/[;.]?\s*last \d+ log lines:/i);
  return (cut < 0 ? text : text.slice(0, cut)).replace(/^\s*error:\s*/i, "").trim();
}
