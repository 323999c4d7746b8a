// One event a line on stdout, nothing else there: for programs. What must be said about this program itself goes to stderr.
import type { PublishedEvent } from "../../../engine/events/event.ts";
import { printEventLine } from "../../../engine/events/json-lines.ts";
import { sanitizeText } from "../../format/sanitize.ts";
import { createStops } from "../board/interrupts.ts";
import { createLineWriter } from "../lines/line-writer.ts";
import type { Renderer, RendererPorts } from "../renderer.ts";

/** See docs/EVENTS.md for the form of the lines. */
export function createJsonRenderer(ports: RendererPorts): Renderer {
  const events = createLineWriter(ports.stdout, ports.outputClosed);
  const words = createLineWriter(ports.stderr, () => undefined);
  const stops = createStops(ports.send);
  return {
    start: () => undefined,
    accept: (published: readonly PublishedEvent[]) => events.lines(published.map(printEventLine)),
    notice: (message) => words.line(sanitizeText(message)),
    leave: () => undefined,
    interrupt: () => {
      stops.interrupt();
    },
    finish: async () => undefined,
    restore: () => undefined,
  };
}
