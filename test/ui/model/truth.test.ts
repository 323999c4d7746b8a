// What the board says of a run is what holds.

import { describe, expect, it } from "vitest";
import { createBoard } from "../../../src/ui/model/board/board.ts";
import { nameColumn } from "../../../src/ui/model/board/name-column.ts";
import { layoutBoard } from "../../../src/ui/model/screens/select-board.ts";
import { layoutRounds } from "../../../src/ui/model/screens/select-rounds.ts";
import { standingOf } from "../../../src/ui/model/screens/select-tree.ts";
import { NO_SELECTION } from "../../../src/ui/model/view/view-state.ts";
import { createBoardRig } from "../../support/board-rig.ts";
import { drv, type EventScript, eventScript, machineId, reduceAll } from "../../support/event-script.ts";

const boardOf = (script: EventScript) => reduceAll(createBoard(), script.take());

function oneMachine(names: readonly string[], rounds = 1): EventScript {
  const script = eventScript().start({ rounds }).stage("building");
  script.machine("itchy", { slots: 4, cores: 4, buildCores: 1 }).up("itchy");
  return script.goals(Object.fromEntries(names.map((name) => [name, {}])));
}

describe("dependencies", () => {
  it("are done only when they have a result, and open until they end", () => {
    const script = oneMachine(["lib", "app", "tool"]);
    const board = boardOf(script);
    const goals = () => [...board.goals.values()];
    expect(standingOf(goals())).toEqual({ open: 3, lost: 0 });
    script.finish("lib", { type: "alreadyValid", outputs: [] });
    script.finish("app", { type: "notBuilt", because: null, reason: "stopped" });
    script.finish("tool", { type: "cancelled", reason: "stopped" });
    reduceAll(board, script.take());
    expect(standingOf(goals())).toEqual({ open: 0, lost: 2 });
  });

  it("are shown as they stand now, not as they stood when the screen was opened", async () => {
    const board = await createBoardRig();
    const script = eventScript().start().stage("building").machine("itchy", { slots: 2 }).up("itchy");
    script.goals({ lib: {}, app: { inputs: ["lib"] } });
    const claim = script.build("lib", "itchy");
    await board.play(script);
    await board.press("down", "t");
    expect(await board.frame()).toMatch(/needed by 1 {2}1 not done/);
    script.failed(claim, "lib", "itchy").finish("app", { type: "notBuilt", because: drv("lib"), reason: "lib failed" });
    await board.play(script);
    const frame = await board.frame();
    expect(frame).toMatch(/needed by 1 {2}1 without a result/);
    expect(frame).not.toContain("all done");
    await board.close();
  });
});

describe("a stopping run", () => {
  it("is not paused or resumed: the key says why", async () => {
    const board = await createBoardRig();
    const script = oneMachine(["a"]);
    script.build("a", "itchy");
    script.add({ type: "runStopping", how: "drain", reason: "asked" });
    await board.play(script);
    await board.press("p");
    expect(board.requests).toEqual([]);
    expect(await board.frame()).toContain("pause: the run finishes what runs: nothing starts any more");
    await board.close();
  });
});

describe("rounds", () => {
  it("that were cancelled are not called failed", () => {
    const script = oneMachine(["a", "b"], 2);
    for (const name of ["a", "b"]) script.build(name, "itchy", { slot: name === "a" ? 0 : 1, round: 1, rounds: 2 });
    script.finish("a", { type: "cancelled", reason: "stopped" });
    const { counts } = layoutRounds(boardOf(script), { type: "rounds", selection: NO_SELECTION }, 20, 0);
    expect(counts).toMatchObject({ failed: 0, cancelled: 1, comparing: 1 });
  });
});

describe("a build that ended", () => {
  it("is shown with how it ended, not with why it was put there", async () => {
    const board = await createBoardRig();
    const script = oneMachine(["a"]);
    const claim = script.build("a", "itchy", { explanation: "ends first on itchy, in 60 s (a guess)" });
    await board.play(script);
    await board.press("down");
    expect(await board.frame()).toContain("ends first on itchy");
    await board.play(script.wait(2000).built(claim, "a", "itchy", 2000));
    const frame = await board.frame();
    expect(frame).not.toContain("ends first");
    expect(frame).toContain("on itchy · built in 0:02");
    await board.close();
  });
});

describe("the column of names", () => {
  it("grows in steps and never shrinks, whatever is on the screen", () => {
    const names = ["ab", "nineteen-characters", "twenty-characters-xx"];
    const script = oneMachine(names);
    const board = boardOf(script);
    const widths = names.map((name) => {
      const claim = script.build(name, "itchy");
      reduceAll(board, script.take());
      const width = nameColumn(board, 200, 0.3);
      reduceAll(board, script.built(claim, name, "itchy").wait(60_000).take());
      return width;
    });
    expect(widths).toEqual([16, 24, 24]);
    expect(nameColumn(board, 200, 0.3)).toBe(24);
    expect(nameColumn(board, 40, 0.3)).toBe(12);
  });
});

describe("a low terminal", () => {
  it("shows what runs above builders where nothing runs", () => {
    const script = eventScript().start().stage("building");
    for (let index = 1; index <= 6; index++) script.machine(`b${index}`, { slots: 2 });
    script.up("b1", "b2", "b3", "b4", "b5", "b6").goals({ one: {}, two: {}, three: {} });
    script.build("one", "b4");
    script.build("two", "b6");
    script.built(script.build("three", "b1"), "three", "b1");
    const board = boardOf(script);
    const screen = { type: "board", selection: NO_SELECTION, filter: "" } as const;
    const machines = (height: number) =>
      layoutBoard(board, screen, height, script.now, 0).rows.flatMap((row) =>
        row.type === "machine" ? [row.machine.id] : row.type === "lane" ? [row.build.goal.description.name] : [],
      );
    expect(machines(6)).toEqual([machineId("b4"), "one", machineId("b6"), "two", machineId("b1")]);
    // Where there is room, builders keep the order of their list.
    expect(machines(30).slice(0, 3)).toEqual(["b1", "three", "b2"]);
  });
});
