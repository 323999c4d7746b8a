// Recorded runs of every Nix and of the embedded store, as every renderer draws them: whole, and with the counters the engine ended with.
import { EventEmitter } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { PublishedEvent, RunOutcome } from "../../../src/engine/events/event.ts";
import { parseRecording } from "../../../src/engine/events/recording.ts";
import { parseInternalLine } from "../../../src/engine/protocols/internal-json/parser.ts";
import { createRenderer, DEFAULT_OPTIONS, type RendererKind } from "../../../src/ui/index.ts";
import { createBoardRig } from "../../support/board-rig.ts";
import { grammarComplaints } from "../../support/event-grammar.ts";
import { createFakeClock } from "../../support/fake-clock.ts";

const FOLDER = new URL("../../fixtures/recordings/", import.meta.url);
const names = readdirSync(FOLDER).map((file) => file.replace(/\.jsonl$/, ""));

interface Fixture {
  readonly lines: readonly string[];
  readonly events: readonly PublishedEvent[];
  readonly outcome: RunOutcome;
}

function fixtureOf(name: string): Fixture {
  const lines = readFileSync(new URL(`${name}.jsonl`, FOLDER), "utf8")
    .trimEnd()
    .split("\n");
  const { events } = parseRecording(lines, name);
  const last = events.at(-1)?.event;
  if (last?.type !== "runFinished") throw new Error(`${name}: the run has no end`);
  return { lines, events, outcome: last.outcome };
}

class Output extends EventEmitter {
  text = "";
  write(text: string): boolean {
    this.text += text;
    return true;
  }
}

async function shown(
  kind: Exclude<RendererKind["kind"], "board">,
  events: readonly PublishedEvent[],
): Promise<{ readonly out: string; readonly err: readonly string[] }> {
  const [stdout, stderr, clock] = [new Output(), new Output(), createFakeClock(events[0]?.at)];
  const renderer = await createRenderer(
    { kind },
    {
      ...{ stdout, stderr, stdin: process.stdin, env: {}, clock, replay: null },
      ...{ options: DEFAULT_OPTIONS, send: () => undefined, outputClosed: () => undefined },
    },
  );
  renderer.start();
  for (const event of events) {
    clock.advance(Math.max(0, event.at - clock.wallTime()));
    renderer.accept([event]);
  }
  await renderer.finish();
  return { out: stdout.text, err: stderr.text.trimEnd().split("\n") };
}

/** Nix's counters of a run that is over: what was not built was expected to be. */
function countersText({ built, failed, cancelled, notBuilt }: RunOutcome): string {
  return `[${built}/${built + failed + cancelled + notBuilt} built (${failed} failed), 0.0 MiB DL]`;
}

it("there are recordings of a store of one's own and of several generations of Nix", () => {
  expect(names).toEqual(expect.arrayContaining(["embedded", "nix-2.8", "nix-2.26"]));
});

describe.each(names)("the recording %s", (name) => {
  const { lines, events, outcome } = fixtureOf(name);
  const paths = outcome.outputs.map((path) => `${path}\n`).join("");

  it("keeps the grammar of events", () => {
    expect(grammarComplaints(events)).toEqual([]);
  });

  it("is printed as JSON as it was recorded", async () => {
    const { out, err } = await shown("json", events);
    expect(out.trimEnd().split("\n")).toEqual(lines.slice(1));
    expect(err).toEqual([""]);
  });

  it("is told in lines", async () => {
    const { out, err } = await shown("plain", events);
    expect(out).toBe(paths);
    expect(err.at(-1)).toContain(countersText(outcome));
    expect(err.at(-1)).toMatch(/: 3 built, 1 failed, 1 not built$/);
    expect(err.filter((line) => line.startsWith("building '"))).toHaveLength(countOf(events, "buildAssigned"));
    expect(err.filter((line) => line.includes("differs from"))).toHaveLength(countOf(events, "outputDiffered"));
  });

  it("is told in a verdict and what failed", async () => {
    const { out, err } = await shown("quiet", events);
    expect(out).toBe(paths);
    expect(err.at(-1)).toContain(countersText(outcome));
    expect(err.filter((line) => line.startsWith("error: "))).toHaveLength(outcome.failed);
  });

  it("is told in Nix's log format", async () => {
    const { out, err } = await shown("internal-json", events);
    expect(out).toBe(paths);
    const told = err.map(parseInternalLine);
    const begun = told.flatMap((line) => (line.type === "start" ? [line.id] : []));
    expect(told.flatMap((line) => (line.type === "stop" ? [line.id] : [])).sort()).toEqual(begun.sort());
    const builds = told.find((line) => line.type === "start" && line.activity === 104);
    const progress = told.findLast(
      (line) => line.type === "result" && line.result === 105 && builds?.type === "start" && line.id === builds.id,
    );
    const [done, failed] = [BigInt(outcome.built), BigInt(outcome.failed)];
    expect(progress).toMatchObject({ fields: [done, done + failed, 0n, failed] });
  });

  it("is drawn on the board from beginning to end", async () => {
    const board = await createBoardRig({ columns: 120, rows: 30 });
    for (const [index, event] of events.entries()) {
      board.clock.setWallTime(event.at);
      board.renderer.accept([event]);
      // Not after each: the terminal takes its time.
      if (index % 25 === 0) expect(await board.frame()).toMatch(/^tsbuild-top /);
    }
    board.clock.advance(1000);
    const header = (await board.frame()).split("\n")[0];
    await board.close();
    expect(header).toContain(countersText(outcome));
    expect(header).toContain(`failed (${outcome.exitStatus})`);
  });
});

function countOf(events: readonly PublishedEvent[], type: PublishedEvent["event"]["type"]): number {
  return events.filter(({ event }) => event.type === type).length;
}
