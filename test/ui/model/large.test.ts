// The Debian graph has 63,569 packages: lists and dependencies of that size must scroll without a pause.

import { describe, expect, it } from "vitest";
import { createBoard } from "../../../src/ui/model/board/board.ts";
import { contextOf } from "../../../src/ui/model/view/context.ts";
import { pressKey } from "../../../src/ui/model/view/reduce-view.ts";
import { createView, type ViewState } from "../../../src/ui/model/view/view-state.ts";
import { eventScript, reduceAll } from "../../support/event-script.ts";

const COUNT = 63_569;
const size = { columns: 120, rows: 50 };

function largeBoard() {
  const script = eventScript().start().machine("m", { slots: 30 });
  const names = Array.from({ length: COUNT }, (_, index) => `package-${index}`);
  // Everything needs the first one: the widest neighbourhood there can be.
  script.goals(Object.fromEntries(names.map((name, index) => [name, { inputs: index === 0 ? [] : ["package-0"] }])));
  for (const name of names) script.waiting(name, { type: "inputs", pending: 1, first: [] });
  for (let slot = 0; slot < 30; slot++) script.build(`package-${slot}`, "m", { slot });
  return reduceAll(createBoard(), script.events);
}

describe("a graph of Debian's size", () => {
  const board = largeBoard();
  const scrolls = new Map<string, number>();

  function press(view: ViewState, ...keys: readonly string[]): ViewState {
    let next = view;
    for (const key of keys) {
      const context = contextOf(board, next, size, 0, null, scrolls, 50);
      next = pressKey(context, key).view;
      contextOf(board, next, size, 0, null, scrolls, 50);
    }
    return next;
  }

  for (const [name, open] of [
    ["the board", []],
    ["the list", ["a"]],
    ["the sorted list", ["a", "s", "s"]],
    ["the filtered list", ["a", "/", "9", "return"]],
    ["the dependencies of everything", ["down", "t"]],
  ] as const)
    it(`scrolls ${name} without a pause`, () => {
      const view = press(createView(), ...open);
      const before = performance.now();
      const keys = Array.from({ length: 200 }, (_, index) =>
        index % 3 === 0 ? "pagedown" : index % 50 === 0 ? "G" : "down",
      );
      press(view, ...keys);
      const each = (performance.now() - before) / keys.length;
      // A frame has 200 ms; walking over every goal for every key would take ten times this.
      expect(each).toBeLessThan(20);
    });
});
