import { describe, expect, it } from "vitest";
import type { EngineEvent } from "../../../../src/engine/events/event.ts";
import { Listeners } from "../../../../src/engine/run/listeners/listeners.ts";

type Place = Parameters<Listeners["add"]>[0];

/** In which order they are to hear. */
const ORDER: readonly Place[] = [
  ...(["journal", "reader", "failedTargets", "sentRates", "hooks", "hookLogs"] as const),
  ...(["decisions", "durations", "samplers"] as const),
];
const NOW = { mono: 0, wall: 0 };
const event = (detail = ""): EngineEvent => ({ type: "runStageChanged", stage: "planning", detail });

/** Who heard what, when they joined in this order. */
function rig(places: readonly Place[]) {
  const listeners = new Listeners();
  const heard: string[] = [];
  const note = (place: Place, what: string) => () => void heard.push(`${place} ${what}`);
  for (const place of places) {
    listeners.add(place, {
      ...{ event: note(place, "event"), fact: note(place, "fact") },
      ...{ decision: note(place, "decision"), command: note(place, "command") },
    });
  }
  return { listeners, heard };
}

describe("listeners", () => {
  it.each([
    ["that order", ORDER],
    ["the opposite order", ORDER.toReversed()],
    ["some other order", [...ORDER.slice(4), ...ORDER.slice(0, 4)]],
  ])("hear everything in the one order, having joined in %s", (_, places) => {
    const { listeners, heard } = rig(places);
    const expected = (what: string): string[] => ORDER.map((place) => `${place} ${what}`);
    listeners.event(event());
    expect(heard.splice(0)).toEqual(expected("event"));
    listeners.fact({ type: "goalsComplete" });
    expect(heard.splice(0)).toEqual(expected("fact"));
    listeners.decision({ type: "goalsComplete" }, NOW, { commands: [], events: [] });
    expect(heard.splice(0)).toEqual(expected("decision"));
    listeners.command({ type: "wakeAt", at: 0 });
    expect(heard).toEqual(expected("command"));
  });

  it("hear only what they have a function for, and a place nobody has taken is passed over", () => {
    const { listeners, heard } = rig(["samplers"]);
    listeners.add("reader", { fact: () => void heard.push("reader fact") });
    listeners.event(event());
    listeners.fact({ type: "goalsComplete" });
    expect(heard).toEqual(["samplers event", "reader fact", "samplers fact"]);
  });

  it("may join at any time, and who takes a place that is taken hears instead", () => {
    const { listeners, heard } = rig(["samplers", "reader"]);
    listeners.event(event());
    listeners.add("journal", { event: () => void heard.push("late journal") });
    listeners.add("reader", { event: () => void heard.push("other reader") });
    heard.length = 0;
    listeners.event(event());
    expect(heard).toEqual(["late journal", "other reader", "samplers event"]);
  });

  it("that cause another event have it heard behind their own by whoever is before them", () => {
    const listeners = new Listeners();
    const heard: string[] = [];
    const noted = (each: EngineEvent): void => {
      if (each.type === "runStageChanged") heard.push(each.detail);
    };
    listeners.add("hooks", {
      event: (each) => {
        if (each.type === "runStageChanged" && each.detail === "cause") listeners.event(event("effect"));
      },
    });
    listeners.add("reader", { event: noted });
    listeners.event(event("cause"));
    expect(heard).toEqual(["cause", "effect"]);
  });

  it("are told through functions that need no object before them", () => {
    const { listeners, heard } = rig(["reader"]);
    const { event: tell } = listeners;
    tell(event());
    expect(heard).toEqual(["reader event"]);
  });
});
