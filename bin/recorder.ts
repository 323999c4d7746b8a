// `--record FILE`: writes every event of a run to a file that `replay` can show again.
import { createWriteStream } from "node:fs";
import { EngineError, type PublishedEvent, printEventLine, printRecordingHeader } from "../src/engine/index.ts";

/** Takes events and writes them; `close` resolves when they are on disk, and throws when they could not be written. */
export interface Recorder {
  accept(events: readonly PublishedEvent[]): void;
  close(): Promise<void>;
}

/** Opens the recording; a file that cannot be written is reported by {@link Recorder.close}, so that it never stops a run. */
export function openRecorder(file: string | null, program: string): Recorder {
  if (file === null) return { accept: () => undefined, close: async () => undefined };
  let failure: Error | null = null;
  const stream = createWriteStream(file, { mode: 0o600 });
  stream.on("error", (error) => {
    failure = error;
  });
  stream.write(`${printRecordingHeader(program, Date.now())}\n`);
  return {
    accept: (events) => {
      if (failure === null) stream.write(`${events.map(printEventLine).join("\n")}\n`);
    },
    close: async () => {
      if (failure === null) await new Promise<void>((resolve) => stream.end(() => resolve()));
      if (failure === null) return;
      throw new EngineError(
        "usage",
        "RECORDING_NOT_WRITTEN",
        `cannot write the recording '${file}': ${failure.message}`,
        {
          hint: "choose another file for --record",
        },
      );
    },
  };
}
