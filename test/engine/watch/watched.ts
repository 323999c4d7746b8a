// A log as the events that watching it gives, for tests: time passes by a millisecond a line.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { EngineEvent, PublishedEvent, RunOutcome } from "../../../src/engine/events/event.ts";
import { InternalJsonParser } from "../../../src/engine/protocols/internal-json/parser.ts";
import type { Knowledge } from "../../../src/engine/watch/translate/knowledge.ts";
import { Translator } from "../../../src/engine/watch/translate/translator.ts";

const FOLDER = fileURLToPath(new URL("../../fixtures/logs/", import.meta.url));

/** Generations of Nix there are recorded logs of. */
export const GENERATIONS = readdirSync(FOLDER).sort();

export function logOf(generation: string, name: string): Buffer {
  return readFileSync(`${FOLDER}${generation}/${name}.log`);
}

export const NOTHING_KNOWN: Knowledge = { derivation: () => null, expectedMs: () => null };

export interface Watched {
  readonly events: readonly PublishedEvent[];
  readonly outcome: RunOutcome;
  of<Type extends EngineEvent["type"]>(type: Type): Extract<EngineEvent, { type: Type }>[];
}

/** @param exitStatus null where nobody knows it */
export function watched(
  chunks: Iterable<Uint8Array>,
  exitStatus: number | null = null,
  knowledge: Knowledge = NOTHING_KNOWN,
): Watched {
  const events: PublishedEvent[] = [];
  let at = 1_000_000;
  const publish = (event: EngineEvent): void => {
    events.push({ seq: events.length, at, event });
  };
  const translator = new Translator({ runId: "watched", program: "test", knowledge, publish });
  const parser = new InternalJsonParser();
  for (const chunk of chunks) for (const line of parser.push(chunk)) translator.line(line, ++at);
  for (const line of parser.end()) translator.line(line, ++at);
  const outcome = translator.end(exitStatus, false, ++at);
  publish({ type: "runFinished", outcome });
  return {
    events,
    outcome,
    of: <Type extends EngineEvent["type"]>(type: Type) =>
      events.flatMap(({ event }) => (event.type === type ? [event as Extract<EngineEvent, { type: Type }>] : [])),
  };
}

/** Lines of a log as Nix writes them. */
export function lines(...values: readonly (Readonly<Record<string, unknown>> | string)[]): Buffer[] {
  return values.map((value) => Buffer.from(typeof value === "string" ? value : `@nix ${JSON.stringify(value)}\n`));
}
