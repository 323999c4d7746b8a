// What a key or an answer makes of the view: another view, and what must be done outside it.
import { sanitizeText } from "../../format/sanitize.ts";
import type { Flash, RequestWithoutId, ViewState } from "./view-state.ts";

/** What must be done outside the view. */
export type ViewEffect =
  | { readonly type: "request"; readonly request: RequestWithoutId }
  | { readonly type: "copy"; readonly text: string }
  | { readonly type: "redraw" }
  | { readonly type: "suspend" }
  | { readonly type: "replay"; readonly do: "pause" | "slower" | "faster" | "back" | "forward" };

export interface ViewChange {
  readonly view: ViewState;
  readonly effects: readonly ViewEffect[];
}

/** Answers of the engine and words of the program itself, shown for a while. */
export function withFlash(view: ViewState, text: string, tone: Flash["tone"], at: number): ViewState {
  return { ...view, flash: { text: sanitizeText(text), tone, at } };
}

/** Another view and nothing else. */
export function only(view: ViewState): ViewChange {
  return { view, effects: [] };
}

/** Asks the engine. */
export function request(view: ViewState, asked: RequestWithoutId): ViewChange {
  return { view, effects: [{ type: "request", request: asked }] };
}

/** Says something on the screen. */
export function flash(view: ViewState, text: string, tone: Flash["tone"], now: number): ViewChange {
  return only(withFlash(view, text, tone, now));
}
