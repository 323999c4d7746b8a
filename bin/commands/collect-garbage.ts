// `gc`: prints what the collector found, one path a line, or what deleting it freed.
import { collectGarbage, type Surroundings } from "../../src/engine/index.ts";
import { sanitizeText } from "../../src/ui/index.ts";
import { freedText } from "../freed-text.ts";
import { untilInterrupted } from "../interrupted.ts";
import type { GarbageInvocation } from "../invocation.ts";
import { print, say, warn } from "../say.ts";

/** Results go to standard output, what the collector says meanwhile (`-v`: each path it deletes) to standard error. */
export function garbageCommand(invocation: GarbageInvocation, surroundings: Surroundings): Promise<number> {
  const notice = (text: string): void => {
    if (invocation.verbosity > 0 || !text.startsWith("deleting '")) say(text);
  };
  return untilInterrupted(
    async (signal) => {
      const report = { notice, warned: warn };
      const answer = await collectGarbage(invocation, surroundings, report, signal);
      for (const text of answerLines(answer)) print(text);
      return 0;
    },
    () => say("stopping"),
  );
}

function answerLines(answer: Awaited<ReturnType<typeof collectGarbage>>): readonly string[] {
  switch (answer.type) {
    case "deleted":
      return [freedText(answer.count, answer.bytesFreed)];
    case "paths":
      return answer.paths;
    case "roots":
      return answer.roots.map(({ link, path }) => `${sanitizeText(link)} -> ${path}`);
  }
}
