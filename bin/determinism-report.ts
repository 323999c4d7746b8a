// The report on determinism of a run: the table at its end, and the file of --report.
import { writeFile } from "node:fs/promises";
import {
  EngineError,
  messageOf,
  type PublishedEvent,
  ReportBuilder,
  reportJson,
  reportTable,
} from "../src/engine/index.ts";
import { type RendererKind, sanitizeText } from "../src/ui/index.ts";

/** Gathers what a run compared. */
export class DeterminismReporter {
  readonly #builder = new ReportBuilder();
  readonly #file: string | null;

  /** @param file of `--report`, null for none */
  constructor(file: string | null) {
    this.#file = file;
  }

  accept(events: readonly PublishedEvent[]): void {
    for (const event of events) this.#builder.push(event);
  }

  /** Prints the table where people read, when anything was compared, and writes the file. @throws EngineError `REPORT_UNWRITABLE` */
  async finish(kind: RendererKind, stream: NodeJS.WritableStream): Promise<void> {
    const report = this.#builder.report();
    const table = kind.kind === "plain" || kind.kind === "board" ? reportTable(report) : [];
    if (table.length > 0) stream.write(`${table.map((line) => sanitizeText(line)).join("\n")}\n`);
    if (this.#file === null) return;
    try {
      await writeFile(this.#file, reportJson(report));
    } catch (cause) {
      throw new EngineError(
        "usage",
        "REPORT_UNWRITABLE",
        `--report: cannot write '${this.#file}': ${messageOf(cause)}`,
        {
          hint: "name a file in a directory you may write to",
          cause,
        },
      );
    }
  }
}
