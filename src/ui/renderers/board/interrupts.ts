// Ctrl-C in two steps: the first lets what runs finish and starts nothing else, the second cancels what runs.
import type { StopHow } from "../../../engine/events/event.ts";
import type { EngineRequestWithoutId } from "../renderer.ts";

export interface Stops {
  /** What was asked for so far. */
  asked(): StopHow | null;
  /** Asks for the next step and says which it was. */
  interrupt(): StopHow;
}

export function createStops(send: (request: EngineRequestWithoutId) => void): Stops {
  let asked: StopHow | null = null;
  return {
    asked: () => asked,
    interrupt: () => {
      const how: StopHow = asked === null ? "drain" : "cancel";
      asked = how;
      send({ type: "stop", how });
      return how;
    },
  };
}
