// Runs of many builds on three real builders, one of which gets into trouble in the middle; what became of them, and how long it took.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { DEFAULT_PLAN_OPTIONS } from "../../src/engine/scheduler/plan/options.ts";
import { type Builder, type BuilderSpec, type Fleet, startBuilders } from "../support/builders.ts";
import { createNetwork, type Network } from "../support/netns.ts";
import type { NixGeneration } from "../support/nix-generations.ts";
import { removeDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { type Client, createClient, PROGRAM } from "./client.ts";

/** What happens to a builder while it works. */
export type FaultName = "killed" | "frozen" | "cutOff" | "diskFull" | "garbage";

/** A fault: how it comes, how it goes, and what must be said of the builder meanwhile. */
export interface Fault {
  readonly name: FaultName;
  /** Alias of the builder it happens to. */
  readonly alias: string;
  readonly says: RegExp;
  readonly begin: () => Promise<void>;
  readonly end: () => Promise<void>;
}

/** What one run came to. */
export interface FaultRun {
  readonly status: number | null;
  /** From the first build's start to the program's end (ms): logging in and evaluating are not counted. */
  readonly durationMs: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Builds begun by machine, counted from the output. */
  readonly begun: ReadonlyMap<string, number>;
}

/** Three builders, each behind a cable of its own, and a user's machine. */
export interface FaultRig {
  readonly fleet: Fleet;
  readonly client: Client;
  readonly faults: readonly Fault[];
  /** A fault that ends by itself: the first builder is gone, and comes back after a few seconds. */
  readonly reboot: Fault;
  /** Runs that many builds, on the given builders only; the fault begins when half of them were begun and ends with the run. */
  readonly run: (builds: number, salt: string, fault: Fault | null, on?: readonly Builder[]) => Promise<FaultRun>;
  readonly stop: () => Promise<void>;
}

/** The longest first cool-down of a machine that failed (ms). */
export const COOL_DOWN_MS = DEFAULT_PLAN_OPTIONS.coolDown.firstMs;

/** Slots of each builder. */
const SLOTS = 2;

/** `count` builds of half a second to nine tenths, three tenths of them behind others. */
const MANY = `
{ salt, count }:
with import <nixpkgs> {};
let
  total = builtins.fromJSON count;
  free = total - 3 * (total / 10);
  seconds = n: "0.\${toString (5 + n - n / 5 * 5)}";
  after = n: if n < free then [ ] else [ (part (n - free)) ];
  part = n: runCommand "part-\${toString n}" { inherit salt; inputs = after n; } ''
    sleep \${seconds n}
    echo part \${toString n} $inputs > $out
  '';
in builtins.genList part total
`;

/** Starts the rig; the builders run the generations in turn. */
export async function startFaultRig(generations: readonly NixGeneration[]): Promise<FaultRig> {
  const network: Network = await createNetwork(3);
  const directory = temporaryDirectory("faults");
  const trigger = join(directory, "garbage");
  const specs = network.cables.map(
    ({ server }, index): BuilderSpec => ({
      generation: generations[index % generations.length]!,
      ...(index === 1 ? { instance: { storeMiB: 64 } } : {}),
      sshd: {
        address: server.address,
        networkNamespace: server.path,
        ...(index === 2
          ? { forceCommand: `${PROGRAM[0]} /checkout/test/e2e/hostile-server.mjs garbage:${trigger}` }
          : {}),
      },
    }),
  );
  let fleet: Fleet | null = null;
  let client: Client | null = null;
  const stop = async (): Promise<void> => {
    await client?.remove();
    await fleet?.stop();
    await network.remove();
    removeDirectory(directory);
  };
  try {
    fleet = await startBuilders(specs);
    client = await createClient(fleet, { generation: generations[0]!, networkNamespace: network.client.path });
  } catch (error) {
    await stop();
    throw error;
  }
  const file = client.write("many.nix", MANY);
  return {
    fleet,
    client,
    faults: faultsOf(fleet, network, trigger),
    reboot: rebootOf(fleet.builders[0]!),
    run: (builds, salt, fault, on = fleet.builders) => {
      const machines = on.map((builder) => `${builder.machineLine({ maxJobs: SLOTS })}\n`).join("");
      const words = ["-f", file, "--argstr", "salt", salt, "--argstr", "count", `${builds}`, "--builders", machines];
      return runMany(client, words, builds, fault);
    },
    stop,
  };
}

function faultsOf(fleet: Fleet, network: Network, trigger: string): Fault[] {
  const [first, second] = fleet.builders;
  const full = second!.instance;
  return [
    {
      name: "killed",
      alias: "b1",
      says: /lost|refused|closed/,
      begin: () => first!.sshd.kill(),
      end: () => first!.sshd.restart(),
    },
    {
      name: "frozen",
      alias: "b1",
      says: /no answer|no sign of life/,
      begin: async () => first!.sshd.freeze(),
      end: async () => first!.sshd.thaw(),
    },
    {
      name: "cutOff",
      alias: "b1",
      says: /no answer|no sign of life/,
      begin: () => network.cables[0]!.down(),
      end: () => network.cables[0]!.up(),
    },
    {
      name: "diskFull",
      alias: "b2",
      says: /disk is full/,
      begin: async () => {
        await full.run("/bin/sh", ["-c", "cat /dev/zero > /nix/filler; cat /dev/zero > /nix/store/.filler"]);
      },
      end: async () => {
        await full.run("/bin/sh", ["-c", "rm -f /nix/filler /nix/store/.filler"]);
      },
    },
    {
      name: "garbage",
      alias: "b3",
      says: /expected|greeting|worker protocol/i,
      begin: async () => writeFileSync(trigger, ""),
      end: async () => rmSync(trigger, { force: true }),
    },
  ];
}

/** Too long for the first two tries to reach it again. */
const REBOOT_MS = 8_000;

function rebootOf({ alias, sshd }: Builder): Fault {
  return {
    name: "killed",
    alias,
    says: /connection refused/,
    begin: async () => {
      await sshd.kill();
      await delay(REBOOT_MS);
      await sshd.restart();
    },
    end: async () => undefined,
  };
}

async function runMany(
  client: Client,
  words: readonly string[],
  builds: number,
  fault: Fault | null,
): Promise<FaultRun> {
  // The builders share this machine's processors, and what they say of its load at different times is no difference between them.
  const child = client.start([
    ...["--option", "builders-poll-interval", "0"],
    ...["--ui", "plain", "-j0", "--no-out-link", ...words],
  ]);
  let stdout = "";
  let stderr = "";
  let firstAt = 0;
  let beginning: Promise<void> | null = null;
  const begun = (): string[] => stderr.match(/^building '.*' on '.*'/gm) ?? [];
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
    const count = begun().length;
    if (count > 0 && firstAt === 0) firstAt = performance.now();
    if (fault !== null && count >= builds / 2) beginning ??= fault.begin();
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), 300_000);
  const status = await new Promise<number | null>((resolve) => child.once("close", resolve));
  const durationMs = performance.now() - firstAt;
  clearTimeout(timer);
  await beginning;
  if (beginning !== null) await fault?.end();
  const counts = new Map<string, number>();
  for (const line of begun()) {
    const machine = /on '(?:ssh-ng:\/\/)?([^']*)'/.exec(line)?.[1] ?? "";
    counts.set(machine, (counts.get(machine) ?? 0) + 1);
  }
  return { status, durationMs, stdout, stderr, begun: counts };
}
