// Text that is typed and questions that are answered.
import { sanitizeText } from "../../format/sanitize.ts";
import { findLine, sourceOf } from "../screens/select-log.ts";
import type { ViewContext } from "./context.ts";
import { flash, only, request, type ViewChange } from "./view-change.ts";
import { type ViewState, withScreen } from "./view-state.ts";

const MAX_TYPED = 200;

/** A confirmation is answered with yes or no, and with nothing else. */
export function answerQuestion(context: ViewContext, keyName: string): ViewChange {
  const { view } = context;
  if (view.confirm === null) return only(view);
  const { request: asked } = view.confirm;
  const closed = { ...view, confirm: null };
  if (keyName === "y" || keyName === "Y" || keyName === "return") return request(closed, asked);
  if (keyName === "n" || keyName === "N" || keyName === "escape" || keyName === "q")
    return flash(closed, "nothing was cancelled", "warn", context.now);
  return only(view);
}

/** Pasted text goes where text is typed; anywhere else it could be a screenful of keys, and is refused. */
export function pasteText(context: ViewContext, text: string): ViewChange {
  const { view } = context;
  if (view.input === null || view.confirm !== null)
    return flash(view, "pasted text is not taken for keys", "warn", context.now);
  const typed = { ...view, input: { ...view.input, text: (view.input.text + sanitizeText(text)).slice(0, MAX_TYPED) } };
  return only(view.input.purpose === "filter" ? applyText({ ...context, view: typed }, typed.input.text) : typed);
}

/** Typing a filter applies it at once; Escape brings back what was there. */
export function typeText(context: ViewContext, keyName: string): ViewChange {
  const { view } = context;
  const { input } = view;
  if (input === null) return only(view);
  if (keyName === "escape") return only({ ...applyText(context, input.before), input: null });
  if (keyName === "return") return finishTyping(context);
  let { text } = input;
  if (keyName === "backspace" || keyName === "delete") {
    if (text === "") return only({ ...applyText(context, ""), input: null });
    text = Array.from(text).slice(0, -1).join("");
  } else if (keyName === "ctrl+u") text = "";
  else if (keyName === "space") text += " ";
  else if (/^(?:ctrl\+.|up|down|left|right|pageup|pagedown|home|end|tab|shift\+tab)$/.test(keyName)) return only(view);
  else text = (text + sanitizeText(keyName)).slice(0, MAX_TYPED);
  const typed = { ...view, input: { ...input, text } };
  return only(input.purpose === "filter" ? applyText({ ...context, view: typed }, text) : typed);
}

function finishTyping(context: ViewContext): ViewChange {
  const { view, screen } = context;
  if (view.input === null) return only(view);
  const closed = { ...applyText(context, view.input.text), input: null };
  if (view.input.purpose === "filter" || screen.type !== "log" || view.input.text === "") return only(closed);
  return jumpToMatch({ ...context, view: closed, screen: { ...screen, search: view.input.text } }, 1);
}

function applyText(context: ViewContext, text: string): ViewState {
  const { view, screen } = context;
  if (screen.type === "log") return withScreen(view, { ...screen, search: text });
  return screen.type === "board" || screen.type === "list" ? withScreen(view, { ...screen, filter: text }) : view;
}

/** Moves the log to the next line that contains the text searched for. */
export function jumpToMatch(context: ViewContext, direction: 1 | -1): ViewChange {
  const { screen, view, board, layout, archive } = context;
  if (screen.type !== "log") return only(view);
  const from = layout.type === "log" ? layout.top : 0;
  const found = findLine(sourceOf(board, screen, archive), screen.search, from, direction);
  switch (found.type) {
    case "none":
      return flash(view, `no line contains "${screen.search}"`, "warn", context.now);
    case "stopped": {
      const key = direction === 1 ? "n" : "N";
      const message = `nothing up to line ${found.number + 1}; ${key} searches on`;
      return flash(withScreen(view, { ...screen, top: found.number }), message, "warn", context.now);
    }
    case "found":
      return only(withScreen(view, { ...screen, top: found.number }));
  }
}
