import { describe, expect, it } from "vitest";
import type { PublishedEvent } from "../../../src/engine/events/event.ts";
import { parseEventLine, printEventLine } from "../../../src/engine/events/json-lines.ts";
import { PLAYBACK_START, parseRecording, playTo, printRecordingHeader } from "../../../src/engine/events/recording.ts";
import { createReplay } from "../../../src/engine/events/replay.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { busyScene } from "../../support/scenes.ts";

const events = busyScene().events;
const header = printRecordingHeader("tsbuild-top 0.1.0", 1_772_366_400_000);
const lines = [header, ...events.map(printEventLine), ""];

describe("a line", () => {
  it("is a flat object that opens with seq, at and type", () => {
    expect(printEventLine({ seq: 3, at: 17, event: { type: "dispatchPaused" } })).toBe(
      '{"seq":3,"at":17,"type":"dispatchPaused"}',
    );
  });

  it("comes back as it went, whatever its text", () => {
    const odd: PublishedEvent = {
      seq: 0,
      at: 1.5,
      event: { type: "runStageChanged", stage: "evaluating", detail: "\x1b]0;x\x07\n\u2028\ud800" },
    };
    expect(parseEventLine(printEventLine(odd), "x")).toEqual(odd);
    for (const event of events) expect(parseEventLine(printEventLine(event), "x")).toEqual(event);
  });

  it("of a newer program passes through", () => {
    expect(parseEventLine('{"seq":0,"at":1,"type":"somethingNewer","field":7}', "x").event).toEqual({
      type: "somethingNewer",
      field: 7,
    });
  });

  it("that is none says where, what was expected and what was found", () => {
    for (const [line, message] of [
      ["nonsense", "run.jsonl:2: not a line of JSON: nonsense"],
      ["[]", "run.jsonl:2: expected an object, found []"],
      ['{"seq":-1,"at":1,"type":"x"}', "run.jsonl:2: expected a whole number in `seq`, found -1"],
      ['{"seq":1,"type":"x"}', "run.jsonl:2: expected a number in `at`, found undefined"],
      ['{"seq":1,"at":2}', "run.jsonl:2: expected a text in `type`, found undefined"],
    ] as const)
      expect(() => parseEventLine(line, "run.jsonl:2")).toThrow(
        expect.objectContaining({ code: "EVENTS_BAD_LINE", message }),
      );
  });
});

describe("a recording", () => {
  it("comes back with its times", () => {
    const recording = parseRecording(lines, "run.jsonl");
    expect(recording.events).toEqual(events);
    expect(recording.header.program).toBe("tsbuild-top 0.1.0");
    expect(recording.startedAt).toBe(events[0]?.at);
    expect(recording.length).toBe((events.at(-1)?.at ?? 0) - recording.startedAt);
    expect(recording.isCut).toBe(false);
  });

  it("may be the output of --ui json", () => {
    expect(parseRecording(lines.slice(1), "x").events).toEqual(events);
  });

  it("may end in the middle of a line: the program was killed", () => {
    const cut = [...lines.slice(0, 5), (lines[5] ?? "").slice(0, 20)];
    const recording = parseRecording(cut, "x");
    expect(recording.isCut).toBe(true);
    expect(recording.events).toHaveLength(4);
    expect(() => parseRecording([...cut, ...lines.slice(6)], "x")).toThrow(
      expect.objectContaining({ code: "EVENTS_BAD_LINE" }),
    );
  });

  it("of nothing, of a newer program, or of something else is refused with a reason", () => {
    expect(() => parseRecording([header], "x")).toThrow(expect.objectContaining({ code: "RECORDING_EMPTY" }));
    expect(() => parseRecording(['{"recording":2,"eventsVersion":1}'], "x")).toThrow(
      expect.objectContaining({ code: "RECORDING_TOO_NEW" }),
    );
    expect(() => parseRecording(['{"name":"package.json"}'], "x")).toThrow(
      expect.objectContaining({ code: "EVENTS_BAD_LINE" }),
    );
    expect(() => parseRecording(["#!/bin/sh"], "x")).toThrow(expect.objectContaining({ code: "EVENTS_BAD_LINE" }));
  });
});

describe("playing", () => {
  const recording = parseRecording(lines, "x");

  it("hands out every event once, in order, however the steps fall", () => {
    let playback = PLAYBACK_START;
    const seen: PublishedEvent[] = [];
    for (let position = 0; position <= recording.length + 5000; position += 700) {
      const step = playTo(recording, playback, position);
      playback = step.playback;
      seen.push(...step.events);
    }
    expect(seen).toEqual(recording.events);
  });

  it("starts anew when it goes back", () => {
    const end = playTo(recording, PLAYBACK_START, recording.length).playback;
    const back = playTo(recording, end, 1000);
    expect(back.events[0]).toBe(recording.events[0]);
    expect(back.playback.position).toBe(1000);
  });

  it("follows its own clock: speed, pause, jump, end", async () => {
    const clock = createFakeClock(5_000_000);
    const replay = createReplay(recording, "x", 2, clock);
    const seen: PublishedEvent[] = [];
    const end = replay.run((batch) => seen.push(...batch));
    clock.advance(1000);
    expect(replay.state()).toMatchObject({ speed: 2, position: 2000 });
    expect(replay.clock.wallTime()).toBe(recording.startedAt + 2000);
    replay.togglePause();
    clock.advance(10_000);
    expect(replay.state().position).toBe(2000);
    replay.togglePause();
    replay.setSpeed(0.5);
    clock.advance(1000);
    expect(replay.state().position).toBe(2500);
    replay.jumpTo(0);
    expect(replay.state().position).toBe(0);
    replay.jumpTo(recording.length);
    await end;
    expect(seen.at(-1)).toBe(recording.events.at(-1));
    replay.stop();
  });

  it("as fast as possible is speed 0", async () => {
    const clock = createFakeClock();
    const replay = createReplay(recording, "x", 0, clock);
    const seen: PublishedEvent[] = [];
    await replay.run((batch) => seen.push(...batch));
    expect(seen).toEqual(recording.events);
    replay.stop();
  });
});
