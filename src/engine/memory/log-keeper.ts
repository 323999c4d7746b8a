// Keeps every build's log: the whole of it in a file, its last lines in memory for the failure report.

import { createReadStream, createWriteStream, type WriteStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectories } from "../base/directories.ts";

/** Longest log line kept for the report, in characters. */
const MAX_TAIL_LINE = 4096;

/** The log of one build while it runs. */
export interface BuildLog {
  append(lines: readonly string[]): void;
  /** The last lines, oldest first. */
  tail(): readonly string[];
  /** Where the file is; null when nothing was logged. */
  file(): string | null;
  /** Ends the file; resolves when it is on disk. */
  close(): Promise<void>;
  /** The whole log as a stream, once closed, however long it is; null when nothing was logged. Reading it throws what the file system says. */
  content(): AsyncIterable<Uint8Array> | null;
}

export interface LogKeeperOptions {
  /** Directory of this run's logs; made when first needed. */
  readonly directory: string;
  /** Names the process the logs belong to: while it lives nobody clears them away (`.owner` beside them). */
  readonly owner: string;
  /** `log-lines`: how many lines a failure shows. */
  readonly tailLines: number;
}

/** The file that names the owner of a directory of logs. */
export const OWNER_FILE = ".owner";

async function makeOwned(directory: string, owner: string): Promise<void> {
  const made = makeDirectories(directory);
  if (made) await writeFile(join(directory, OWNER_FILE), owner);
}

/** Opens logs. A log that cannot be written is kept in memory only as its tail: a full disk must not fail a build. */
export class LogKeeper {
  readonly #options: LogKeeperOptions;

  constructor(options: LogKeeperOptions) {
    this.#options = options;
  }

  /** @param name file name without directory and ending, unique within the run */
  open(name: string): BuildLog {
    const { directory, owner, tailLines } = this.#options;
    const tail: string[] = [];
    const path = join(directory, `${name}.log`);
    let stream: WriteStream | null = null;
    let broken = false;
    let made: Promise<unknown> | null = null;
    const pending: string[] = [];

    const write = (text: string): void => {
      if (broken) return;
      if (stream !== null) {
        stream.write(text);
        return;
      }
      pending.push(text);
      made ??= makeOwned(directory, owner).then(
        () => {
          stream = createWriteStream(path, { mode: 0o644 });
          stream.on("error", () => {
            broken = true;
          });
          stream.write(pending.join(""));
          pending.length = 0;
        },
        () => {
          broken = true;
          pending.length = 0;
        },
      );
    };

    return {
      append(lines) {
        if (lines.length === 0) return;
        for (const line of lines) tail.push(line.length > MAX_TAIL_LINE ? line.slice(0, MAX_TAIL_LINE) : line);
        if (tail.length > tailLines * 2) tail.splice(0, tail.length - tailLines);
        write(`${lines.join("\n")}\n`);
      },
      tail: () => tail.slice(-tailLines),
      file: () => (made === null || broken ? null : path),
      async close() {
        await made;
        const open = stream;
        if (open !== null && !broken) await new Promise<void>((resolve) => open.end(() => resolve()));
      },
      content: () => (made === null || broken ? null : createReadStream(path)),
    };
  }
}
