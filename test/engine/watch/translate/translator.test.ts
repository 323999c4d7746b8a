import { describe, expect, it } from "vitest";
import { createBoard } from "../../../../src/ui/model/board/board.ts";
import { countersOf } from "../../../../src/ui/model/board/tally.ts";
import { grammarComplaints } from "../../../support/event-grammar.ts";
import { reduceAll } from "../../../support/event-script.ts";
import { GENERATIONS, lines, logOf, watched } from "../watched.ts";

const drv = (name: string): string => `/nix/store/${"a".repeat(32)}-${name}.drv`;
const build = (id: number, name: string, machine = "", more = {}) => ({
  action: "start",
  id,
  level: 3,
  type: 105,
  text: `building '${drv(name)}'`,
  fields: [drv(name), machine, 1, 1],
  ...more,
});
const stop = (id: number) => ({ action: "stop", id });
const log = (id: number, line: string) => ({ action: "result", id, type: 101, fields: [line] });
const message = (msg: string, level = 0) => ({ action: "msg", level, msg });

describe.each(GENERATIONS)("a recorded log of Nix %s", (generation) => {
  it("was recorded of every kind", () => {
    expect(GENERATIONS.length).toBeGreaterThanOrEqual(3);
  });

  it.each([
    ["local", 100, { built: 2, failed: 1, notBuilt: 1 }],
    ["first-failure", 100, { built: 1, failed: 1, notBuilt: 1 }],
    ["ssh-ng", 1, { built: 2, failed: 1, notBuilt: 1 }],
    ["ssh", 1, { built: 2, failed: 1, notBuilt: 1 }],
    ["stamp", 0, { built: 1 }],
    ["check", 104, { failed: 1 }],
    ["substituted", 0, { substituted: 1 }],
  ] as const)("of '%s' comes to what the run came to", (name, status, counts) => {
    const run = watched([logOf(generation, name)], status);
    expect(grammarComplaints(run.events)).toEqual([]);
    const none = { built: 0, substituted: 0, alreadyValid: 0, failed: 0, cancelled: 0, notBuilt: 0 };
    expect(run.outcome).toEqual({ exitStatus: status, outputs: [], interrupted: false, ...none, ...counts });
    // Of a pipe nobody knows the status: it ended well, or it did not.
    expect(watched([logOf(generation, name)]).outcome.exitStatus).toBe(status === 0 ? 0 : 1);
    const board = reduceAll(createBoard(), run.events);
    expect(countersOf(board)).toMatchObject({ running: 0, done: run.outcome.built, failed: run.outcome.failed });
    expect(board.builds.size).toBe(0);
  });

  it("says of the failure what Nix says, with the end of the log", () => {
    for (const name of ["local", "ssh-ng", "ssh"]) {
      const run = watched([logOf(generation, name)]);
      const failures = run
        .of("goalFinished")
        .flatMap(({ result }) => (result.type === "failed" ? [result.failure] : []));
      expect(failures).toMatchObject([{ exitClass: "build", machine: name === "local" ? "local" : "itchy" }]);
      expect(failures[0]?.message).toMatch(/broken-1\.4\.drv' failed with exit code|builder failed with exit code/);
      expect(failures[0]?.logTail.at(-1)).toContain("too few arguments to function 'frob'");
      expect(run.of("noticeRaised").filter(({ level }) => level === "error")).toEqual([]);
    }
    const check = watched([logOf(generation, "check")]).of("goalFinished");
    expect(check).toMatchObject([{ result: { failure: { exitClass: "notDeterministic" } } }]);
    expect(watched([logOf(generation, "check")]).of("buildAssigned")).toMatchObject([{ isCheck: true }]);
  });

  it("shows phases, logs, machines and what is copied to and from them", () => {
    for (const name of ["ssh-ng", "ssh"]) {
      const run = watched([logOf(generation, name)]);
      expect(run.of("machineAdded").map(({ machine }) => machine.machine)).toEqual(["local", "itchy"]);
      expect(new Set(run.of("buildAssigned").map(({ machine }) => machine))).toEqual(new Set(["itchy"]));
      expect(run.of("buildAssigned")).toHaveLength(3);
      const copies = run.of("copyStarted");
      expect(new Set(copies.map(({ direction }) => direction))).toEqual(
        // Nix tells nothing of single paths that are sent by the older protocol.
        new Set(name === "ssh-ng" ? ["upload", "download"] : ["download"]),
      );
      expect(run.of("copyFinished")).toHaveLength(copies.length);
    }
    const local = watched([logOf(generation, "local")]);
    expect(local.of("buildPhaseChanged").map(({ phase }) => phase)).toContain("configurePhase");
    expect(local.of("buildLogged").flatMap((event) => event.lines)).toContain("checking for a compiler... none");
    const fetched = watched([logOf(generation, "substituted")]);
    expect(fetched.of("substitutionStarted")).toMatchObject([{ from: "file:///home/user/cache" }]);
    // Older ones tell nothing of the bytes of a path that comes in one piece.
    if (generation === "2.34")
      expect(fetched.of("substitutionProgressed").at(-1)).toMatchObject({ doneBytes: "336", expectedBytes: "336" });
  });

  it("means the same however it is cut into pieces, and is still a run when its end is missing", () => {
    const whole = logOf(generation, "local");
    const expected = watched([whole]).events;
    for (const size of [1, 7, 1000]) {
      const pieces = Array.from({ length: Math.ceil(whole.length / size) }, (_, index) =>
        whole.subarray(index * size, (index + 1) * size),
      );
      expect(watched(pieces).events).toEqual(expected);
    }
    for (let length = 0; length < whole.length; length += 97) {
      const cut = watched([whole.subarray(0, length)]);
      expect(grammarComplaints(cut.events)).toEqual([]);
    }
  });
});

describe("a log", () => {
  it("of several processes that use the same ids is told apart", () => {
    const run = watched(lines(build(1, "x"), build(1, "y"), log(1, "of y"), stop(1), stop(1)));
    expect(grammarComplaints(run.events)).toEqual([]);
    expect(run.outcome).toMatchObject({ built: 2, exitStatus: 0 });
    expect(run.of("buildAssigned").map(({ slot }) => slot)).toEqual([0, 1]);
  });

  it("may hold anything else: it passes through, or is passed over", () => {
    const run = watched(
      lines(
        "warning from a wrapper\n",
        '@nix {"action":"result","id":1,"type":999,"fields":[1]}\n',
        '@nix {"action":"new","id":1}\n',
        '@nix {"action":"stop","id":77}\n',
        "@nix {broken\n",
        { action: "start", id: 2, level: 3, type: 4242, text: "something new", fields: [{ odd: 1 }] },
        build(3, "x", "", { unheardOf: true }),
        stop(3),
        stop(2),
      ),
    );
    expect(run.outcome).toMatchObject({ built: 1, exitStatus: 0 });
    expect(run.of("noticeRaised")).toMatchObject([{ level: "info", message: "warning from a wrapper" }]);
  });

  it("keeps ids of 64 bits apart", () => {
    const [one, other] = ["9223372036854775807", "9223372036854775806"];
    const start = (id: string, name: string) =>
      `@nix ${JSON.stringify(build(0, name)).replace('"id":0', `"id":${id}`)}\n`;
    const end = `@nix {"action":"stop","id":${one}}\n`;
    const run = watched(lines(start(one, "x"), start(other, "y"), end));
    expect(run.outcome).toMatchObject({ built: 1, cancelled: 1, exitStatus: 1 });
  });

  it("tells of evaluation errors, warnings and what is neither", () => {
    const run = watched(
      lines(
        message("evaluating file 'x'", 4),
        message("\u001b[35;1mwarning:\u001b[0m dirty tree", 1),
        message("error: no attribute 'y'"),
      ),
    );
    expect(run.of("noticeRaised").map(({ level, message: text }) => [level, text])).toEqual([
      ["warning", "dirty tree"],
      ["error", "no attribute 'y'"],
    ]);
    expect(run.outcome.exitStatus).toBe(1);
  });

  it("gives a build its reason also when that comes after its end", () => {
    const counters = { action: "start", id: 9, level: 0, type: 104, text: "" };
    const failed = { action: "result", id: 9, type: 105, fields: [0, 1, 0, 1] };
    const run = watched(
      lines(
        counters,
        build(1, "x"),
        log(1, "oh no"),
        failed,
        stop(1),
        message(`error: builder for '${drv("x")}' failed with exit code 1`),
      ),
    );
    expect(run.of("buildEnded")).toMatchObject([{ result: { type: "failed" } }]);
    expect(run.of("goalFinished")).toMatchObject([
      { result: { failure: { message: expect.stringContaining("exit code 1"), logTail: ["oh no"] } } },
    ]);
  });

  it.each([
    [`error: hash mismatch in fixed-output derivation '${drv("x")}':`, "hashMismatch"],
    [`error: Cannot build '${drv("x")}'.\n       Reason: builder timed out after 2 seconds`, "timeout"],
    [`error: building of '${drv("x")}^out' from .drv file timed out after 2 seconds`, "timeout"],
    [`error: derivation '${drv("x")}' may not be deterministic: output '/nix/store/y' differs`, "notDeterministic"],
  ] as const)("knows the kind of failure of %s", (text, exitClass) => {
    const run = watched(lines(build(1, "x"), message(text), stop(1)));
    expect(run.of("goalFinished")).toMatchObject([{ result: { failure: { exitClass } } }]);
  });

  it("shows what a build usually takes, and the tree, where they are known", () => {
    const plan = [
      message("these 2 derivations will be built:", 3),
      message(`  ${drv("x")}`, 3),
      message(`  ${drv("y")}`, 3),
    ];
    const run = watched(lines(...plan, build(1, "x"), stop(1)), null, {
      derivation: (path) => ({
        system: "x86_64-linux",
        requiredFeatures: ["kvm"],
        outputs: ["out"],
        inputs: path === drv("y") ? [drv("x"), drv("elsewhere")] : [],
      }),
      expectedMs: (name) => (name === "x" ? 5000 : null),
    });
    expect(run.of("goalsAdded")).toMatchObject([
      {
        goals: [
          { goal: drv("x"), inputs: [], isTarget: false, expectedMs: 5000, requiredFeatures: ["kvm"] },
          { goal: drv("y"), inputs: [drv("x")], isTarget: true, expectedMs: null },
        ],
      },
    ]);
    expect(run.of("buildAssigned")).toMatchObject([{ expectedMs: 5000 }]);
  });

  it("shows post-build hooks with what they print", () => {
    const hook = { action: "start", id: 5, level: 3, type: 110, text: "", fields: [drv("x")] };
    const said = { action: "result", id: 5, type: 107, fields: ["uploading"] };
    const run = watched(lines(build(1, "x"), hook, said, stop(5), stop(1)));
    expect(grammarComplaints(run.events)).toEqual([]);
    expect(run.of("hookLogged")).toMatchObject([{ lines: ["uploading"] }]);
    expect(run.of("hookFinished")).toMatchObject([{ result: { type: "succeeded" } }]);
  });
});
