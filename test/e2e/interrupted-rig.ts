// Runs that are killed or stopped at seeded moments: three builders, a client, and counters that say what was really executed.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Fleet, startBuilders } from "../support/builders.ts";
import type { NixGeneration } from "../support/nix-generations.ts";
import { createInstance, type NixInstance } from "../support/nix-instance.ts";
import { standInNixpkgs } from "../support/nixpkgs.ts";
import { type RunResult, until } from "../support/processes.ts";
import { type Client, createClient, PROGRAM } from "./client.ts";

/** Builds in a graph: three layers of eight, each on two of the layer below, and one on top. */
const LAYERS = 3;
const WIDTH = 8;
export const BUILDS = LAYERS * WIDTH + 1;

/** Every build says in a file of its machine that it has begun; it sleeps between 0.05 and 0.4 s unless the machine is in a hurry. */
const GRAPH = `
{ salt }:
with import <nixpkgs> {};
let
  sleeps = [ "0.05" "0.4" "0.1" "0.2" "0.3" "0.05" "0.25" "0.15" ];
  node = name: n: inputs: runCommand name { inherit salt inputs; } ''
    [ ! -d /homes/root ] || echo $salt $name >> /homes/root/executed
    [ -e /homes/root/hurry ] || sleep \${builtins.elemAt sleeps n}
    { echo $name $salt; for input in $inputs; do cat $input; done; } > $out
  '';
  range = n: if n == 0 then [] else range (n - 1) ++ [ (n - 1) ];
  mod = a: b: a - b * (a / b);
  layer = depth: if depth == 0 then map (n: node "l0-\${toString n}" n []) (range ${WIDTH}) else
    let below = layer (depth - 1); in
    map (n: node "l\${toString depth}-\${toString n}" n [ (builtins.elemAt below n) (builtins.elemAt below (mod (n + 3) ${WIDTH})) ]) (range ${WIDTH});
in {
  top = node "top" 0 (layer ${LAYERS - 1});
  random = runCommand "random" { inherit salt; } "cat /proc/sys/kernel/random/uuid > $out; sleep 1";
}
`;

/** Uniform numbers from 0 to 1 by a seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A path as a store's database has it, without what differs from one registration to the next. */
interface Registered {
  readonly hash: string;
  readonly references: readonly string[];
}

/** The store at a root directory: path → what is registered. */
export function registered(root: string): Map<string, Registered> {
  const file = join(root, "nix/var/nix/db/db.sqlite");
  if (!existsSync(file)) return new Map();
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    database.exec("pragma busy_timeout = 5000");
    // It is being made.
    if (database.prepare("select 1 from sqlite_master where name = 'Refs'").get() === undefined) return new Map();
    const paths = database.prepare("select id, path, hash from ValidPaths").all() as unknown as {
      id: number;
      path: string;
      hash: string;
    }[];
    const references = database.prepare(
      "select path from Refs join ValidPaths on Refs.reference = ValidPaths.id where Refs.referrer = ? order by path",
    );
    return new Map(
      paths.map(({ id, path, hash }) => [
        path,
        { hash, references: (references.all(id) as unknown as { path: string }[]).map((row) => row.path) },
      ]),
    );
  } finally {
    database.close();
  }
}

export interface InterruptedRig {
  readonly fleet: Fleet;
  readonly client: Client;
  /** Root of the store the results are for. */
  readonly root: string;
  /** Begins a run of the graph with a salt. */
  readonly begin: (salt: string, attribute?: "top" | "random", ...flags: readonly string[]) => StartedRun;
  /** Nothing runs on any machine but what ran before the first run. Rejects when that takes longer. */
  readonly quiet: (withinMs: number) => Promise<void>;
  /** Processes of runs that are still there, by machine. */
  readonly busy: () => string[];
  /** How often each derivation of a salt was begun, on all machines. */
  readonly executed: (salt: string) => Map<string, number>;
  /** Names of the graph's derivations whose outputs are valid on some machine now. */
  readonly finished: (outputs: ReadonlyMap<string, string>) => Set<string>;
  /** Name → output path, from a Nix that builds them all by itself, with what it registers. */
  readonly undisturbed: (salt: string) => Promise<{
    readonly outputs: ReadonlyMap<string, string>;
    readonly store: ReadonlyMap<string, Registered>;
  }>;
  /** The last run's decisions, line by line. */
  readonly decisions: () => string[];
  /** What the journals' folder holds. */
  readonly journals: () => string[];
  /** Every store verifies, by Nix's own word. */
  readonly verify: () => Promise<void>;
  readonly remove: () => Promise<void>;
}

/** A run of the program. */
export interface StartedRun {
  readonly child: ChildProcess;
  readonly ended: Promise<RunResult>;
}

/**
 * Waits for a moment of a run, or for its end: mostly some time after a number of builds were begun, sometimes any time from the start on. Answers the
 * same run.
 */
