import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { HookId, RequestId } from "../../../src/engine/events/ids.ts";
import type { StorePath } from "../../../src/engine/formats/store-path.ts";
import type { ReplayControls } from "../../../src/ui/index.ts";
import { createBoardRig } from "../../support/board-rig.ts";
import { drv, type EventScript, eventScript, machineId } from "../../support/event-script.ts";
import { busyScene, doneScene, failedScene, wideScene } from "../../support/scenes.ts";

describe("keys", () => {
  it("cancel one build after asking, and say what became of it", async () => {
    const board = await createBoardRig();
    const script = busyScene();
    await board.play(script);
    await board.press("down", "x", "n");
    expect(board.requests).toEqual([]);
    expect(await board.frame()).toContain("nothing was cancelled");
    await board.press("x", "y");
    expect(board.requests).toEqual([{ type: "cancelGoal", goal: drv("gcc-13.2.0") }]);
    script.add({
      type: "requestAnswered",
      request: "r1" as RequestId,
      done: true,
      message: "gcc-13.2.0 is cancelled on itchy",
    });
    await board.play(script);
    expect(await board.frame()).toContain("✔ gcc-13.2.0 is cancelled on itchy");
    await board.close();
  });

  it("steer builders, dispatch and the failed", async () => {
    const board = await createBoardRig();
    await board.play(busyScene());
    await board.press("u", "D", "+", "-", "p", "R");
    const itchy = machineId("itchy");
    expect(board.requests).toEqual([
      { type: "cordonMachine", machine: itchy },
      { type: "drainMachine", machine: itchy },
      { type: "setSlots", machine: itchy, slots: 9 },
      { type: "setSlots", machine: itchy, slots: 7 },
      { type: "pauseDispatch" },
      { type: "retryFailed" },
    ]);
    await board.press("G", "r");
    expect(board.requests.at(-1)).toEqual({ type: "retryGoal", goal: drv("bar-0.3") });
    await board.close();
  });

  it("uncordon what is cordoned and resume what is paused", async () => {
    const board = await createBoardRig();
    const script = busyScene().state("itchy", { type: "cordoned" }).add({ type: "dispatchPaused" });
    await board.play(script);
    expect(await board.frame()).toContain("dispatch paused");
    await board.press("u", "p");
    expect(board.requests).toEqual([
      { type: "uncordonMachine", machine: machineId("itchy") },
      { type: "resumeDispatch" },
    ]);
    await board.close();
  });

  it("stop in two steps, from the keyboard and from outside alike", async () => {
    const board = await createBoardRig();
    await board.play(busyScene());
    await board.press("a", "ctrl+c");
    expect(await board.frame()).toContain("what runs is finished, nothing new starts");
    board.renderer.interrupt();
    expect(board.requests).toEqual([
      { type: "stop", how: "drain" },
      { type: "stop", how: "cancel" },
    ]);
    await board.close();
  });

  it("try again in a run that is held after a failure, and leave it", async () => {
    const board = await createBoardRig();
    const script = busyScene().add({ type: "runHeld", exitStatus: 100 });
    await board.play(script);
    const held = await board.frame();
    expect(held).toContain("failed (100): R tries again, q leaves");
    await board.press("R");
    expect(board.requests).toEqual([{ type: "retryFailed" }]);
    await board.play(script.add({ type: "goalReopened", goal: drv("bar-0.3") }));
    expect(await board.frame()).not.toContain("failed (100)");
    await board.play(script.add({ type: "runHeld", exitStatus: 100 }));
    await board.press("q");
    expect(board.requests.at(-1)).toEqual({ type: "leave" });
    await board.play(script.finishRun({ exitStatus: 100, failed: 1 }));
    // It does not ask to be left twice.
    await board.renderer.finish();
    await board.close();
  });

  it("try failed hooks again, one or all, with the builds that failed, and the run goes on", async () => {
    const board = await createBoardRig();
    const hook = "run-1" as HookId;
    const paths = ["/nix/store/foo"] as unknown as StorePath[];
    const queued = { type: "hookQueued", hook, kind: "upload", goal: drv("bar-0.3"), paths } as const;
    const failed = { type: "hookFinished", hook, result: { type: "failed", reason: "refused" } } as const;
    const script = busyScene();
    for (const event of [queued, { type: "hookStarted", hook, attempt: 1 } as const, failed]) script.add(event);
    script.add({ type: "runHeld", exitStatus: 1 });
    await board.play(script);
    const held = await board.frame();
    expect(held).toContain("failed (1): R tries again, q leaves");
    expect(held).toMatch(/hooks\s.*1 failed/);
    await board.press("R");
    expect(board.requests).toEqual([{ type: "retryFailed" }, { type: "retryHooks" }]);
    await board.play(script.add(queued));
    const again = await board.frame();
    expect(again).not.toContain("failed (1)");
    expect(again).not.toMatch(/hooks\s.*1 failed/);
    await board.close();
  });

  it("reach every view and come back", async () => {
    const board = await createBoardRig({ columns: 100, rows: 30 });
    await board.play(busyScene());
    const start = await board.frame();
    await board.press("down", "l");
    expect(await board.frame()).toContain("following 2 lines");
    await board.press("escape", "t");
    expect(await board.frame()).toContain("needed by");
    await board.press("escape", "a");
    expect(await board.frame()).toContain("builds: all 36");
    await board.press("escape", "m");
    expect(await board.frame()).toContain("address");
    await board.press("escape", "f");
    expect(await board.frame()).toContain("PermanentFailure");
    await board.press("escape", "?");
    expect(await board.frame()).toContain("Find a text in the log.");
    await board.press("escape", "up");
    expect(await board.frame()).toBe(start);
    await board.close();
  });

  it("scroll through and search the whole log, also what is only on disk", async () => {
    const directory = mkdtempSync(join(tmpdir(), "tsbt-board-"));
    try {
      const board = await createBoardRig({ columns: 80, rows: 14 });
      const script = eventScript().start().machine("m").up("m").goals({ job: {} });
      const claim = script.build("job", "m");
      const lines = Array.from({ length: 12_000 }, (_, at) => (at === 41 ? "the needle" : `line ${at + 1}`));
      const file = join(directory, "job.log");
      writeFileSync(file, `${lines.join("\n")}\n`);
      script
        .log(claim, lines[0]!)
        .logFile(claim, file)
        .log(claim, ...lines.slice(1));
      await board.play(script);
      await board.press("down", "l");
      expect(await board.frame()).toContain(`whole log: ${file}`.slice(0, 70));
      await board.press("/", "needle", "return");
      expect(await board.frame()).toContain("42 the needle");
      await board.press("g");
      expect(await board.frame()).toContain("line 1 of 12000");
      await board.press("pagedown");
      expect(await board.frame()).toContain("9 line 9");
      await board.close();
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("opens no file that a recording names", async () => {
    const directory = mkdtempSync(join(tmpdir(), "tsbt-board-"));
    try {
      const replay: ReplayControls = {
        name: "run",
        state: () => ({ speed: 1, isPaused: false, position: 0, length: 1 }),
        togglePause: () => undefined,
        setSpeed: () => undefined,
        jumpTo: () => undefined,
      };
      const board = await createBoardRig({ columns: 80, rows: 14, replay });
      const script = eventScript().start().machine("m").up("m").goals({ job: {} });
      const claim = script.build("job", "m");
      const file = join(directory, "secret");
      writeFileSync(file, "secret\n".repeat(7000));
      script.logFile(claim, file).log(claim, ...Array.from({ length: 7000 }, (_, at) => `line ${at + 1}`));
      await board.play(script);
      await board.press("down", "l", "g");
      const frame = await board.frame();
      expect(frame).toContain("line 2001 of 7000, kept from 2001");
      expect(frame).not.toMatch(/\d secret/);
      await board.close();
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("scroll, search, wrap and follow a log", async () => {
    const board = await createBoardRig({ columns: 80, rows: 14 });
    const script = eventScript().start().machine("m").up("m").goals({ job: {} });
    const claim = script.build("job", "m");
    for (let line = 1; line <= 200; line++) script.log(claim, line === 42 ? "the needle" : `line ${line}`);
    script.log(claim, "x".repeat(200));
    await board.play(script);
    await board.press("down", "l");
    expect(await board.frame()).toContain("line 200");
    await board.press("g");
    expect(await board.frame()).toContain("line 1 of 201");
    await board.press("/", "needle", "return");
    expect(await board.frame()).toContain("42 the needle");
    await board.press("G");
    const cut = await board.frame();
    await board.press("w");
    expect((await board.frame()).match(/x{20,}/g)?.join("").length).toBe(200);
    await board.press("w");
    expect(await board.frame()).toBe(cut);
    await board.play(script.log(claim, "the newest line"));
    expect(await board.frame()).toContain("the newest line");
    await board.press("pageup");
    await board.play(script.log(claim, "not followed"));
    expect(await board.frame()).not.toContain("not followed");
    await board.close();
  });

  it("keep the selection on the build, not on the row", async () => {
    const board = await createBoardRig({ columns: 100, rows: 30 });
    const script = eventScript().start().machine("m", { slots: 3 }).up("m").goals({ one: {}, two: {}, three: {} });
    const one = script.build("one", "m", { slot: 0 });
    script.build("two", "m", { slot: 1 });
    await board.play(script);
    await board.press("down", "down");
    expect(await board.frame()).toMatch(/❯ ⏵ two/);
    script.built(one, "one", "m").wait(60_000).build("three", "m", { slot: 0 });
    await board.play(script);
    expect(await board.frame()).toMatch(/❯ ⏵ two/);
    await board.close();
  });

  it("are not lost when they come faster than they are read, and pasted text is no keys", async () => {
    const board = await createBoardRig();
    await board.play(busyScene());
    await board.press("jx");
    expect(await board.frame()).toContain("cancel gcc-13.2.0 on itchy?");
    await board.press("n", "\x1b[200~qqy\x1b[201~");
    expect(await board.frame()).toContain("pasted text is not taken for keys");
    await board.press("/", "\x1b[200~linux\n\x1b[201~", "return");
    expect(await board.frame()).toContain("linux-6.6.18");
    expect(await board.frame()).not.toContain("gcc-13.2.0  ");
    expect(board.requests).toEqual([]);
    await board.close();
  });

  it("answer when they mean nothing", async () => {
    const board = await createBoardRig();
    await board.play(busyScene());
    await board.press("Z");
    expect(await board.frame()).toContain("Z does nothing here; ? shows the keys");
    await board.close();
  });
});

describe("the terminal", () => {
  it("is taken and given back, with a summary in the scrollback", async () => {
    const board = await createBoardRig({ columns: 100, rows: 30 });
    await board.play(failedScene());
    expect(board.screen.isAlternate()).toBe(true);
    expect(board.input.isRaw).toBe(true);
    const end = board.renderer.finish();
    await board.press("a", "escape");
    expect(board.screen.isAlternate()).toBe(true);
    await board.press("q");
    await end;
    const text = await board.frame();
    expect(board.screen.isAlternate()).toBe(false);
    expect(board.input.isRaw).toBe(false);
    expect(board.output.written).toContain("\x1b[?25h");
    expect(text).toContain(`error: builder for '${drv("bar-0.3")}' failed with exit code 2`);
    expect(text).toContain("failed (exit status 100)");
    await board.close();
  });

  it("is left at once when all went well", async () => {
    const board = await createBoardRig({ columns: 100, rows: 30 });
    await board.play(doneScene());
    await board.renderer.finish();
    const text = await board.frame();
    expect(text).toContain("[1 built, 0.0 MiB DL] done after 12s: 1 built");
    expect(text).toContain("/nix/store/5j0i560x5akgyaz7jabz3l8gzwcgb475-hello-2.12.1");
    await board.close();
  });

  it("is given back by restore at any time, twice without harm", async () => {
    const board = await createBoardRig();
    await board.play(busyScene());
    board.renderer.restore();
    board.renderer.restore();
    await board.frame();
    expect(board.screen.isAlternate()).toBe(false);
    expect(board.input.isRaw).toBe(false);
    await board.close();
  });

  it("shows the title, and the progress only where that is no message", async () => {
    const board = await createBoardRig({ env: { TERM_PROGRAM: "ghostty" } });
    await board.play(busyScene());
    expect(board.output.written).toContain("\x1b]2;tsbuild-top: 4/34 built, 1 failed\x1b\\");
    expect(board.output.written).toContain("\x1b]9;4;2;14\x1b\\");
    await board.close();
    expect(board.output.written).toContain("\x1b]9;4;0;0\x1b\\");
    const other = await createBoardRig();
    await other.play(busyScene());
    expect(other.output.written).not.toContain("]9;4");
    await other.close();
  });

  it("takes a copy through OSC 52", async () => {
    const board = await createBoardRig();
    await board.play(busyScene());
    await board.press("down", "y");
    expect(board.output.written).toContain(`\x1b]52;c;${Buffer.from(drv("gcc-13.2.0")).toString("base64")}\x07`);
    await board.close();
  });

  it("shows the same drawn piece by piece as drawn anew, through a storm of sizes", async () => {
    const board = await createBoardRig({ columns: 80, rows: 24 });
    const script = wideScene();
    const sizes = fc.sample(fc.tuple(fc.integer({ min: 20, max: 300 }), fc.integer({ min: 1, max: 100 })), {
      numRuns: 30,
      seed: 4,
    });
    const keys = ["down", "l", "escape", "a", "down", "escape", "m", "?", "escape", "escape"];
    const events = script.take();
    const step = Math.ceil(events.length / sizes.length);
    for (const [index, [columns, rows]] of sizes.entries()) {
      board.output.resize(columns, rows);
      await board.feed(events.slice(index * step, (index + 1) * step));
      await board.press(keys[index % keys.length] ?? "down");
      const pieces = await board.frame();
      expect(board.screen.rows()).toHaveLength(rows);
      await board.press("ctrl+l");
      expect(await board.frame()).toBe(pieces);
      expect(pieces).toMatch(/^(tsbuild-top)? *\[/);
    }
    await board.close();
  }, 60_000);

  it("survives sizes no terminal has", async () => {
    const board = await createBoardRig({ columns: 80, rows: 24 });
    await board.play(busyScene());
    board.output.columns = 0;
    board.output.rows = 0;
    board.output.emit("resize");
    expect(await board.frame()).toContain("built");
    await board.close();
  });
});

describe("hostile text", () => {
  const pieces = [
    "\x1b[2J\x1b[H",
    "\x1b]52;c;aGk=\x07",
    "\x1b]0;owned\x07",
    "\u202eright to left",
    "\0",
    "\x9b31m",
    "\r\r\r",
    "\b\b\b\b\b",
    "日本語".repeat(30),
    "e\u0301\u0302\u0303\u0304\u0305",
    "👨‍👩‍👧‍👦🏽",
    "\x1b[?1049l",
    "\ud800",
    "क्षि",
    "x".repeat(5000),
  ];

  function scene(evil: (index: number) => string): EventScript {
    const script = eventScript()
      .start()
      .stage("building", evil(1))
      .machine(`m${evil(2)}`, { slots: 3, uri: evil(3), systems: [evil(4)], supportedFeatures: [evil(5)] });
    script
      .up(`m${evil(2)}`)
      .machine("down")
      .state("down", { type: "coolingDown", reason: evil(6), until: script.now + 9000, failures: 1 });
    script.goals({ [`a${evil(7)}`]: { features: [evil(8)] }, [`b${evil(9)}`]: {}, [`c${evil(10)}`]: {} });
    script.waiting(`a${evil(7)}`, { type: "slots", machines: [machineId(evil(2))] });
    const claim = script.build(`b${evil(9)}`, `m${evil(2)}`, { explanation: evil(11) });
    script.phase(claim, evil(12)).log(claim, evil(13), evil(14));
    const failed = script.build(`c${evil(10)}`, `m${evil(2)}`, { slot: 1 });
    script.failed(failed, `c${evil(10)}`, `m${evil(2)}`, { message: evil(15), logTail: [evil(16)] });
    const hook = script.hook(`c${evil(10)}`);
    script.add({ type: "hookStarted", hook, attempt: 1 }).add({ type: "hookLogged", hook, lines: [evil(17)] });
    script.add({
      type: "noticeRaised",
      cause: null,
      level: "warning",
      code: "X",
      message: evil(18),
      hint: evil(19),
      machine: null,
      goal: null,
    });
    return script.wait(5000);
  }

  it("changes nothing outside its place, in any view", async () => {
    // Every row starts with what is ours: if text moved the cursor, reordered or cleared, the frame could not equal its redraw, nor keep its own rows.
    const board = await createBoardRig({ columns: 100, rows: 30 });
    await board.play(scene((index) => `${pieces[index % pieces.length]}${pieces[(index * 7) % pieces.length]}`));
    for (const keys of [
      ["down"],
      ["l"],
      ["w"],
      ["escape", "t"],
      ["escape", "a"],
      ["escape", "m"],
      ["escape", "f"],
      ["escape", "x"],
    ]) {
      await board.press(...keys);
      const frame = await board.frame();
      expect(frame).toMatch(/^tsbuild-top {2}\[1\/0\/3 built \(1 failed\), 0\.0 MiB DL\]/);
      expect(frame).not.toMatch(/[\u202a-\u202e\u2066-\u2069\u200b-\u200f\ufeff]/);
      expect(board.screen.isAlternate()).toBe(true);
      await board.press("ctrl+l");
      expect(await board.frame()).toBe(frame);
    }
    expect(board.output.written).not.toContain("owned");
    expect(board.output.written).not.toContain("]52;");
    await board.close();
  });
});

describe("a replay", () => {
  it("is steered by its own keys and cannot steer the run", async () => {
    const calls: string[] = [];
    let speed = 1;
    const replay = {
      name: "run.jsonl",
      state: () => ({ speed, isPaused: false, position: 30_000, length: 100_000 }),
      setSpeed: (next: number) => {
        speed = next;
        calls.push(`speed ${next}`);
      },
      togglePause: () => calls.push("pause"),
      jumpTo: (position: number) => calls.push(`jump ${position}`),
    };
    const board = await createBoardRig({ replay });
    await board.play(busyScene());
    expect(await board.frame()).toContain("replay 1× 0:30/1:40");
    await board.press("space", ">", "<", "]", "[", "down", "x");
    expect(calls).toEqual(["pause", "speed 2", "speed 1", "jump 40000", "jump 20000"]);
    expect(board.requests).toEqual([]);
    await board.close();
  });
});
