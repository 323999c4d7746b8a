// A recording that was damaged in one place: it is refused with the line and the field, or shown; never another error, never without end.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/engine/base/errors.ts";
import { parseEventLine } from "../../../src/engine/events/json-lines.ts";
import { parseRecording } from "../../../src/engine/events/recording.ts";
import { createBoard } from "../../../src/ui/model/board/board.ts";
import { createPlainRenderer } from "../../../src/ui/renderers/lines/plain.ts";
import { DEFAULT_OPTIONS } from "../../../src/ui/renderers/renderer.ts";
import { reduceAll } from "../../support/event-script.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { mutateJson, seeded } from "../../support/mutate.ts";

const lines = readFileSync(new URL("../../../docs/pictures/demo.jsonl", import.meta.url), "utf8")
  .trimEnd()
  .split("\n");
const recording = parseRecording(lines, "demo.jsonl");

describe("a damaged recording", () => {
  it("is refused by line and field, or shown", () => {
    const random = seeded(20_261_126);
    let [refused, shown] = [0, 0];
    for (let turn = 0; turn < 4000; turn++) {
      const at = 1 + Math.floor(random() * (lines.length - 1));
      const line = JSON.stringify(mutateJson(JSON.parse(lines[at]!), random));
      let event: ReturnType<typeof parseEventLine>;
      try {
        event = parseEventLine(line, `demo.jsonl:${at + 1}`);
      } catch (error) {
        if (!(error instanceof EngineError)) throw new Error(`turn ${turn}: ${line.slice(0, 300)}`, { cause: error });
        expect(error.message).toMatch(/^demo\.jsonl:\d+: /);
        refused++;
        continue;
      }
      const events = recording.events.with(at - 1, event);
      try {
        if (turn % 10 > 0) reduceAll(createBoard(), events);
        else {
          const out = {
            write: () => true,
            columns: 80,
            rows: 24,
            isTTY: false,
            on: () => undefined,
            off: () => undefined,
          };
          const renderer = createPlainRenderer({
            ...{ stdout: out as never, stderr: out as never, stdin: process.stdin, env: {}, clock: createFakeClock() },
            ...{ options: DEFAULT_OPTIONS, send: () => undefined, outputClosed: () => undefined, replay: null },
          });
          renderer.start();
          renderer.accept(events);
          renderer.restore();
        }
      } catch (error) {
        throw new Error(`turn ${turn}: ${line.slice(0, 300)}`, { cause: error });
      }
      shown++;
    }
    expect(refused).toBeGreaterThan(1000);
    expect(shown).toBeGreaterThan(200);
  });

  it("names the field", () => {
    const slots = { seq: 0, at: 1, type: "machineSlotsChanged", machine: "m", slots: 999_999_999_999 };
    expect(() => parseEventLine(JSON.stringify(slots), "run.jsonl:3")).toThrow(
      "run.jsonl:3: expected a whole number up to 65536 in `slots` of machineSlotsChanged, found 999999999999",
    );
    const result = {
      seq: 0,
      at: 1,
      type: "goalFinished",
      goal: "g",
      result: { type: "built", outputs: [{ name: "out" }] },
    };
    expect(() => parseEventLine(JSON.stringify(result), "run.jsonl:3")).toThrow(
      "run.jsonl:3: expected a text in `result.outputs[0].path` of goalFinished, found undefined",
    );
  });
});
