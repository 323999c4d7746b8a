// A run of ours in Nix's own log format: what reads Nix's reads this, every activity that begins ends, and nothing else is in it.
import { EventEmitter } from "node:events";
import { expect, it } from "vitest";
import { type InternalLine, parseInternalLine } from "../../../../src/engine/protocols/internal-json/parser.ts";
import { createRenderer, DEFAULT_OPTIONS } from "../../../../src/ui/index.ts";
import { drv, type EventScript, eventScript, SCRIPT_START, storePath } from "../../../support/event-script.ts";
import { createFakeClock } from "../../../support/fake-clock.ts";

class Output extends EventEmitter {
  text = "";
  write(text: string): boolean {
    this.text += text;
    return true;
  }
}

async function linesOf(script: EventScript): Promise<{
  readonly lines: InternalLine[];
  readonly raw: readonly string[];
  readonly out: string;
}> {
  const [stdout, stderr] = [new Output(), new Output()];
  const ports = {
    ...{ stdout, stderr, stdin: process.stdin, env: {}, clock: createFakeClock(SCRIPT_START), replay: null },
    ...{ options: DEFAULT_OPTIONS, send: () => undefined, outputClosed: () => undefined },
  };
  const renderer = await createRenderer({ kind: "internal-json" }, ports);
  renderer.start();
  renderer.accept(script.take());
  await renderer.finish();
  const raw = stderr.text.trimEnd().split("\n");
  return { lines: raw.map(parseInternalLine), raw, out: stdout.text };
}

it("tells builds, phases, logs and failures as Nix does", async () => {
  const script = eventScript().start().machine("itchy", { slots: 8 }).machine("local").up("itchy", "local");
  script.goals({ foo: { inputs: ["bar"], isTarget: true }, bar: {}, baz: {} }).stage("building");
  const bar = script.build("bar", "itchy", { round: 1, rounds: 3 });
  const baz = script.build("baz", "local");
  script.log(bar, "cc bar.c \u009b31m");
  script.failed(bar, "bar", "itchy", {
    message: `builder for '${drv("bar")}' failed with exit code 3`,
    logTail: ["no"],
  });
  script.built(baz, "baz", "local", 1200);
  script.finish("foo", { type: "notBuilt", because: drv("bar"), reason: "its input bar failed" });
  script.finishRun({ exitStatus: 100, built: 1, failed: 1, notBuilt: 1, outputs: [storePath("baz")] });
  const { lines, out } = await linesOf(script);
  expect(out).toBe(`${storePath("baz")}\n`);

  const starts = lines.filter((line) => line.type === "start");
  expect(starts.map(({ activity, text, fields }) => [activity, text, fields])).toEqual([
    [104, "", []],
    [105, `building '${drv("bar")}' (round 1/3) on 'ssh-ng://itchy'`, [drv("bar"), "ssh-ng://itchy", 1n, 3n]],
    [105, `building '${drv("baz")}'`, [drv("baz"), "", 1n, 1n]],
  ]);
  expect(
    lines
      .filter((line) => line.type === "stop")
      .map(({ id }) => id)
      .sort(),
  ).toEqual(starts.map(({ id }) => id).sort());
  expect(lines).toContainEqual({ type: "result", id: 2n, result: 101, fields: ["cc bar.c \u009b31m"] });
  expect(
    lines.filter((line) => line.type === "message").map(({ level, text }) => [level, text.split("\n")[0]]),
  ).toEqual([
    [3, "these 3 derivations will be built:"],
    ...["foo", "bar", "baz"].map((name) => [3, `  ${drv(name)}`]),
    [0, `error: builder for '${drv("bar")}' failed with exit code 3;`],
  ]);
  expect(lines.filter((line) => line.type === "result" && line.result === 105).at(-1)).toMatchObject({
    id: 1n,
    fields: [1n, 2n, 0n, 1n],
  });
  expect(lines.filter(({ type }) => type === "foreign" || type === "malformed" || type === "unknown")).toEqual([]);
});

it("begins errors and warnings with the words that Nix's begin with", async () => {
  const script = eventScript().start();
  for (const [level, hint] of [
    ["error", "spell it otherwise"],
    ["warning", null],
    ["info", null],
  ] as const) {
    script.add({
      type: "noticeRaised",
      cause: null,
      level,
      code: "X",
      message: "no attribute 'x'",
      hint,
      machine: null,
      goal: null,
    });
  }
  const { lines, raw } = await linesOf(script);
  expect(lines.filter((line) => line.type === "message").map(({ level, text }) => [level, text])).toEqual([
    [0, "error: no attribute 'x'\nspell it otherwise"],
    [1, "warning: no attribute 'x'"],
    [3, "no attribute 'x'"],
  ]);
  expect(JSON.parse(raw.find((line) => line.includes("raw_msg"))?.slice(5) ?? "")).toEqual({
    ...{ action: "msg", column: null, file: null, level: 0, line: null },
    ...{ msg: "error: no attribute 'x'\nspell it otherwise", raw_msg: "no attribute 'x'\nspell it otherwise" },
  });
});
