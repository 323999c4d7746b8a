import { describe, expect, it } from "vitest";
import type { EngineEvent } from "../../../../src/engine/events/event.ts";
import type { ClaimId, GoalId, MachineId } from "../../../../src/engine/events/ids.ts";
import type { StorePath } from "../../../../src/engine/formats/store-path.ts";
import type { BuildLog } from "../../../../src/engine/memory/log-keeper.ts";
import type { BuildWork } from "../../../../src/engine/scheduler/perform/build-work.ts";
import type { DifferenceKeeper } from "../../../../src/engine/scheduler/perform/difference-keeper.ts";
import { MachineSession } from "../../../../src/engine/scheduler/perform/machine-session.ts";
import { performBuild } from "../../../../src/engine/scheduler/perform/perform-build.ts";
import type { StartBuild } from "../../../../src/engine/scheduler/plan/command.ts";
import type { ClaimFact } from "../../../../src/engine/scheduler/plan/fact.ts";
import { PathInfos } from "../../../../src/engine/stores/path-infos.ts";
import { createFakeClock } from "../../../support/fake-clock.ts";
import { FakeStore } from "../../../support/fake-store.ts";
import { sampleDerivation, samplePath } from "../../derivation/samples.ts";
import { until } from "./rig.ts";

const drvPath = samplePath(1, "x.drv");
const out = samplePath(2, "x");
const [source, library] = [samplePath(3, "source"), samplePath(4, "library")];

interface Changes {
  readonly trusted?: boolean;
  readonly isDestination?: boolean;
  /** Its output is valid on the machine beforehand. */
  readonly isThere?: boolean;
  readonly command?: Partial<StartBuild>;
  readonly freeBytes?: (signal: AbortSignal) => Promise<number>;
}

/** A claim on a machine, which needs a source that refers to a library. */
function claimOf({ trusted = true, isDestination = false, isThere = false, command = {}, freeBytes }: Changes = {}) {
  const here = new FakeStore("here").put(library, "library").put(source, "source", [library]).put(drvPath, "drv");
  const there = new FakeStore("there");
  if (isThere) there.put(out, "earlier");
  const clock = createFakeClock();
  const facts: ClaimFact[] = [];
  const events: EngineEvent[] = [];
  const lines: string[] = [];
  let isLogClosed = false;
  const log: BuildLog = {
    append: (more) => lines.push(...more),
    tail: () => lines,
    file: () => (lines.length > 0 ? "/logs/x.log" : null),
    close: async () => {
      isLogClosed = true;
    },
    content: () => null,
  };
  const session = new MachineSession({
    machine: "a" as MachineId,
    store: there,
    isDestination,
    trusted,
    buildersUseSubstitutes: false,
    access: {
      nixVersion: null,
      protocol: "worker 1.38",
      command: null,
      freeBytes: freeBytes ?? null,
      openScratch: null,
    },
  });
  const work: BuildWork = {
    command: {
      type: "startBuild",
      claim: "c1" as ClaimId,
      goal: drvPath as string as GoalId,
      machine: "a" as MachineId,
      slot: 0,
      attempt: 1,
      round: 1,
      rounds: 1,
      isResumed: false,
      compare: { type: "none" },
      ...command,
    },
    session,
    drvPath,
    derivation: {
      ...sampleDerivation("x"),
      inputSrcs: new Set([source]),
      outputs: new Map([["out", { type: "inputAddressed", path: out }]]),
    },
    isInputAddressed: true,
    from: { store: here, infos: new PathInfos(here) },
    options: { keepFailed: true, maxSilentTime: 0, timeout: 0, maxLogSize: 0n, cores: null, keepCheck: false },
    keeper: {} as DifferenceKeeper,
    log,
    transfers: { begin: () => ({ progress: () => undefined, end: () => undefined }) },
    clock,
    built: () => undefined,
    // The log is whole before anybody hears that the build has ended.
    post: (fact) => {
      if (fact.type === "claimBuilt" || fact.type === "claimFailed")
        expect(isLogClosed || command.isResumed).toBe(true);
      facts.push(fact);
    },
    choose: () => Promise.reject(new Error("nothing is compared")),
    publish: (event) => events.push(event),
  };
  const abort = new AbortController();
  const end = performBuild(work, abort.signal);
  const started = async () => {
    await until("the build", () => there.builds.length > 0);
    return there.builds[0]!;
  };
  return { here, there, clock, facts, events, abort, end, started, session };
}

const typesOf = (facts: readonly ClaimFact[]) =>
  facts.map((fact) => (fact.type === "claimStage" ? fact.stage : fact.type));

