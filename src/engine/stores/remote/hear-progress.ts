// What a daemon says of the copies it makes for us, as progress and as the paths it begins with.
import { isStorePath, type StorePath } from "../../formats/store-path.ts";
import type { LogListener } from "../../protocols/log-frame.ts";
import type { TransferProgress } from "../store.ts";

const COPY_PATH = 100;
const PROGRESS_RESULT = 105;

/** Hears the bytes of the paths a daemon copies into its store. */
export function hearProgress(
  report: (progress: TransferProgress) => void,
  copying: (path: StorePath, from: string) => void,
): LogListener {
  const copies = new Map<bigint, TransferProgress>();
  return (frames) => {
    for (const frame of frames) {
      if (frame.type === "start" && frame.activity === COPY_PATH) {
        copies.set(frame.id, { doneBytes: 0n, expectedBytes: 0n });
        const [path, from] = frame.fields;
        if (typeof path === "string" && typeof from === "string" && isStorePath(path)) copying(path, from);
      }
      if (frame.type !== "result" || frame.result !== PROGRESS_RESULT || !copies.has(frame.id)) continue;
      const [done, expected] = frame.fields;
      if (typeof done !== "bigint" || typeof expected !== "bigint") continue;
      copies.set(frame.id, { doneBytes: done, expectedBytes: expected });
      let sum: TransferProgress = { doneBytes: 0n, expectedBytes: 0n };
      for (const copy of copies.values()) {
        sum = { doneBytes: sum.doneBytes + copy.doneBytes, expectedBytes: sum.expectedBytes + copy.expectedBytes };
      }
      report(sum);
    }
  };
}
