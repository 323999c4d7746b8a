// `copy`: shows a copy between two stores, a line for each path and one line of progress, and ends it on Ctrl-C.
import { type CopyProgress, copyStorePaths, type Surroundings, systemClock } from "../../src/engine/index.ts";
import { formatBytes, formatBytesOf, formatRate, sanitizeText } from "../../src/ui/index.ts";
import { untilInterrupted } from "../interrupted.ts";
import type { CopyInvocation } from "../invocation.ts";
import { createProgressLine } from "../progress-line.ts";
import { printJson } from "../say.ts";

/** Copies; `--json` prints what was copied on standard output. */
export async function copyCommand(invocation: CopyInvocation, surroundings: Surroundings): Promise<number> {
  const { verbosity, json } = invocation;
  const quiet = verbosity < 0;
  const line = createProgressLine(process.stderr, systemClock, surroundings.environment);
  const startedAt = systemClock.now();
  let planned = 0;
  return untilInterrupted(
    async (signal) => {
      try {
        const outcome = await copyStorePaths(
          invocation,
          surroundings,
          {
            planned: (paths) => {
              planned = paths;
              if (paths > 0 && !quiet) line.say(`copying ${paths} ${paths === 1 ? "path" : "paths"}...`);
            },
            copying: (path, preposition, store) => {
              if (!quiet) line.say(`copying path '${path}' ${preposition} '${sanitizeText(store)}'...`);
            },
            progressed: (progress) => {
              if (!quiet) line.show(() => progressText(progress, systemClock.now() - startedAt));
            },
            warned: (message) => line.say(`warning: ${sanitizeText(message)}`),
          },
          signal,
        );
        line.clear();
        if (json) {
          const { copied, alreadyThere, bytes, durationMs } = outcome;
          printJson({ copied, alreadyThere, narBytes: String(bytes), durationMs });
        } else if (!quiet && planned === 0) {
          const count = outcome.alreadyThere;
          line.say(
            count === 1
              ? "nothing to copy: the path is there already"
              : `nothing to copy: all ${count} paths are there already`,
          );
        } else if (!quiet) {
          const rate = formatRate((Number(outcome.bytes) * 1000) / Math.max(1, outcome.durationMs));
          line.say(
            `copied ${planned} ${planned === 1 ? "path" : "paths"}, ${formatBytes(Number(outcome.bytes))} (${rate})`,
          );
        }
        return 0;
      } finally {
        line.clear();
      }
    },
    () => line.say("stopping: what has arrived stays"),
  );
}

/** `[3/40 copied, 12.0/96.0 MiB, 5.1 MiB/s]`; bytes are those of NARs, before packing. */
function progressText({ donePaths, paths, doneBytes, expectedBytes }: CopyProgress, elapsedMs: number): string {
  const rate = formatRate((Number(doneBytes) * 1000) / Math.max(1, elapsedMs));
  return `[${donePaths}/${paths} copied, ${formatBytesOf(Number(doneBytes), Number(expectedBytes))}, ${rate}]`;
}
