import { describe, expect, it } from "vitest";
import { BUILD_STATUSES, type BuildStatus } from "../../../../../src/engine/derivation/build-result.ts";
import type { ClaimFailure, GoalSpec } from "../../../../../src/engine/scheduler/plan/fact.ts";
import {
  blamesMachine,
  classify,
  FAILURE_RULES,
  plainReason,
  type Verdict,
} from "../../../../../src/engine/scheduler/plan/failures/classify.ts";
import { failure } from "../scenario.ts";

type Row = readonly [
  what: string,
  failure: ClaimFailure,
  addressing: GoalSpec["addressing"],
  verdict: readonly [Verdict["kind"], Verdict["exitClass"], Verdict["effect"]],
];

/** The one line of the table for builds that are over. */
const RECEIVING = "the outputs did not arrive";

const built = (status: BuildStatus, message = "", more: Partial<ClaimFailure> = {}) =>
  failure(message, { status, ...more });
const transfer = (message: string) => failure(message, { origin: "transfer", status: null });

// One row at least for each line of the table, by its name there.
const rows: readonly Row[] = [
  [RECEIVING, transfer("no space left on device"), "input", ["machinery", "other", "nothing"]],
  [
    "the connection broke",
    failure("reset", { origin: "connection", status: null }),
    "input",
    ["machinery", "other", "nothing"],
  ],
  [
    "an input was refused for want of trust",
    transfer("path lacks a signature by a trusted key"),
    "input",
    ["machinery", "other", "excluded"],
  ],
  ["no space for the inputs", transfer("write: No space left on device"), "input", ["machinery", "other", "diskFull"]],
  ["no process to receive the inputs", transfer("cannot fork"), "input", ["machinery", "other", "processTableFull"]],
  ["the inputs did not arrive", transfer("hash mismatch importing path"), "input", ["machinery", "other", "suspect"]],
  [
    "it cannot be compared there",
    failure("no check mode", { origin: "comparison", status: null }),
    "input",
    ["machinery", "other", "excluded"],
  ],
  [
    "something failed here",
    failure("not connected", { origin: "local", status: null }),
    "input",
    ["machinery", "other", "nothing"],
  ],
  [
    "it cannot be compared there",
    failure("no scratch store", { origin: "comparison", status: null }),
    "input",
    ["machinery", "other", "excluded"],
  ],
  [
    "the program that serves the store ended",
    failure("killed by SIGABRT", { origin: "crash", status: null }),
    "input",
    ["machinery", "other", "nothing"],
  ],
  [
    "no space where it builds",
    built("PermanentFailure", "exit 1", {
      logTail: ["cp: No space left on device"],
      means: { type: "answered", freeBytes: 1000 },
    }),
    "input",
    ["machinery", "other", "diskFull"],
  ],
  [
    "no space where it builds",
    built("TransientFailure", "exit 1\nnote: build failure may have been caused by lack of free disk space"),
    "fixed",
    ["machinery", "other", "diskFull"],
  ],
  [
    "no process where it builds",
    built("PermanentFailure", "exit 1", {
      logTail: ["bash: fork: retry: Resource temporarily unavailable"],
      means: { type: "noAnswer" },
    }),
    "input",
    ["machinery", "other", "processTableFull"],
  ],
  ["time limit", built("TimedOut", "timed out after 1 seconds"), "input", ["final", "timeout", "nothing"]],
  ["rounds or a check differ", built("NotDeterministic"), "input", ["final", "notDeterministic", "nothing"]],
  ["log limit", built("LogLimitExceeded"), "input", ["final", "build", "nothing"]],
  [
    "hash mismatch",
    built("OutputRejected", "hash mismatch in fixed-output derivation"),
    "fixed",
    ["final", "hashMismatch", "nothing"],
  ],
  [
    "output missing or forbidden reference",
    built("OutputRejected", "failed to produce output path"),
    "input",
    ["final", "other", "nothing"],
  ],
  [
    "builder failed",
    built("PermanentFailure", "builder failed with exit code 3"),
    "input",
    ["final", "build", "nothing"],
  ],
  ["it failed before", built("CachedFailure"), "input", ["final", "build", "nothing"]],
  [
    "builder with network access failed: Nix calls that transient",
    built("TransientFailure", "exit code 1"),
    "fixed",
    ["final", "build", "nothing"],
  ],
  [
    "builder with network access failed: Nix calls that transient",
    built("TransientFailure", "exit code 1"),
    "impure",
    ["final", "build", "nothing"],
  ],
  [
    "Nix says a sandboxed build failed for want of space",
    built("TransientFailure", "exit code 1"),
    "input",
    ["machinery", "other", "diskFull"],
  ],
  [
    "Nix says a sandboxed build failed for want of space",
    built("TransientFailure", "exit code 1"),
    "floating",
    ["machinery", "other", "diskFull"],
  ],
  [
    "wrong system or feature: 2.8 and 2.26 say misc, 2.34 says rejected",
    built(
      "MiscFailure",
      "a 'x' with features {kvm} is required to build '/nix/store/a.drv', but I am a 'x' with features {}",
    ),
    "input",
    ["machinery", "other", "excluded"],
  ],
  [
    "wrong system or feature: 2.8 and 2.26 say misc, 2.34 says rejected",
    built("InputRejected", "Cannot build. Reason: required system or feature not available"),
    "input",
    ["machinery", "other", "excluded"],
  ],
  [
    "the account may not build it",
    built("MiscFailure", "you are not privileged to build input-addressed derivations"),
    "input",
    ["machinery", "other", "excluded"],
  ],
  [
    "nothing to check yet",
    built("MiscFailure", "some outputs of 'a' are not valid, so checking is not possible"),
    "input",
    ["final", "other", "nothing"],
  ],
  [
    "an input has gone from the machine",
    built("MiscFailure", "dependency 'a' of 'b' does not exist, and substitution is disabled"),
    "input",
    ["machinery", "other", "suspect"],
  ],
  ["the derivation is malformed", built("InputRejected", "invalid derivation"), "input", ["final", "build", "nothing"]],
  ["an input could not be had there", built("DependencyFailed"), "input", ["machinery", "other", "excluded"]],
  ["an input could not be had there", built("NoSubstituters"), "input", ["machinery", "other", "excluded"]],
  [
    "the machine allows no builders",
    built("MiscFailure", "this system allows neither user namespaces nor a private root directory, so nothing"),
    "input",
    ["machinery", "other", "unable"],
  ],
  [
    "the machine has trouble of its own",
    built("MiscFailure", "creating directory '/nix/store/a': Read-only file system"),
    "input",
    ["machinery", "other", "suspect"],
  ],
  [
    "an answer about the derivation",
    built("MiscFailure", "file '/nix/store/a-fifo/f' has an unsupported type"),
    "input",
    ["final", "other", "nothing"],
  ],
  ["anything else", built("MiscFailure", "something odd"), "input", ["machinery", "other", "suspect"]],
  ["anything else", built("Built"), "input", ["machinery", "other", "suspect"]],
];

