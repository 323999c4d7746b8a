// `demo`: makes three builders on loopback with keys of their own, says how a run uses them, and leaves nothing behind.
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EngineError } from "../../base/errors.ts";
import { programFile } from "../../base/program-files.ts";
import type { Surroundings } from "../../base/surroundings.ts";
import { loadConfig } from "../../config/load.ts";
import type { BuildRunRequest } from "../../run/create-build-run.ts";
import { demandSandbox } from "../../stores/embedded/executor/sandbox/capability.ts";
import { removeTree } from "../../stores/embedded/files/remove.ts";
import { makeSshKeyPair, type SshKeyPair } from "../../transports/ssh/keys/ssh-key-pair.ts";
import { type BuilderAnswer, type BuilderRequest, END_MESSAGE } from "./builder-messages.ts";
import { DemoJudge } from "./expect.ts";
import { findDemoTools } from "./tools.ts";

export type { DemoReport } from "./expect.ts";

/** The demo, ready to run. */
export interface Demo {
  /** The run to make, and where. */
  readonly request: Omit<BuildRunRequest, "holdWhenFailed">;
  readonly surroundings: Surroundings;
  /** Listens to the run, and says whether it came out as designed. */
  readonly judge: DemoJudge;
  /** Names of the builders. */
  readonly builders: readonly string[];
  /** Ends the builders and removes everything. Safe to call again. */
  close(): Promise<void>;
}

/** The machines, named and featured like those of the manual's example (Remote Builds). */
const MACHINES = [
  { name: "itchy", scheme: "ssh", slots: 2, speed: 2, features: ["big-parallel"], mandatory: [] },
  { name: "scratchy", scheme: "ssh-ng", slots: 2, speed: 1, features: ["big-parallel"], mandatory: [] },
  { name: "poochie", scheme: "ssh", slots: 1, speed: 2, features: ["benchmark"], mandatory: ["benchmark"] },
] as const;

/** How long (milliseconds) a builder may take to end by itself. */
const END_PATIENCE = 5_000;

/** Follows how this file runs: as TypeScript from the sources, as JavaScript when compiled. */
const PROCESS = programFile("engine/commands/demo/builder-process");
const BOOK = programFile("engine/commands/demo/book");

/**
 * Starts the builders.
 * @throws EngineError `EXECUTOR_NO_SANDBOX` where nothing can be built, `DEMO_BUILDER_FAILED`, `DEMO_TOOL_MISSING`, `EXECUTOR_NO_SHELL`
 */
export async function startDemo(surroundings: Surroundings): Promise<Demo> {
  demandSandbox();
  const tools = findDemoTools();
  const { system } = loadConfig(new Map()).settings;
  const base = mkdtempSync(join(tmpdir(), "tsbuild-top-demo-"));
  const children: ChildProcess[] = [];
  let closing: Promise<void> | null = null;
  const close = (): Promise<void> => {
    closing ??= end(children, base);
    return closing;
  };
  try {
    const client = makeSshKeyPair();
    writeFileSync(join(base, "user_key"), client.privateKey, { mode: 0o600 });
    const started = await Promise.all(
      MACHINES.map(async ({ name, slots, features }) => {
        const hostKey = makeSshKeyPair();
        const child = startBuilder(surroundings);
        children.push(child);
        const root = join(base, name);
        const request: BuilderRequest = {
          root,
          base,
          hostKey,
          clientKey: client.publicKey,
          system,
          maxJobs: slots,
          systemFeatures: features,
          sandboxPaths: tools.sandboxPaths,
        };
        return { hostKey, port: await listening(child, name, request) };
      }),
    );
    const config = join(base, "ssh_config");
    writeFileSync(
      config,
      sshConfig(
        base,
        started.map(({ port }) => port),
      ),
    );
    const environment = { ...surroundings.environment, NIX_SSHOPTS: `-F '${config}'` };
    return {
      request: {
        settingsOverrides: settings(base, system, started, tools.sandboxPaths),
        installables: { words: [BOOK], file: null, expression: null, attributes: [] },
        evaluation: {
          arguments: [
            { type: "text", name: "busybox", value: tools.busybox },
            { type: "text", name: "path", value: tools.path },
          ],
          lookupPath: [],
          showTrace: false,
          flakeFlags: [],
        },
        check: "no",
        diffoscope: false,
        profile: null,
        outLink: null,
        dryRun: false,
        uploadTo: null,
      },
      surroundings: { ...surroundings, environment },
      judge: new DemoJudge(),
      builders: MACHINES.map(({ name }) => name),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function startBuilder({ environment }: Surroundings): ChildProcess {
  return fork(PROCESS, [], {
    env: { ...environment },
    execArgv: ["--disable-warning=ExperimentalWarning"],
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    serialization: "advanced",
  });
}

function listening(child: ChildProcess, name: string, request: BuilderRequest): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (message: string, hint: string | null): void =>
      reject(
        new EngineError(
          "transport",
          "DEMO_BUILDER_FAILED",
          `the demo's builder '${name}' did not start: ${message}`,
          hint === null ? {} : { hint },
        ),
      );
    child.once("error", (error) => failed(error.message, null));
    child.once("exit", (code, signal) => failed(`it ended with ${signal ?? `status ${code}`}`, null));
    child.once("message", (answer: BuilderAnswer) => {
      if (answer.type === "listening") resolve(answer.port);
      else failed(answer.message, answer.hint);
    });
    child.send(request);
  });
}