describe("a claim", () => {
  it("is given its inputs, what is referred to first, then built", async () => {
    const claim = claimOf();
    const build = await claim.started();
    expect(claim.there.calls).toEqual(["add library", "add source", "build normal x.drv"]);
    build.report.started();
    claim.clock.advance(1500);
    build.done();
    expect(await claim.end).toBe("built");
    expect(typesOf(claim.facts)).toEqual(["sendingInputs", "building", "claimBuilt"]);
    expect(claim.facts.at(-1)).toMatchObject({ durationMs: 1500, executed: true, differs: [], messages: [] });
    expect(claim.session.isKnown(out)).toBe(true);
  });

  it("is sent nothing where the results end up", async () => {
    const claim = claimOf({ isDestination: true });
    (await claim.started()).done();
    expect(await claim.end).toBe("built");
    expect(typesOf(claim.facts)).toEqual(["building", "claimBuilt"]);
  });

  it("goes through the closure of its derivation where we are not trusted", async () => {
    const claim = claimOf({ trusted: false });
    const build = await claim.started();
    expect([build.throughClosure, claim.there.calls.includes("add x.drv")]).toEqual([true, true]);
    build.done();
    expect(await claim.end).toBe("built");
  });

  it("that the machine had done for an earlier run is not built", async () => {
    const claim = claimOf({ isThere: true, command: { isResumed: true } });
    expect(await claim.end).toBe("built");
    expect(claim.facts).toMatchObject([{ type: "claimBuilt", executed: false, durationMs: 0 }]);
    expect(claim.there.builds).toEqual([]);
  });

  it("that the machine had not done for an earlier run is built after all", async () => {
    const claim = claimOf({ command: { isResumed: true } });
    (await claim.started()).done();
    expect(await claim.end).toBe("built");
    expect(claim.facts.at(-1)).toMatchObject({ type: "claimBuilt", executed: true });
  });

  it("fails with what the machine answered, its log, and where the directory is kept", async () => {
    const claim = claimOf();
    const build = await claim.started();
    build.report.logged(["no such file"]);
    build.report.noticed("note: keeping build directory '/tmp/nix-build-x-0'");
    build.fails("PermanentFailure", "builder failed with exit code 1");
    expect(await claim.end).toBe("failed");
    expect(claim.facts.at(-1)).toMatchObject({
      type: "claimFailed",
      failure: {
        origin: "build",
        status: "PermanentFailure",
        logTail: ["no such file"],
        logFile: "/logs/x.log",
        keptDirectory: "a:/tmp/nix-build-x-0",
        means: { type: "notAsked" },
      },
    });
    expect(claim.events.map(({ type }) => type)).toEqual(["buildLogKept", "buildLogged", "noticeRaised"]);
  });

  it("that blames a full disk has the machine asked", async () => {
    const claim = claimOf({ freeBytes: async () => 12 });
    const build = await claim.started();
    build.report.logged(["cc: No space left on device"]);
    build.fails("PermanentFailure", "builder failed with exit code 1");
    await claim.end;
    expect(claim.facts.at(-1)).toMatchObject({ failure: { means: { type: "answered", freeBytes: 12 } } });
  });

  it("does not wait for ever for the answer to that", async () => {
    const claim = claimOf({
      freeBytes: (signal) =>
        new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    });
    const build = await claim.started();
    build.report.logged(["cc: No space left on device"]);
    build.fails("PermanentFailure", "builder failed with exit code 1");
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    claim.clock.advance(10_000);
    await claim.end;
    expect(claim.facts.at(-1)).toMatchObject({ failure: { means: { type: "noAnswer" } } });
  });

  it("whose inputs are refused fails on the way, before anything is built", async () => {
    const claim = claimOf();
    claim.there.refused.set(source as StorePath, "lacks a signature by a trusted key");
    expect(await claim.end).toBe("failed");
    expect(claim.facts.at(-1)).toMatchObject({ failure: { origin: "transfer", status: null } });
    expect(claim.there.builds).toEqual([]);
  });

  it("whose connection breaks while it is built fails as that", async () => {
    const claim = claimOf();
    (await claim.started()).breaks(new Error("connection reset"));
    expect(await claim.end).toBe("failed");
    expect(claim.facts.at(-1)).toMatchObject({ failure: { origin: "connection", message: "connection reset" } });
  });

  it("that is cancelled has its builder ended, and is neither built nor failed", async () => {
    const claim = claimOf();
    const build = await claim.started();
    claim.abort.abort(new Error("asked"));
    expect(build.signal.aborted).toBe(true);
    expect(await claim.end).toBe("cancelled");
    expect(typesOf(claim.facts)).toEqual(["sendingInputs", "building", "claimCancelled"]);
  });
});