export async function atSeededMoment(run: StartedRun, random: () => number): Promise<StartedRun> {
  const builds = random() < 0.2 ? 0 : 1 + Math.floor(random() * 14);
  const laterMs = random() * (builds === 0 ? 2000 : 400);
  let heard = "";
  const begun = new Promise<void>((resolve) => {
    if (builds === 0) resolve();
    run.child.stderr?.on("data", (bytes: Buffer) => {
      heard += bytes.toString();
      if ((heard.match(/^building '/gm) ?? []).length >= builds) resolve();
    });
  });
  await Promise.race([begun.then(() => new Promise((resolve) => setTimeout(resolve, laterMs))), run.ended]);
  return run;
}

/** @param kind whether the results go to a Nix or into the embedded store */
export async function createInterruptedRig(
  generations: readonly NixGeneration[],
  kind: "nix" | "embedded",
): Promise<InterruptedRig> {
  const fleet = await startBuilders(generations.map((generation) => ({ generation })));
  const client = await createClient(fleet, { generation: generations[0]! });
  const oracle = await createInstance(generations[0]!, { name: "oracle" });
  await oracle.output("touch", ["/homes/root/hurry"]);
  const file = client.write("graph.nix", GRAPH);
  const nixpkgs = await standInNixpkgs();
  const machines = (): NixInstance[] => [...fleet.builders.map(({ instance }) => instance), client.instance];
  const usual = new Map(machines().map((instance) => [instance, new Set(instance.processes())]));
  const home = join(client.instance.directory, "homes/root");
  const root = kind === "nix" ? client.instance.directory : join(home, "tree");
  const storeFlags = kind === "nix" ? [] : ["--store", "/homes/root/tree"];

  const busy = (): string[] =>
    machines().flatMap((instance) =>
      instance
        .processes()
        .filter((pid) => usual.get(instance)?.has(pid) === false)
        .map((pid) => `${instance.name}: ${pid} ${commandOf(pid)}`),
    );
  return {
    fleet,
    client,
    root,
    busy,
    begin: (salt, attribute = "top", ...flags) => {
      const [node, script] = PROGRAM;
      const words = [
        "-f",
        file,
        attribute,
        "--argstr",
        "salt",
        salt,
        "--no-out-link",
        "--ui",
        "plain",
        "-j1",
        ...flags,
      ];
      const child = client.instance.spawn(
        node,
        [script, ...words, ...storeFlags, "--builders", fleet.machines({ maxJobs: 2 }), ...flags],
        {
          cwd: "/homes/root",
          env: {
            ...fleet.env,
            NIX_PATH: `nixpkgs=${nixpkgs}`,
            NO_COLOR: "1",
            TSBUILD_TOP_DECISIONS: "/homes/root/decisions",
          },
        },
      );
      let [stdout, stderr] = ["", ""];
      child.stdout.on("data", (bytes: Buffer) => {
        stdout += bytes.toString();
      });
      child.stderr.on("data", (bytes: Buffer) => {
        stderr += bytes.toString();
      });
      const ended = once(child, "close").then(([status, signal]) => ({ status, signal, stdout, stderr }) as RunResult);
      return { child, ended };
    },
    quiet: (withinMs) => until("every machine to be quiet", () => busy().length === 0, withinMs),
    executed: (salt) => {
      const counts = new Map<string, number>();
      for (const { directory } of machines()) {
        const counter = join(directory, "homes/root/executed");
        if (!existsSync(counter)) continue;
        for (const line of readFileSync(counter, "utf8").split("\n")) {
          const [salted, name = ""] = line.split(" ");
          if (salted === salt) counts.set(name, (counts.get(name) ?? 0) + 1);
        }
      }
      return counts;
    },
    finished: (outputs) => {
      const valid = new Set(
        [...machines().map(({ directory }) => directory), root].flatMap((at) => [...registered(at).keys()]),
      );
      return new Set([...outputs].filter(([, path]) => valid.has(path)).map(([name]) => name));
    },
    undisturbed: async (salt) => {
      const env = { NIX_PATH: `nixpkgs=${nixpkgs}` };
      const words = ["--no-out-link", "-j4", "-E", GRAPH, "-A", "top", "--argstr", "salt", salt];
      const top = await oracle.output("nix-build", words, { env });
      const drvs = await oracle.output("nix-store", ["-qR", await oracle.output("nix-store", ["-qd", top])]);
      const made = drvs.split("\n").filter((path) => /-(?:l\d-\d|top)\.drv$/.test(path));
      const paths = (await oracle.output("nix-store", ["-q", "--outputs", ...made])).split("\n");
      const outputs = new Map(paths.map((path) => [path.replace(/^\/nix\/store\/[^-]+-/, ""), path]));
      return { outputs, store: registered(oracle.directory) };
    },
    decisions: () => readFileSync(join(home, "decisions"), "utf8").split("\n"),
    journals: () => {
      const folder = join(home, ".local/state/tsbuild-top/runs");
      return existsSync(folder) ? readdirSync(folder) : [];
    },
    verify: async () => {
      for (const instance of machines()) {
        const verified = await instance.run("nix-store", ["--verify", "--check-contents"]);
        if (verified.status !== 0 || /error|missing|modified/.test(verified.stderr)) {
          throw new Error(`${instance.name} does not verify: ${verified.stderr}`);
        }
      }
      if (kind === "nix") return;
      const words = ["--store", "/homes/root/tree", "--verify", "--check-contents"];
      const verified = await client.instance.run("nix-store", words);
      if (verified.status !== 0 || /error|missing|modified/.test(verified.stderr)) {
        throw new Error(`the embedded store does not verify: ${verified.stderr}`);
      }
    },
    remove: async () => {
      await oracle.remove();
      await client.remove();
      await fleet.stop();
    },
  };
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").slice(0, 200);
  } catch {
    return "(gone)";
  }
}
