// Keys and typed text turned into another view and into effects: requests to the engine, the clipboard, leaving.
import type { StopHow } from "../../../engine/events/event.ts";
import { sanitizeLine, sanitizeText } from "../../format/sanitize.ts";
import { failedHooks, type RunState } from "../board/board.ts";
import { goalOf, type Layout, machineOfSelected, type ViewContext } from "./context.ts";
import { type ActionName, bindingFor } from "./keymap.ts";
import { flash, only, request, type ViewChange, withFlash } from "./view-change.ts";
import { answerQuestion, jumpToMatch, typeText } from "./view-input.ts";
import {
  type ItemId,
  LIST_SHOWS,
  LIST_SORTS,
  type ListScreen,
  type LogScreen,
  NO_SELECTION,
  popScreen,
  pushScreen,
  type Screen,
  type Selection,
  type ViewState,
  withScreen,
} from "./view-state.ts";

const SIDE_STEP = 8;

/** A key by its name (`keyName`), or text typed while something is being typed. */
export function pressKey(context: ViewContext, keyName: string): ViewChange {
  const { view, screen } = context;
  if (keyName === "ctrl+c") return perform(context, "interrupt");
  if (view.confirm !== null) return answerQuestion(context, keyName);
  if (view.input !== null) return typeText(context, keyName);
  const binding = bindingFor(keyName, screen.type);
  if (binding === null) return flash(view, `${keyName} does nothing here; ? shows the keys`, "warn", context.now);
  const obstacle = binding.obstacle(context);
  if (obstacle !== null) {
    // Going back from the board is a habit, not a mistake worth a word.
    if (binding.action === "back") return only(view);
    return flash(view, `${binding.label}: ${sanitizeText(obstacle)}`, "warn", context.now);
  }
  return perform(context, binding.action);
}

/** Ctrl-C from anywhere: the first asks for a drain, the next for cancelling; after the end, and in a replay, it leaves. */
export function interruptView(view: ViewState, run: RunState["type"], isReplay: boolean, now: number): ViewChange {
  if (run === "finished" && !isReplay) return only({ ...view, isLeft: true });
  if (run === "held" && !isReplay)
    return { view: { ...view, isLeft: true }, effects: [{ type: "request", request: { type: "leave" } }] };
  if (isReplay)
    return {
      view: { ...view, isLeft: true },
      effects: [{ type: "request", request: { type: "stop", how: "cancel" } }],
    };
  const how: StopHow = view.stop === null ? "drain" : "cancel";
  const text =
    how === "drain" ? "what runs is finished, nothing new starts; press again to cancel" : "cancelling what runs";
  return {
    view: { ...withFlash(view, text, "warn", now), stop: how, confirm: null },
    effects: [{ type: "request", request: { type: "stop", how } }],
  };
}