describe("what failures mean", () => {
  it.each(rows)("%s", (name, what, addressing, [kind, exitClass, effect]) => {
    expect(classify(what, addressing, name === RECEIVING)).toMatchObject({ kind, exitClass, effect });
  });

  it("has a row here for each line of the table", () => {
    expect(new Set(rows.map(([what]) => what))).toEqual(new Set(FAILURE_RULES.map((rule) => rule.what)));
  });

  it("knows every status", () => {
    for (const status of BUILD_STATUSES)
      expect(classify(built(status), "input", false).kind).toMatch(/final|machinery/);
  });

  it.each(["PermanentFailure", "TransientFailure"] as const)(
    "asks the machine, not the log, of a builder's %s",
    (status) => {
      const log = { logTail: ["test 3: expected error: No space left on device"] };
      const verdict = (means: ClaimFailure["means"]) => classify(built(status, "", { ...log, means }), "fixed", false);
      expect(blamesMachine(built(status, "", log))).toBe(true);
      expect(verdict({ type: "notAsked" }).kind).toBe("final");
      expect(verdict({ type: "noAnswer" }).kind).toBe("final");
      expect(verdict({ type: "answered", freeBytes: 2 ** 40 }).kind).toBe("final");
      expect(verdict({ type: "answered", freeBytes: 1000 }).effect).toBe("diskFull");
    },
  );

  it("takes the daemon's own word for a full disk, unless the machine says otherwise", () => {
    const full = (means: ClaimFailure["means"]) =>
      classify(built("MiscFailure", "writing to file: No space left on device", { means }), "input", false).effect;
    expect(full({ type: "notAsked" })).toBe("diskFull");
    expect(full({ type: "answered", freeBytes: 2 ** 40 })).not.toBe("diskFull");
  });

  it("reads the reason and not the log that Nix appends to it", () => {
    const message = "builder failed with exit code 1;\n last 1 log lines:\n > No space left on device";
    expect(blamesMachine(built("PermanentFailure", message))).toBe(false);
  });

  it("tells a process that cannot be started from something that is merely not ready", () => {
    const verdict = (line: string) =>
      classify(built("PermanentFailure", "exit 1", { logTail: [line], means: { type: "noAnswer" } }), "input", false);
    for (const line of [
      "make: vfork: Resource temporarily unavailable",
      "sh: can't fork: Resource temporarily unavailable",
      "error: failed to spawn thread: Resource temporarily unavailable (os error 11)",
    ]) {
      expect(verdict(line)).toMatchObject({ kind: "machinery", effect: "processTableFull" });
    }
    for (const line of [
      "read: Resource temporarily unavailable",
      "make: write error: Resource temporarily unavailable",
    ])
      expect(verdict(line)).toMatchObject({ kind: "final", exitClass: "build" });
  });

  it("does not let a log change what a limit or a result decided", () => {
    const log = { logTail: ["No space left on device", "fork: retry: Resource temporarily unavailable"] };
    for (const status of [
      "TimedOut",
      "LogLimitExceeded",
      "OutputRejected",
      "NotDeterministic",
      "CachedFailure",
    ] as const) {
      expect(classify(built(status, "", log), "input", false).kind).toBe("final");
    }
  });
});

describe("the reason alone", () => {
  it.each([
    [
      "\u001b[31;1merror:\u001b[0m builder for 'a' failed with exit code 3;\n last 2 log lines:\n > a\n > b",
      "builder for 'a' failed with exit code 3",
    ],
    ["Cannot build 'a'. Reason: builder failed.\nLast 1 log lines:\n> x", "Cannot build 'a'. Reason: builder failed"],
    ["timed out", "timed out"],
  ])("%j", (message, reason) => expect(plainReason(message)).toBe(reason));
});
