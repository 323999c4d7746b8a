// A driver with a real plan over stores in memory: machines are there at once, builds end when the test says so.
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import type { Derivation } from "../../../../src/engine/derivation/derivation.ts";
import { Realisations } from "../../../../src/engine/derivation/output-paths.ts";
import { Differences } from "../../../../src/engine/differences/perform/runner.ts";
import type { EngineEvent } from "../../../../src/engine/events/event.ts";
import type { MachineId } from "../../../../src/engine/events/ids.ts";
import type { StorePath } from "../../../../src/engine/formats/store-path.ts";
import { LogKeeper } from "../../../../src/engine/memory/log-keeper.ts";
import { Driver } from "../../../../src/engine/scheduler/perform/driver.ts";
import type { BuildsPort, HookRunner } from "../../../../src/engine/scheduler/perform/driver-options.ts";
import { MachineSession } from "../../../../src/engine/scheduler/perform/machine-session.ts";
import type { Command } from "../../../../src/engine/scheduler/plan/command.ts";
import type { Fact, GoalSpec } from "../../../../src/engine/scheduler/plan/fact.ts";
import type { PlanOptions } from "../../../../src/engine/scheduler/plan/options.ts";
import { createPlan } from "../../../../src/engine/scheduler/plan/state/plan.ts";
import { PathInfos } from "../../../../src/engine/stores/path-infos.ts";
import { createFakeClock } from "../../../support/fake-clock.ts";
import { type FakeBuild, FakeStore } from "../../../support/fake-store.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { sampleDerivation } from "../../derivation/samples.ts";
import { goal, machine } from "../plan/scenario.ts";

/** The output of a goal's derivation, as `goal` names it. */
export const outputOf = (name: string): StorePath => `/nix/store/${"1".repeat(32)}-${name}` as StorePath;

/** The plan of one goal after the other is `goal`'s; its derivation has a known output. */
function derivationOf(name: string): Derivation {
  return { ...sampleDerivation(name), outputs: new Map([["out", { type: "inputAddressed", path: outputOf(name) }]]) };
}

export interface RigOptions {
  readonly plan?: Partial<PlanOptions>;
  readonly goals?: readonly GoalSpec[];
  readonly machines?: readonly string[];
  readonly hooks?: HookRunner;
  readonly reservations?: BuildsPort["reservations"];
  /** What connecting to a machine throws, by machine. */
  readonly unreachable?: ReadonlyMap<string, Error>;
}

const base = temporaryDirectory("driver");

/** Everything a test looks at. */
export function createRig(options: RigOptions = {}) {
  const goals = options.goals ?? [goal("x", [], { isTarget: true })];
  const names = options.machines ?? ["a"];
  const clock = createFakeClock();
  const directory = mkdtempSync(join(base, "run-"));
  const destination = new FakeStore("destination");
  const stores = new Map(names.map((name) => [name, new FakeStore(`ssh-ng://${name}`)]));
  const derivations = new Map(goals.map(({ goal, name }) => [goal as string as StorePath, derivationOf(name)]));
  for (const path of derivations.keys()) destination.put(path, "derivation");
  const events: EngineEvent[] = [];
  const facts: Fact[] = [];
  const commands: Command[] = [];
  /** In which order it was heard of things. */
  const heard: string[] = [];
  const infos = new PathInfos(destination);
  const publish = (event: EngineEvent): void => {
    heard.push(`event ${event.type}`);
    events.push(event);
  };
  const outputs = new Map(goals.map((each) => [each.goal, each.outputPaths]));
  const driver = new Driver({
    plan: createPlan(options.plan ?? {}),
    clock,
    goals: {
      derivations,
      realisations: new Realisations(derivations),
      outputsOf: (each) => outputs.get(each) ?? [],
      validBefore: new Set(),
    },
    destination: { store: destination, infos, trusted: true },
    machines: {
      connect: async (id: MachineId) => {
        const failure = options.unreachable?.get(id);
        if (failure !== undefined) throw failure;
        const store = stores.get(id)!;
        const access = {
          nixVersion: "2.34",
          protocol: "worker 1.38",
          command: null,
          freeBytes: null,
          openScratch: null,
        };
        const session = new MachineSession({
          machine: id,
          store,
          isDestination: false,
          trusted: true,
          buildersUseSubstitutes: false,
          access,
        });
        return { session, nixVersion: "2.34", protocol: "worker 1.38" };
      },
      isPermanent: () => false,
    },
    builds: {
      options: { keepFailed: false, maxSilentTime: 0, timeout: 0, maxLogSize: 0n, cores: null, keepCheck: false },
      logs: new LogKeeper({ directory, owner: "", tailLines: 10 }),
      hooks: options.hooks ?? { run: async () => ({ failure: null, durationMs: 0 }) },
      reservations: options.reservations ?? null,
      differences: new Differences({
        clock,
        publish,
        keepFailed: false,
        hook: null,
        places: { storeDir: null, ownDir: directory, protect: async () => undefined },
        onDisk: () => null,
        hostName: (id) => id,
      }),
      enforceDeterminism: options.plan?.enforceDeterminism ?? true,
    },
    heard: {
      event: publish,
      fact: (fact) => {
        heard.push(`fact ${fact.type}`);
        facts.push(fact);
      },
      decision: (fact) => heard.push(`decision ${fact.type}`),
      command: (command) => {
        heard.push(`command ${command.type}`);
        commands.push(command);
      },
    },
  });
  const begin = (): void => {
    for (const name of names) driver.post({ type: "machineAdded", spec: machine(name) });
    driver.post({ type: "goalsAdded", goals });
    driver.post({ type: "goalsComplete" });
  };
  return { driver, clock, destination, stores, events, facts, commands, heard, directory, begin };
}

export type DriverRig = ReturnType<typeof createRig>;

/** Lets everything that waits for nothing but itself go on, until the condition holds. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2000; turn++) {
    if (condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`it never came to this: ${what}`);
}

/** The next build on a machine, once it has been asked for. */
export async function buildOn(rig: DriverRig, name: string, index = 0): Promise<FakeBuild> {
  const { builds } = rig.stores.get(name)!;
  await until(`build ${index} on ${name}`, () => builds.length > index);
  return builds[index]!;
}
