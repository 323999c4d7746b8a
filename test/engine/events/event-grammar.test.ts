// The grammar of events against what is fed to the user interface by hand: scenes and the recording of the README's picture.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { parseRecording } from "../../../src/engine/events/recording.ts";
import { grammarComplaints } from "../../support/event-grammar.ts";
import { busyScene, doneScene, failedScene, roundsScene, startScene, wideScene } from "../../support/scenes.ts";

const DEMO = fileURLToPath(new URL("../../../docs/pictures/demo.jsonl", import.meta.url));

describe("the grammar of events", () => {
  it("is kept by the scenes, of which some go on", () => {
    for (const { events } of [doneScene(), failedScene()]) expect(grammarComplaints(events)).toEqual([]);
    for (const { events } of [startScene(), busyScene(), wideScene(), roundsScene()])
      expect(grammarComplaints(events, { isWhole: false })).toEqual([]);
  });

  it("is kept by the recorded demo", () => {
    const recording = parseRecording(readFileSync(DEMO, "utf8").split("\n"), "demo.jsonl");
    expect(grammarComplaints(recording.events)).toEqual([]);
  });
});
