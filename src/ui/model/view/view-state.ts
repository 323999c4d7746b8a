// What the user looks at: open screens, selections by id, scrolling, what is being typed or asked. Nothing of it concerns the run itself.
import type { StopHow } from "../../../engine/events/event.ts";
import type { ClaimId, GoalId } from "../../../engine/events/ids.ts";
import type { EngineRequest } from "../../../engine/events/request.ts";

/** A request before it has an id. */
export type RequestWithoutId = EngineRequest extends infer R
  ? R extends EngineRequest
    ? Omit<R, "id">
    : never
  : never;

/** Names a row: `machine:…`, `build:…`, `waiting:…`, `hook:…`, `goal:…`, `failure:…`. */
export type ItemId = string;

/** The selected row by its name, and where it was, for the time after it is gone. */
export interface Selection {
  readonly id: ItemId | null;
  readonly index: number;
}

/** Rows that can be selected, in order; may be tens of thousands, so it is asked and never copied. */
export interface ItemList {
  readonly length: number;
  at(index: number): ItemId | undefined;
  indexOf(id: ItemId): number;
}

export const LIST_SORTS = ["plan", "name", "status", "time", "machine"] as const;
export type ListSort = (typeof LIST_SORTS)[number];

export const LIST_SHOWS = ["all", "unfinished", "building", "waiting", "failed", "built"] as const;
export type ListShow = (typeof LIST_SHOWS)[number];

export interface BoardScreen {
  readonly type: "board";
  readonly selection: Selection;
  readonly filter: string;
}

export interface LogScreen {
  readonly type: "log";
  readonly goal: GoalId;
  /** The execution whose log this is. */
  readonly claim: ClaimId | null;
  /** Number of the first line shown; null follows the end. */
  readonly top: number | null;
  /** First column shown. */
  readonly left: number;
  readonly wraps: boolean;
  readonly search: string;
}

export interface TreeScreen {
  readonly type: "tree";
  readonly goal: GoalId;
  readonly selection: Selection;
}

export interface ListScreen {
  readonly type: "list";
  readonly selection: Selection;
  readonly filter: string;
  readonly sort: ListSort;
  readonly isReversed: boolean;
  readonly show: ListShow;
  /** Only goals that wait for this, in words. */
  readonly group: string | null;
  /** Rows keep their place until this changes. */
  readonly pin: number;
}

export interface MachinesScreen {
  readonly type: "machines";
  readonly selection: Selection;
}

export interface FailuresScreen {
  readonly type: "failures";
  readonly selection: Selection;
}

export interface RoundsScreen {
  readonly type: "rounds";
  readonly selection: Selection;
}

export interface HelpScreen {
  readonly type: "help";
  readonly top: number;
}

export type Screen =
  | BoardScreen
  | LogScreen
  | TreeScreen
  | ListScreen
  | MachinesScreen
  | FailuresScreen
  | RoundsScreen
  | HelpScreen;
export type ScreenType = Screen["type"];

/** A short answer on the screen. */
export interface Flash {
  readonly text: string;
  readonly tone: "good" | "warn" | "bad";
  readonly at: number;
}

/** A question that must be answered before something is done that cannot be undone. */
export interface Confirmation {
  readonly question: string;
  readonly request: RequestWithoutId;
}

/** Text being typed. */
export interface LineInput {
  readonly purpose: "filter" | "search";
  readonly text: string;
  /** What applies again after Escape. */
  readonly before: string;
}

export interface ViewState {
  /** Open screens, the one looked at last. The first is always the board. */
  readonly screens: readonly [BoardScreen, ...Screen[]];
  readonly flash: Flash | null;
  readonly confirm: Confirmation | null;
  readonly input: LineInput | null;
  /** How the user asked the run to stop. */
  readonly stop: StopHow | null;
  /** The user has left the board. */
  readonly isLeft: boolean;
}

export const NO_SELECTION: Selection = { id: null, index: 0 };

/** The view a run starts with. */
export function createView(): ViewState {
  return {
    screens: [{ type: "board", selection: NO_SELECTION, filter: "" }],
    flash: null,
    confirm: null,
    input: null,
    stop: null,
    isLeft: false,
  };
}

export function currentScreen(view: ViewState): Screen {
  return view.screens.at(-1) ?? view.screens[0];
}

/** The view with another current screen in place of the one looked at. */
export function withScreen(view: ViewState, screen: Screen): ViewState {
  const [board, ...rest] = view.screens;
  if (rest.length === 0) return { ...view, screens: [screen.type === "board" ? screen : board] };
  return { ...view, screens: [board, ...rest.slice(0, -1), screen] };
}

/** The view with one more screen open; at most sixteen deep, the oldest but the board are forgotten. */
export function pushScreen(view: ViewState, screen: Screen): ViewState {
  const [board, ...rest] = view.screens;
  return { ...view, screens: [board, ...rest.slice(-14), screen] };
}

/** The view with the screen looked at closed. */
export function popScreen(view: ViewState): ViewState {
  const [board, ...rest] = view.screens;
  return { ...view, screens: [board, ...rest.slice(0, -1)] };
}

/** Where the selection is now: the selected row if it is still there, else the row in its place. */
export function resolveSelection(selection: Selection, items: ItemList): Selection {
  if (items.length === 0) return NO_SELECTION;
  if (selection.id !== null) {
    const index = items.indexOf(selection.id);
    if (index >= 0) return { id: selection.id, index };
  }
  const index = Math.min(Math.max(0, selection.index), items.length - 1);
  return { id: items.at(index) ?? null, index };
}

/** First row shown so that the selected one is in sight, moving as little as possible from where it was. */
export function stickyScroll(previous: number, selected: number, height: number, count: number): number {
  const last = Math.max(0, count - Math.max(1, height));
  let top = Math.min(Math.max(0, previous), last);
  if (selected < top) top = selected;
  if (selected >= top + height) top = selected - height + 1;
  return Math.min(Math.max(0, top), last);
}

/** A list of items over any array. */
export function itemList<T>(rows: readonly T[], id: (row: T) => ItemId): ItemList {
  return {
    length: rows.length,
    at: (index) => {
      const row = rows[index];
      return row === undefined ? undefined : id(row);
    },
    indexOf: (wanted) => rows.findIndex((row) => id(row) === wanted),
  };
}
