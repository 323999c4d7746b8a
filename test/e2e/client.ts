// The machine a user sits at in end-to-end tests: an instance with its own store in which the built program runs.
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { chownSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PublishedEvent } from "../../src/engine/events/event.ts";
import { parseEventLine } from "../../src/engine/events/json-lines.ts";
import type { Builder, Fleet, MachineFields } from "../support/builders.ts";
import { expectGrammar } from "../support/event-grammar.ts";
import type { NixGeneration } from "../support/nix-generations.ts";
import { type Account, createInstance, type NixInstance } from "../support/nix-instance.ts";
import { standInNixpkgs } from "../support/nixpkgs.ts";
import type { RunResult } from "../support/processes.ts";

/** Where the program is on every instance, run by the Node the checkout brings. */
export const PROGRAM: readonly [string, string] = [
  `/checkout/node_modules/node-linux-${process.arch}/bin/node`,
  "/checkout/bin/tsbuild-top.js",
];

const ids: Readonly<Record<Account, number>> = { root: 0, "tsbt-trusted": 61001, "tsbt-plain": 61002 };

export interface ClientOptions {
  readonly generation: NixGeneration;
  /** Lines of nix.conf. */
  readonly conf?: string;
  /** Runs a root daemon, which ordinary users need; the trusted ones are root and tsbt-trusted. */
  readonly daemon?: boolean;
  readonly sandbox?: boolean;
  /** Path of the network namespace programs run in; the machine's own network when absent. */
  readonly networkNamespace?: string;
}

export interface RunOptions {
  readonly user?: Account;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** A machine to build from. */
export interface Client {
  readonly instance: NixInstance;
  /** Runs the program in the account's home; never rejects because of an exit status. */
  readonly run: (args: readonly string[], options?: RunOptions) => Promise<RunResult>;
  /** Starts the program likewise, to be watched while it runs. */
  readonly start: (args: readonly string[], options?: Omit<RunOptions, "timeoutMs">) => ChildProcessWithoutNullStreams;
  /** `--ui json`, with its events; fails when a line is not one, and when no run can have sent them so. */
  readonly events: (
    args: readonly string[],
    options?: RunOptions,
  ) => Promise<{ readonly result: RunResult; readonly events: PublishedEvent[] }>;
  /** Writes a file into the account's home and answers its path on the instance. */
  readonly write: (name: string, text: string, user?: Account) => string;
  /** The key of a builder where that account can read it. */
  readonly keyOf: (builder: Builder, user?: Account) => string;
  /** Every path of the store is valid and has the contents registered for it, by Nix's own word. Rejects otherwise. */
  readonly verify: () => Promise<void>;
  readonly remove: () => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

export async function createClient(fleet: Fleet, options: ClientOptions): Promise<Client> {
  const nixpkgs = await standInNixpkgs();
  const instance = await createInstance(options.generation, {
    name: "client",
    ...(options.conf === undefined ? {} : { conf: options.conf }),
    ...(options.sandbox === undefined ? {} : { sandbox: options.sandbox }),
  });
  if (options.daemon === true) await instance.startDaemon();
  const home = (user: Account): string => join(instance.directory, "homes", user);
  const write = (name: string, text: string, user: Account = "root"): string => {
    const path = join(home(user), name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, text);
    chownSync(path, ids[user], ids[user]);
    return `/homes/${user}/${name}`;
  };
  // ssh insists that nobody but the account reads its key.
  const keyOf = (builder: Builder, user: Account = "root"): string => {
    const name = `${builder.alias}.key`;
    const path = join(home(user), name);
    copyFileSync(builder.sshd.userKey, path);
    chownSync(path, ids[user], ids[user]);
    return `/homes/${user}/${name}`;
  };
  const { networkNamespace } = options;
  const where = ({ user = "root", env }: RunOptions) => ({
    user,
    cwd: `/homes/${user}`,
    env: { ...fleet.env, NIX_PATH: `nixpkgs=${nixpkgs}`, NO_COLOR: "1", ...env },
    ...(networkNamespace === undefined ? {} : { networkNamespace }),
  });
  const [node, script] = PROGRAM;
  const run: Client["run"] = (args, runOptions = {}) =>
    instance.run(node, [script, ...args], { ...where(runOptions), timeoutMs: runOptions.timeoutMs ?? 60_000 });
  const remove = () => instance.remove();
  return {
    instance,
    run,
    start: (args, runOptions = {}) => instance.spawn(node, [script, ...args], where(runOptions)),
    events: async (args, runOptions) => {
      const result = await run([...args, "--ui", "json"], runOptions);
      const lines = result.stdout.split("\n").filter((line) => line !== "");
      const events = lines.map((line, index) => parseEventLine(line, `line ${index + 1}`));
      // What is refused before it begins has no events, and what is killed has no end.
      if (events.length > 0) expectGrammar(events, { isWhole: result.status !== null });
      return { result, events };
    },
    write,
    keyOf,
    verify: async () => {
      await instance.output("nix-store", ["--verify", "--check-contents"]);
    },
    remove,
    [Symbol.asyncDispose]: remove,
  };
}

/** A machine line with another scheme than the builder's own: `ssh-ng`, `ssh`, or "" for the bare alias. */
export function lineFor(builder: Builder, scheme: "ssh-ng" | "ssh" | "", fields?: MachineFields): string {
  const uri = scheme === "" ? builder.alias : `${scheme}://${builder.alias}`;
  return [uri, ...builder.machineLine(fields).split(" ").slice(1)].join(" ");
}

/** Which machine built which derivation: name → machine, of finished builds. */
export function placesOf(events: readonly PublishedEvent[]): Map<string, string> {
  const names = new Map<string, string>();
  const places = new Map<string, string>();
  for (const { event } of events) {
    if (event.type === "goalsAdded") for (const goal of event.goals) names.set(goal.goal, goal.name);
    if (event.type === "buildAssigned") places.set(names.get(event.goal) ?? event.goal, event.machine);
  }
  return places;
}