function perform(context: ViewContext, action: ActionName): ViewChange {
  const { view, screen, board } = context;
  switch (action) {
    case "moveUp":
      return move(context, -1);
    case "moveDown":
      return move(context, 1);
    case "pageUp":
      return move(context, -context.layout.page);
    case "pageDown":
      return move(context, context.layout.page);
    case "moveTop":
      return move(context, Number.NEGATIVE_INFINITY);
    case "moveBottom":
      return move(context, Number.POSITIVE_INFINITY);
    case "scrollLeft":
      return onLog(context, (log) => ({ ...log, left: Math.max(0, log.left - SIDE_STEP) }));
    case "scrollRight":
      return onLog(context, (log) => ({ ...log, left: log.wraps ? 0 : Math.min(4096, log.left + SIDE_STEP) }));
    case "nextPanel":
      return panel(context, 1);
    case "previousPanel":
      return panel(context, -1);
    case "open":
      return open(context);
    case "openLog":
      return openLog(context);
    case "openTree": {
      const goal = goalOf(context.selected);
      return goal === null
        ? only(view)
        : only(pushScreen(view, { type: "tree", goal: goal.id, selection: NO_SELECTION }));
    }
    case "openList":
      return screen.type === "list" ? only(view) : only(pushScreen(view, listScreen(null, context.now)));
    case "openMachines":
      return screen.type === "machines"
        ? only(view)
        : only(pushScreen(view, { type: "machines", selection: machineSelection(context) }));
    case "openFailures":
      return only(pushScreen(view, { type: "failures", selection: NO_SELECTION }));
    case "openRounds":
      return only(pushScreen(view, { type: "rounds", selection: roundsSelection(context) }));
    case "openHelp":
      return only(pushScreen(view, { type: "help", top: 0 }));
    case "back":
      if (view.screens.length > 1) return only(popScreen(view));
      return screen.type === "board" ? only(withScreen(view, { ...screen, filter: "" })) : only(view);
    case "filter": {
      const before = screen.type === "board" || screen.type === "list" ? screen.filter : "";
      return only({ ...view, input: { purpose: "filter", text: before, before } });
    }
    case "search": {
      const before = screen.type === "log" ? screen.search : "";
      return only({ ...view, input: { purpose: "search", text: "", before } });
    }
    case "nextMatch":
      return jumpToMatch(context, 1);
    case "previousMatch":
      return jumpToMatch(context, -1);
    case "follow":
      return onLog(context, (log) => ({ ...log, top: log.top === null ? topOf(context.layout) : null }));
    case "wrap":
      return onLog(context, (log) => ({ ...log, wraps: !log.wraps, left: 0 }));
    case "sort":
      return onList(context, (list) => ({ ...list, sort: after(LIST_SORTS, list.sort), pin: list.pin + 1 }));
    case "reverse":
      return onList(context, (list) => ({ ...list, isReversed: !list.isReversed, pin: list.pin + 1 }));
    case "cancel": {
      const goal = goalOf(context.selected);
      if (goal === null) return only(view);
      const where = goal.claims.length > 0 ? ` on ${goal.claims.map((claim) => claim.machine).join(", ")}` : "";
      const question = sanitizeText(`cancel ${goal.description.name}${where}?`);
      return only({ ...view, confirm: { question, request: { type: "cancelGoal", goal: goal.id } } });
    }
    case "retry": {
      if (context.selected.type === "hook") return request(view, { type: "retryHook", hook: context.selected.hook.id });
      const goal = goalOf(context.selected);
      return goal === null ? only(view) : request(view, { type: "retryGoal", goal: goal.id });
    }
    case "retryFailed":
      return {
        view,
        effects: [
          ...(board.failures.size > 0 ? [{ type: "request", request: { type: "retryFailed" } } as const] : []),
          ...(failedHooks(board) > 0 ? [{ type: "request", request: { type: "retryHooks" } } as const] : []),
        ],
      };
    case "buildNext": {
      const goal = goalOf(context.selected);
      return goal === null ? only(view) : request(view, { type: "buildNext", goal: goal.id });
    }
    case "toggleCordon":
    case "drain":
    case "moreSlots":
    case "fewerSlots":
      return steerMachine(context, action);
    case "togglePause":
      return request(view, { type: board.isPaused ? "resumeDispatch" : "pauseDispatch" });
    case "copy":
      return copy(context);
    case "redraw":
      return { view, effects: [{ type: "redraw" }] };
    case "suspend":
      return { view, effects: [{ type: "suspend" }] };
    case "quit":
      if (view.screens.length > 1) return only(popScreen(view));
      return interruptView(view, board.run.type, context.replay !== null, context.now);
    case "interrupt":
      return interruptView({ ...view, input: null }, board.run.type, context.replay !== null, context.now);
    case "replayPause":
      return { view, effects: [{ type: "replay", do: "pause" }] };
    case "replaySlower":
      return { view, effects: [{ type: "replay", do: "slower" }] };
    case "replayFaster":
      return { view, effects: [{ type: "replay", do: "faster" }] };
    case "replayBack":
      return { view, effects: [{ type: "replay", do: "back" }] };
    case "replayForward":
      return { view, effects: [{ type: "replay", do: "forward" }] };
  }
}

function move(context: ViewContext, by: number): ViewChange {
  const { view, screen, layout } = context;
  if (screen.type === "log" && layout.type === "log") {
    if (by === Number.POSITIVE_INFINITY) return only(withScreen(view, { ...screen, top: null }));
    if (screen.top === null && by > 0) return only(view);
    const last = Math.max(layout.first, layout.total - layout.page);
    const wanted = Math.max(layout.first, layout.top + by);
    // Reaching the end is wanting to stay there.
    const top = by > 0 && wanted >= last ? null : wanted;
    return only(withScreen(view, { ...screen, top }));
  }
  if (screen.type === "help" && layout.type === "help") {
    const top = Math.max(0, Math.min(layout.top + by, 10_000));
    return only(withScreen(view, { ...screen, top: by > 0 ? Math.max(layout.top, top) : top }));
  }
  if (layout.type === "log") return only(view);
  const { items, selection } = layout;
  const index = Math.min(Math.max(0, selection.index + by), items.length - 1);
  return only(selectIndex(view, screen, layout, index));
}

function selectIndex(view: ViewState, screen: Screen, layout: Layout, index: number): ViewState {
  if (layout.type === "log" || !("selection" in screen)) return view;
  const id = layout.items.at(index);
  return id === undefined ? view : withScreen(view, { ...screen, selection: { id, index } });
}

