// The activities of a log that are under way, by their ids. Ids are those of one process: several logs in one stream may use the same.

/** What an activity is to the board. */
export type Activity =
  | { readonly type: "build"; readonly drvPath: string; readonly isOwn: boolean }
  | { readonly type: "substitute"; readonly path: string }
  | { readonly type: "copy"; readonly copy: string }
  /** Bytes of a path that is substituted. */
  | { readonly type: "fetch"; readonly path: string }
  | { readonly type: "hook"; readonly hook: string }
  | { readonly type: "waiting"; readonly drvPath: string | null }
  /** Counters of all builds, or of all copies. */
  | { readonly type: "counters"; readonly of: "builds" | "copies" }
  | { readonly type: "other" };

/** What an activity can be told of. */
type Wanted = (activity: Activity) => boolean;

/** Open activities. An id that is used again while it is open means another one, and both are kept. */
export class Activities {
  readonly #open = new Map<bigint, Activity[]>();

  start(id: bigint, activity: Activity): void {
    const same = this.#open.get(id);
    if (same === undefined) this.#open.set(id, [activity]);
    else same.push(activity);
  }

  /** The latest with this id that a result can be about. */
  find(id: bigint, wanted: Wanted = () => true): Activity | null {
    return this.#open.get(id)?.findLast(wanted) ?? null;
  }

  /** Ends the one that has been open the longest. */
  stop(id: bigint): Activity | null {
    const same = this.#open.get(id);
    const ended = same?.shift() ?? null;
    if (same?.length === 0) this.#open.delete(id);
    return ended;
  }
}
