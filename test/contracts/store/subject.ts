// What the suite must be told of a store: how one is opened, and in what stores are allowed to differ.
import { it } from "vitest";
import type { BuildStore, PathSink, PathStore } from "../../../src/engine/stores/store.ts";

export type TakingStore = PathStore & PathSink;
export type BuildingStore = TakingStore & BuildStore;

/** In what stores may differ. Each value is held to: one that is wrong fails. */
export interface StoreTraits {
  /** What `describe` says. */
  readonly description: {
    readonly protocol: RegExp | string;
    readonly nixVersion: string | null;
    readonly trusted: boolean | null;
  };
  /** `heeded`: unsigned paths are refused where `checkSignatures` says so; `ignored`: nobody looks. */
  readonly signatures: "heeded" | "ignored";
  /** Whether signatures can be added to a valid path. */
  readonly addsSignatures: boolean;
  /** What several paths of which one is valid already come to: a daemon before Nix 2.18 must be handed the rest once more. */
  readonly validAmongMany: "taken" | "askedAgain";
  /**
   * Questions whose signal is aborted. `refused`, whenever that happens; `answered` from what is at hand, before anybody could abort; `either`:
   * refused when it was aborted before, else as it comes.
   */
  readonly abortedQuestions: "refused" | "answered" | "either";
  /** Whether two paths of one hash part and two names are told apart by queryValidPaths: a binary cache's keys have no names, as with Nix. */
  readonly tellsNames: boolean;
}

/** What the suite demands and not every store does yet. */
export type Demand =
  | "may be closed twice"
  | "closing refuses reads with the reason"
  | "closing refuses adding with the reason"
  | "questions after closing are refused"
  | "small reads after closing are refused"
  | "large reads after closing are refused"
  | "adding after closing is refused"
  | "builds after closing are refused"
  | "an aborted question is the loss of who asked it"
  | "an abort is told by its reason"
  | "describe rejects and never throws"
  | "a NAR that ends too early is noticed"
  | "a NAR smaller than announced is noticed"
  | "two stores add one path at once"
  | "closing refuses builds with the reason";

/**
 * How a demand is not met. `fails` and `hangs` are held to it, so that who mends the store must say so here; what is `leftOut` fails by chance or
 * would harm other tests.
 */
export type Shortcoming = "fails" | "hangs" | "leftOut";
export type Shortcomings = Readonly<Partial<Record<Demand, Shortcoming>>>;

export interface StoreSubject<S extends TakingStore = TakingStore> {
  readonly name: string;
  /** Opens a store at a place that is the same each time. The suite closes it. */
  readonly open: () => Promise<S>;
  readonly traits: StoreTraits;
  /** Demands this store does not meet; none when absent. */
  readonly shortcomings?: Shortcomings;
}

/** Declares a test of a demand; where the store does not meet it, a test that must fail. */
export function demanding(
  subject: StoreSubject,
  demand: Demand,
): (name: string, test: (inTime: <T>(call: Promise<T>) => Promise<T>) => Promise<void>) => void {
  const shortcoming = subject.shortcomings?.[demand];
  return (name, test) => {
    if (shortcoming === undefined) it(name, () => test((call) => call));
    else if (shortcoming !== "leftOut")
      it.fails(name, () => test(shortcoming === "hangs" ? endingSoon : (call) => call));
  };
}

/** Turns of the event loop after which a call that needs nothing from elsewhere is known to hang. */
const TURNS = 1000;

async function endingSoon<T>(call: Promise<T>): Promise<T> {
  call.catch(() => undefined);
  const turns = async (): Promise<never> => {
    for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
    throw new Error("hangs");
  };
  return Promise.race([call, turns()]);
}

/** A store that builds, and the words its builders understand. */
export interface BuildSubject extends StoreSubject<BuildingStore> {
  readonly system: string;
  /** A command of `/bin/sh` there that waits for so many seconds, which tell its process from others. */
  readonly sleep: (seconds: string) => string;
  /** Whether it builds in mode `check`. */
  readonly checks: boolean;
}
