// A process that builds one derivation in one kind of sandbox and prints what became of it: started as any user, with any umask and descriptors.
import { parseStorePath } from "../../../../../../src/engine/formats/store-path.ts";
import { realPathOf } from "../../../../../../src/engine/stores/embedded/layout.ts";
import type { SandboxProgram } from "../../../../../../src/engine/stores/embedded/settings.ts";
import { buildDrv, Heard, openTestStore } from "../../support.ts";

/** What is printed, as one line of JSON. */
export interface WorkerAnswer {
  readonly status: string;
  readonly errorMessage: string;
  readonly lines: readonly string[];
  readonly notices: readonly string[];
  /** Where the output lies. */
  readonly out: string | null;
}

if (import.meta.main) {
  const [root = "", kind = "auto", drv = "", keep = "", ...sandboxPaths] = process.argv.slice(2);
  const store = await openTestStore(root, {
    sandboxProgram: kind as SandboxProgram,
    maxProcesses: Number(process.env.MAX_PROCESSES ?? 0),
    ...(sandboxPaths.length === 0 ? {} : { sandboxPaths }),
  });
  const heard = new Heard();
  const { result, outputs } = await buildDrv(store, parseStorePath(drv), {
    heard,
    options: { keepFailed: keep === "keep" },
  });
  const out = outputs.get("out");
  const answer: WorkerAnswer = {
    status: result.status,
    errorMessage: result.errorMessage,
    lines: heard.lines,
    notices: heard.notices,
    out: out === undefined ? null : realPathOf(store.layout, out.path),
  };
  process.stdout.write(`${JSON.stringify(answer)}\n`);
  await store.close();
}
