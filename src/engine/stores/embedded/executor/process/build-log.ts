// Stores a build's log where `nix log` finds it, and passes its contents to the reporter.

import { closeSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { makeDirectories } from "../../../../base/directories.ts";
import type { StorePath } from "../../../../formats/store-path.ts";
import type { BuildReporter } from "../../../store.ts";
import { hasCode } from "../../files/file-tree.ts";
import { logFileOf, type StoreLayout } from "../../layout.ts";
import { type LogItem, LogLines } from "./log-lines.ts";

/** One build's log. */
export class BuildLog {
  readonly #report: BuildReporter;
  readonly #lines = new LogLines();
  #file: number | null;

  /** Opens the file, emptying an older log; with `keep` false nothing is written. */
  constructor(layout: StoreLayout, drvPath: StorePath, report: BuildReporter, keep: boolean) {
    this.#report = report;
    this.#file = keep ? openLog(logFileOf(layout, drvPath)) : null;
  }

  /** Adds output of the builder. */
  write(bytes: Uint8Array): void {
    if (this.#file !== null) {
      try {
        writeSync(this.#file, bytes);
      } catch (error) {
        // A full disk must not end a build whose output may still fit.
        if (!hasCode(error, "ENOSPC", "EDQUOT", "EIO")) throw error;
      }
    }
    this.#tell(this.#lines.push(bytes));
  }

  close(): void {
    this.#tell(this.#lines.finish());
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }

  #tell(items: readonly LogItem[]): void {
    let lines: string[] = [];
    for (const item of items) {
      if (item.type === "line") {
        lines.push(item.text);
        continue;
      }
      if (lines.length > 0) this.#report.logged(lines);
      lines = [];
      if (item.type === "phase") this.#report.phase(item.name);
      else this.#report.noticed(item.text);
    }
    if (lines.length > 0) this.#report.logged(lines);
  }
}

/** Stores a log that was made elsewhere. */
export async function writeLog(layout: StoreLayout, drvPath: StorePath, log: AsyncIterable<Uint8Array>): Promise<void> {
  const file = logFileOf(layout, drvPath);
  const fd = openLog(file);
  try {
    for await (const chunk of log) writeFileSync(fd, chunk);
  } catch (error) {
    // A partial log would be taken for the whole.
    rmSync(file, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}

function openLog(file: string): number {
  try {
    return openSync(file, "w");
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
    makeDirectories(dirname(file));
    return openSync(file, "w");
  }
}
