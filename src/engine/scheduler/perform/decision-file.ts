// Where a run's decisions are written down, for reports of bugs: a file named by `TSBUILD_TOP_DECISIONS`, made anew.
import { openSync } from "node:fs";
import { EngineError, messageOf } from "../../base/errors.ts";
import { writeWhole } from "../../memory/process-files.ts";
import { type DecisionRecorder, recordDecisions } from "../plan/decision-record.ts";
import type { PlanOptions } from "../plan/options.ts";

/** Opens the file; without one nothing is written. @throws EngineError `DECISIONS_UNWRITABLE` */
export function openDecisionRecord(file: string | undefined, options: PlanOptions): DecisionRecorder {
  if (file === undefined || file === "") return { options, record: () => undefined };
  let fd: number;
  try {
    fd = openSync(file, "w", 0o600);
  } catch (cause) {
    throw new EngineError("usage", "DECISIONS_UNWRITABLE", `cannot write '${file}': ${messageOf(cause)}`, {
      hint: "unset TSBUILD_TOP_DECISIONS, or name a file that can be written",
      cause,
    });
  }
  // At once: the record of a run that is killed is worth the most.
  return recordDecisions(options, (line) => {
    writeWhole(fd, Buffer.from(`${line}\n`));
  });
}
