// Turns a daemon's reports of its copies for us into progress and the paths it starts.
import { isStorePath, type StorePath } from "../../formats/store-path.ts";
import type { LogListener } from "../../protocols/log-frame.ts";
import type { TransferProgress } from "../store.ts";

const COPY_PATH = 100;
const PROGRESS_RESULT = 105;

/** Listens to the progress of paths that a daemon copies into its store. */
export function hearProgress(
  report: (progress: TransferProgress) => void,
  copying: (path: StorePath, from: string) => void,
): LogListener {
  const copies = new Map<bigint, TransferProgress>();
  // Updated, not recomputed: a closure has thousands of copies, each of which reports often.
  let sum: TransferProgress = { doneBytes: 0n, expectedBytes: 0n };
  return (frames) => {
    for (const frame of frames) {
      if (frame.type === "start" && frame.activity === COPY_PATH) {
        copies.set(frame.id, { doneBytes: 0n, expectedBytes: 0n });
        const [path, from] = frame.fields;
        if (typeof path === "string" && typeof from === "string" && isStorePath(path)) copying(path, from);
      }
      // Its bytes remain in the sum.
      if (frame.type === "stop") copies.delete(frame.id);
      if (frame.type !== "result" || frame.result !== PROGRESS_RESULT) continue;
      const before = copies.get(frame.id);
      const [done, expected] = frame.fields;
      if (before === undefined || typeof done !== "bigint" || typeof expected !== "bigint") continue;
      copies.set(frame.id, { doneBytes: done, expectedBytes: expected });
      sum = {
        doneBytes: sum.doneBytes + done - before.doneBytes,
        expectedBytes: sum.expectedBytes + expected - before.expectedBytes,
      };
      report(sum);
    }
  };
}