function panel(context: ViewContext, direction: 1 | -1): ViewChange {
  const { view, screen, layout } = context;
  if (screen.type === "list")
    return onList(context, (list) => ({
      ...list,
      show: after(LIST_SHOWS, list.show, direction),
      group: null,
      pin: list.pin + 1,
    }));
  if (layout.type !== "board" && layout.type !== "tree") return only(view);
  const { panels, selection } = layout;
  const current = panels.findLastIndex((start) => start <= selection.index);
  const next = panels[(current + direction + panels.length) % Math.max(1, panels.length)];
  return next === undefined ? only(view) : only(selectIndex(view, screen, layout, next));
}

function open(context: ViewContext): ViewChange {
  const { view, screen, selected } = context;
  if (selected.type === "waiting") return only(pushScreen(view, listScreen(selected.group.label, context.now)));
  if (selected.type === "machine" && screen.type !== "machines")
    return only(pushScreen(view, { type: "machines", selection: machineSelection(context) }));
  if (selected.type === "goal" && screen.type === "tree" && selected.goal.id !== screen.goal)
    return only(pushScreen(view, { type: "tree", goal: selected.goal.id, selection: NO_SELECTION }));
  const goal = goalOf(selected);
  if (
    selected.type === "goal" &&
    goal !== null &&
    goal.claims.length === 0 &&
    goal.lastBuild === null &&
    goal.state.type !== "finished"
  )
    return only(pushScreen(view, { type: "tree", goal: goal.id, selection: NO_SELECTION }));
  return goal === null ? only(view) : openLog(context);
}

function openLog(context: ViewContext): ViewChange {
  const goal = goalOf(context.selected);
  if (goal === null) return only(context.view);
  const claim = context.selected.type === "build" ? context.selected.build.claim : null;
  const screen: LogScreen = { type: "log", goal: goal.id, claim, top: null, left: 0, wraps: false, search: "" };
  return only(pushScreen(context.view, screen));
}

function listScreen(group: string | null, now: number): ListScreen {
  return {
    type: "list",
    selection: NO_SELECTION,
    filter: "",
    sort: "plan",
    isReversed: false,
    show: "all",
    group,
    pin: now,
  };
}

function roundsSelection({ board, selected }: ViewContext): Selection {
  const goal = goalOf(selected);
  return goal === null || !board.compared.has(goal) ? NO_SELECTION : { id: `goal:${goal.id}`, index: 0 };
}

function machineSelection(context: ViewContext): Selection {
  const machine = machineOfSelected(context.board, context.selected);
  if (machine === null) return NO_SELECTION;
  const id: ItemId = `machine:${machine.id}`;
  return { id, index: 0 };
}

function onLog(context: ViewContext, change: (screen: LogScreen) => LogScreen): ViewChange {
  return context.screen.type === "log" ? only(withScreen(context.view, change(context.screen))) : only(context.view);
}

function onList(context: ViewContext, change: (screen: ListScreen) => ListScreen): ViewChange {
  return context.screen.type === "list" ? only(withScreen(context.view, change(context.screen))) : only(context.view);
}

function topOf(layout: Layout): number {
  return layout.type === "log" ? layout.top : 0;
}

function steerMachine(context: ViewContext, action: "toggleCordon" | "drain" | "moreSlots" | "fewerSlots"): ViewChange {
  const machine = machineOfSelected(context.board, context.selected);
  if (machine === null) return only(context.view);
  if (action === "moreSlots" || action === "fewerSlots") {
    const slots = Math.max(0, machine.slots + (action === "moreSlots" ? 1 : -1));
    return request(context.view, { type: "setSlots", machine: machine.id, slots });
  }
  if (action === "drain") return request(context.view, { type: "drainMachine", machine: machine.id });
  const isCordoned = machine.state.type === "cordoned" || machine.state.type === "draining";
  return request(context.view, { type: isCordoned ? "uncordonMachine" : "cordonMachine", machine: machine.id });
}

function copy(context: ViewContext): ViewChange {
  const { selected, layout, view } = context;
  let text = "";
  let what = "";
  if (layout.type === "log") {
    text = layout.rows.map((row) => row.spans.map((span) => span.text).join("")).join("\n");
    what = "the lines on the screen";
  } else if (selected.type === "machine") {
    text = selected.machine.description.uri;
    what = sanitizeText(text);
  } else if (selected.type === "hook") {
    text = selected.hook.paths.join("\n");
    what = "the hook's paths";
  } else {
    text = goalOf(selected)?.id ?? "";
    what = sanitizeText(text);
  }
  const clean = text
    .split("\n")
    .map((line) => sanitizeLine(line))
    .join("\n");
  return { view: withFlash(view, `copied ${what}`, "good", context.now), effects: [{ type: "copy", text: clean }] };
}

function after<T>(values: readonly T[], value: T, direction: 1 | -1 = 1): T {
  return values[(values.indexOf(value) + direction + values.length) % values.length] ?? value;
}