/** Nothing of the user's own SSH configuration counts: neither keys, nor agents, nor known hosts. */
function sshConfig(base: string, ports: readonly number[]): string {
  const hosts = MACHINES.map(({ name }, index) => `Host ${name}\n  HostName 127.0.0.1\n  Port ${ports[index]}\n`);
  const common = [
    "Host *",
    "  User demo",
    `  IdentityFile "${join(base, "user_key")}"`,
    "  IdentitiesOnly yes",
    "  IdentityAgent none",
    `  UserKnownHostsFile "${join(base, "known_hosts")}"`,
    "  GlobalKnownHostsFile none",
  ];
  return `${hosts.join("")}${common.join("\n")}\n`;
}

/** The settings of the run; where the user's own could disturb it, they are set as well. */
function settings(
  base: string,
  system: string,
  started: readonly { readonly hostKey: SshKeyPair }[],
  sandboxPaths: readonly string[] | null,
): Map<string, string> {
  const list = (words: readonly string[]): string => (words.length === 0 ? "-" : words.join(","));
  const lines = MACHINES.map(({ name, scheme, slots, speed, features, mandatory }, index) => {
    const hostKey = Buffer.from(started[index]?.hostKey.publicKey ?? "").toString("base64");
    return `${scheme}://${name} ${system} - ${slots} ${speed} ${list(features)} ${list(mandatory)} ${hostKey}`;
  });
  return new Map([
    ["store", join(base, "local")],
    ["builders", lines.join("\n")],
    ["max-jobs", "1"],
    ["cores", "1"],
    ["repeat", "1"],
    ["enforce-determinism", "false"],
    ["keep-going", "true"],
    ["substitute", "false"],
    ["builders-use-substitutes", "false"],
    ["system", system],
    ["system-features", ""],
    ["journal-dir", join(base, "journal")],
    ["sandbox-paths", (sandboxPaths ?? []).join(" ")],
    ["post-build-hook", ""],
    ["secret-key-files", ""],
    ["run-diff-hook", "false"],
    ["keep-failed", "false"],
    ["timeout", "0"],
    ["max-silent-time", "0"],
    ["max-build-log-size", "0"],
  ]);
}

async function end(children: readonly ChildProcess[], base: string): Promise<void> {
  await Promise.all(
    children.map(
      (child) =>
        new Promise<void>((resolve) => {
          if (child.exitCode !== null || child.signalCode !== null) {
            resolve();
            return;
          }
          const late = setTimeout(() => child.kill("SIGKILL"), END_PATIENCE);
          child.once("exit", () => {
            clearTimeout(late);
            resolve();
          });
          if (child.connected) child.send(END_MESSAGE, () => undefined);
          else child.kill();
        }),
    ),
  );
  await removeTree(base);
}
