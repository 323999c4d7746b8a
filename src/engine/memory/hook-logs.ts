// Keeps what hooks and uploads print: a file for each try, beside the logs of the builds they were run for.
import type { EngineEvent } from "../events/event.ts";
import type { HookId } from "../events/ids.ts";
import { baseNameOf, type StorePath } from "../formats/store-path.ts";
import type { BuildLog, LogKeeper } from "./log-keeper.ts";

const WORDS = { postBuild: "post-build-hook", diff: "diff-hook", upload: "upload" } as const;

const HOOK_LOG = new RegExp(`\\.(?:${Object.values(WORDS).join("|")})(?:-\\d+)?\\.log$`);

/** Whether a file among the logs of a run is what a hook printed, and not a builder. */
export function isHookLog(fileName: string): boolean {
  return HOOK_LOG.test(fileName);
}

/** The logs of the hooks of one run. One that printed nothing has none. */
export class HookLogs {
  readonly #keeper: LogKeeper;
  /** How the files of each hook are called: alike for two uploads of one derivation. */
  readonly #names = new Map<HookId, string>();
  /** How many files there are of each name. */
  readonly #tries = new Map<string, number>();
  readonly #open = new Map<HookId, BuildLog>();
  readonly #closing = new Set<Promise<void>>();

  constructor(keeper: LogKeeper) {
    this.#keeper = keeper;
  }

  /** Sees every event of the run. */
  hear(event: EngineEvent): void {
    switch (event.type) {
      case "hookQueued": {
        const { hook, kind, goal } = event;
        if (!this.#names.has(hook)) this.#names.set(hook, `${baseNameOf(goal as string as StorePath)}.${WORDS[kind]}`);
        return;
      }
      case "hookLogged":
        this.#logOf(event.hook)?.append(event.lines);
        return;
      case "hookFinished":
        this.#close(event.hook);
        return;
      default:
        return;
    }
  }

  /** Resolves when everything is on disk. */
  async close(): Promise<void> {
    for (const hook of [...this.#open.keys()]) this.#close(hook);
    await Promise.all(this.#closing);
  }

  #logOf(hook: HookId): BuildLog | null {
    const open = this.#open.get(hook);
    if (open !== undefined) return open;
    const name = this.#names.get(hook);
    if (name === undefined) return null;
    const tries = (this.#tries.get(name) ?? 0) + 1;
    this.#tries.set(name, tries);
    const log = this.#keeper.open(tries === 1 ? name : `${name}-${tries}`);
    this.#open.set(hook, log);
    return log;
  }

  #close(hook: HookId): void {
    const log = this.#open.get(hook);
    if (log === undefined) return;
    this.#open.delete(hook);
    const closing = log.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}
