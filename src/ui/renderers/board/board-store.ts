// The board while it is looked at: events and keys in, one context a frame out, and the pace of frames: keys at once, events in batches.
import type { Clock } from "../../../engine/base/clock.ts";
import type { PublishedEvent } from "../../../engine/events/event.ts";
import { type Board, createBoard } from "../../model/board/board.ts";
import { reduce } from "../../model/board/reduce.ts";
import type { LogArchive } from "../../model/screens/select-log.ts";
import { contextOf, type ReplayState, type Size, type ViewContext } from "../../model/view/context.ts";
import { helpLines } from "../../model/view/help.ts";
import { interruptView, pressKey } from "../../model/view/reduce-view.ts";
import { type ViewChange, type ViewEffect, withFlash } from "../../model/view/view-change.ts";
import { pasteText } from "../../model/view/view-input.ts";
import { createView, currentScreen, type ViewState } from "../../model/view/view-state.ts";

/** Events that change what the board shows reach the screen within this time. */
const FRAME_MS = 200;
/** A paint that takes long makes frames rarer: between two of them lies this many times what one takes. */
const REST_FACTOR = 20;
const PAINT_WEIGHT = 0.2;
/** Clocks, log lines beside lanes, samples and progress move this often. */
const TICK_MS = 1000;
/** For somebody who listens, less is more. */
const SPOKEN_MS = 5000;

export interface BoardStore {
  /** For React: calls back when there is another frame. */
  readonly subscribe: (listener: () => void) => () => void;
  /** The frame to draw; the same object until the next one. */
  readonly context: () => ViewContext;
  readonly board: () => Board;
  readonly view: () => ViewState;
  accept(events: readonly PublishedEvent[]): void;
  press(keyName: string): void;
  /** Text that was pasted: typed where something is typed, and never taken for keys. */
  paste(text: string): void;
  interrupt(): void;
  resize(size: Size): void;
  /** Starts the ticking of clocks. */
  start(): void;
  stop(): void;
  /** How long the last paint took, in ms. */
  painted(ms: number): void;
  /** Forgets everything events said: a replay goes back. */
  restart(): void;
}

export interface StorePorts {
  readonly clock: Clock;
  readonly size: Size;
  readonly spoken: boolean;
  /** Logs on disk. */
  readonly archive: LogArchive;
  readonly replay: () => ReplayState | null;
  readonly perform: (effect: ViewEffect) => void;
  /** The view has been left. */
  readonly left: () => void;
}

export function createBoardStore(ports: StorePorts): BoardStore {
  const { clock } = ports;
  const listeners = new Set<() => void>();
  const scrolls = new Map<string, number>();
  let board = createBoard();
  let view = createView();
  let size = ports.size;
  let context: ViewContext | null = null;
  let lastFrame = Number.NEGATIVE_INFINITY;
  let stopWaiting: (() => void) | null = null;
  let waitsUntil = Number.POSITIVE_INFINITY;
  let isRunning = false;
  let paintMs = 0;

  const draw = (): void => {
    stopWaiting?.();
    stopWaiting = null;
    context = null;
    lastFrame = clock.now();
    for (const listener of listeners) listener();
    if (isRunning) drawWithin(TICK_MS);
  };

  /** Draws once this much time has passed since the last frame, or sooner if that was asked before. */
  const drawWithin = (ms: number): void => {
    const at = Math.max(clock.now(), lastFrame + (ports.spoken ? Math.max(ms, SPOKEN_MS) : ms));
    if (stopWaiting !== null && waitsUntil <= at) return;
    stopWaiting?.();
    waitsUntil = at;
    stopWaiting = clock.after(Math.max(0, at - clock.now()), draw);
  };

  const change = ({ view: next, effects }: ViewChange): void => {
    const wasLeft = view.isLeft;
    view = next;
    for (const effect of effects) ports.perform(effect);
    draw();
    if (view.isLeft && !wasLeft) ports.left();
  };

  const current = (): ViewContext => {
    const replay = ports.replay();
    context ??= contextOf(
      board,
      view,
      size,
      clock.wallTime(),
      replay,
      scrolls,
      helpLines(replay !== null, false).length,
      ports.archive,
    );
    return context;
  };

  return {
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    context: current,
    board: () => board,
    view: () => view,
    accept: (events) => {
      let isUrgent = currentScreen(view).type === "log";
      for (const published of events) {
        reduce(board, published);
        const { event } = published;
        if (event.type === "requestAnswered")
          view = withFlash(view, event.message, event.done ? "good" : "warn", clock.wallTime());
        if (!isQuiet(published)) isUrgent = true;
      }
      if (isRunning && events.length > 0)
        drawWithin(isUrgent ? Math.min(TICK_MS, Math.max(FRAME_MS, paintMs * REST_FACTOR)) : TICK_MS);
    },
    press: (keyName) => {
      // A key is judged by what was on the screen only where it changes nothing: the selection follows the item anyway.
      context = null;
      change(pressKey(current(), keyName));
    },
    paste: (text) => {
      context = null;
      change(pasteText(current(), text));
    },
    interrupt: () => change(interruptView(view, board.run.type, ports.replay() !== null, clock.wallTime())),
    resize: (next) => {
      size = next;
      draw();
    },
    start: () => {
      isRunning = true;
      draw();
    },
    stop: () => {
      isRunning = false;
      stopWaiting?.();
      stopWaiting = null;
    },
    painted: (ms) => {
      paintMs += (ms - paintMs) * PAINT_WEIGHT;
    },
    restart: () => {
      board = createBoard();
      context = null;
      scrolls.clear();
    },
  };
}

/** Events that only move numbers and log lines: they can wait for the next tick of the clocks. */
function isQuiet({ event }: PublishedEvent): boolean {
  switch (event.type) {
    case "buildLogged":
    case "hookLogged":
    case "usageSampled":
    case "copyProgressed":
    case "copyStarted":
    case "copyFinished":
    case "substitutionProgressed":
    case "estimateChanged":
      return true;
    default:
      return false;
  }
}
