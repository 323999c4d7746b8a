// One private machine with one Nix: a mount namespace with its own /nix, /etc and homes, in which programs and daemons are run.
import { type ChildProcess, type ChildProcessWithoutNullStreams, type SpawnOptions, spawn } from "node:child_process";
import { chownSync, cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { atLeast, type NixGeneration } from "./nix-generations.ts";
import {
  type CollectOptions,
  collect,
  ended,
  killAtExit,
  mountNamespaceOf,
  processTree,
  type RunResult,
  signalAll,
  successful,
  until,
} from "./processes.ts";
import { removeDirectory, temporaryDirectory } from "./temporary-directory.ts";

/** The accounts every instance has. Only a running daemon makes a difference between the last two (`trusted-users`). */
export type Account = "root" | "tsbt-trusted" | "tsbt-plain";

const accounts: Readonly<Record<Account, number>> = { root: 0, "tsbt-trusted": 61001, "tsbt-plain": 61002 };
const programs = [
  "nix",
  "nix-store",
  "nix-daemon",
  "nix-build",
  "nix-instantiate",
  "nix-copy-closure",
  "nix-collect-garbage",
];
const machinePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Options of {@link createInstance}. */
export interface InstanceOptions {
  /** Names the folder, for people who look at /tmp. */
  readonly name?: string;
  /** Whether Nix sandboxes builds; false when absent. A number of milliseconds per build, and no /bin/sh but the sandbox's. */
  readonly sandbox?: boolean;
  /** Further lines of nix.conf; they win over the defaults. */
  readonly conf?: string;
  /** Size of a file system of its own for the machine's /nix, which can be filled; the host's when absent. */
  readonly storeMiB?: number;
}

/** Where and as whom a program runs on an instance. */
export interface InstanceRunOptions {
  readonly user?: Account;
  /** As the machine sees it; "/" when absent. */
  readonly cwd?: string;
  /** Added to a minimal environment (PATH, HOME, USER, LANG); nothing of the test's own environment gets through. */
  readonly env?: Readonly<Record<string, string>>;
  /** Path of a network namespace, as `netns.ts` makes them. */
  readonly networkNamespace?: string;
}

/** A running nix-daemon of an instance. */
export interface RunningDaemon {
  /** The socket as this process reaches it (on the instance itself it is Nix's usual place). */
  readonly socketPath: string;
  readonly pid: number;
  /** Ends the daemon and the connections it serves. */
  readonly stop: () => Promise<void>;
}

/** One private machine. */
export interface NixInstance {
  readonly name: string;
  readonly generation: NixGeneration;
  /** Folder on the host: `nix/` is the machine's /nix, `etc/` its /etc, `homes/` its homes, `bin/` the wrappers. */
  readonly directory: string;
  /** Path on the host of the machine's nix.conf; read by Nix at each start, so a change counts from the next program on. */
  readonly nixConf: string;
  /** Where the project's checkout is on the machine, readable for all its accounts. */
  readonly checkout: "/checkout";
  /** Host path of a wrapper that runs that Nix program on the machine, as root, in the caller's folder and environment. */
  readonly command: (program: string) => string;
  /** The words that run a program on the machine, for spawn, tmux or a pty; its environment is part of the words. */
  readonly argv: (program: string, args: readonly string[], options?: InstanceRunOptions) => [string, ...string[]];
  readonly spawn: (
    program: string,
    args: readonly string[],
    options?: InstanceRunOptions,
  ) => ChildProcessWithoutNullStreams;
  /** Runs to the end; never rejects because of an exit status. */
  readonly run: (
    program: string,
    args: readonly string[],
    options?: InstanceRunOptions & Pick<CollectOptions, "input" | "timeoutMs">,
  ) => Promise<RunResult>;
  /** Trimmed stdout; rejects with stderr when the status is not 0. */
  readonly output: (
    program: string,
    args: readonly string[],
    options?: InstanceRunOptions & Pick<CollectOptions, "input" | "timeoutMs">,
  ) => Promise<string>;
  /** Where a path of the machine's /nix lies on the host: `hostPath("/nix/store/…")`. */
  readonly hostPath: (path: string) => string;
  /** Starts nix-daemon; trusted are root and `tsbt-trusted` when nothing is said. */
  readonly startDaemon: (options?: { readonly trustedUsers?: readonly string[] }) => Promise<RunningDaemon>;
  /** Process ids of everything that runs on the machine, builders in their sandboxes included. */
  readonly processes: () => number[];
  /** Kills what runs on the machine and deletes it. May be called twice. */
  readonly remove: () => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

/** Makes a machine (about 0.2 s). It goes with {@link NixInstance.remove}, or when the test process dies. */
export async function createInstance(generation: NixGeneration, options: InstanceOptions = {}): Promise<NixInstance> {
  const name = options.name ?? `nix-${generation.version}`;
  const directory = temporaryDirectory(name.replaceAll(/[^A-Za-z0-9.-]/g, "-").slice(0, 24));
  for (const folder of ["root", "nix", "etc/nix", "homes", "bin"])
    mkdirSync(join(directory, folder), { recursive: true });
  const nixConf = join(directory, "etc/nix/nix.conf");
  writeFileSync(nixConf, confText(generation, options));
  writeEtc(join(directory, "etc"), generation);
  for (const [account, id] of Object.entries(accounts)) {
    mkdirSync(join(directory, "homes", account));
    chownSync(join(directory, "homes", account), id, id);
  }

  const holder = await startHolder(generation, directory, options.storeMiB ?? null);
  const pid = holder.pid ?? 0;
  const namespace = mountNamespaceOf(pid);
  const processes = () => processTree([], namespace).filter((member) => member !== pid);

  const argv = (program: string, args: readonly string[], where: InstanceRunOptions = {}): [string, ...string[]] => {
    const user = where.user ?? "root";
    const id = accounts[user];
    const environment = {
      PATH: machinePath,
      HOME: `/homes/${user}`,
      USER: user,
      LOGNAME: user,
      LANG: "C.UTF-8",
      ...where.env,
    };
    return [
      "/usr/bin/nsenter",
      `--mount=/proc/${pid}/ns/mnt`,
      ...(where.networkNamespace === undefined ? [] : [`--net=${where.networkNamespace}`]),
      `--wdns=${where.cwd ?? "/"}`,
      ...(id === 0 ? [] : ["--setuid", `${id}`, "--setgid", `${id}`]),
      "--",
      "/usr/bin/env",
      "-i",
      ...Object.entries(environment).map(([key, value]) => `${key}=${value}`),
      program,
      ...args,
    ];
  };
  const start = (
    program: string,
    args: readonly string[],
    where: InstanceRunOptions | undefined,
    spawnOptions: SpawnOptions,
  ) => {
    const [enter, ...rest] = argv(program, args, where);
    return spawn(enter, rest, spawnOptions);
  };
  const run: NixInstance["run"] = (program, args, where) => {
    const [enter, ...rest] = argv(program, args, where);
    const { input, timeoutMs } = where ?? {};
    return collect(enter, rest, {
      ...(input === undefined ? {} : { input }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
  };
  const output: NixInstance["output"] = async (program, args, where) =>
    successful([program, ...args], await run(program, args, where));

  // A store of its own file system is there only as the machine sees it.
  const root = options.storeMiB === undefined ? directory : `/proc/${pid}/root`;
  const hostPath = (path: string) => join(root, path);

  let daemon: RunningDaemon | undefined;
  let removed = false;
  // A test process that ends early must not leave builders running; they would go on writing to a deleted store.
  const spare = killAtExit(() => [...processes(), pid]);
  const remove = async () => {
    if (removed) return;
    removed = true;
    spare();
    await daemon?.stop();
    signalAll(processes(), "SIGKILL");
    holder.ref();
    holder.stdin?.end();
    await ended(holder);
    removeDirectory(directory);
  };

  for (const program of programs) writeWrapper(join(directory, "bin", program), program, pid);
  // Makes the store, its database and their modes, so that ordinary users find a finished machine.
  await output("nix-store", ["--init"]);

  return {
    name,
    generation,
    directory,
    nixConf,
    checkout: "/checkout",
    command: (program) => join(directory, "bin", program),
    argv,
    spawn: (program, args, where) => start(program, args, where, { stdio: "pipe" }) as ChildProcessWithoutNullStreams,
    run,
    output,
    hostPath,
    processes,
    startDaemon: async ({ trustedUsers = ["root", "tsbt-trusted"] } = {}) => {
      if (daemon !== undefined) throw new Error(`${name} already runs a nix-daemon`);
      const option = ["--option", "trusted-users", trustedUsers.join(" ")];
      const child = start("nix-daemon", option, {}, { stdio: ["ignore", "ignore", "pipe"] });
      const socketPath = hostPath("/nix/var/nix/daemon-socket/socket");
      daemon = await awaitDaemon(child, socketPath, () => {
        daemon = undefined;
      });
      return daemon;
    },
    remove,
    [Symbol.asyncDispose]: remove,
  };
}

function confText(generation: NixGeneration, options: InstanceOptions): string {
  const features = ["nix-command", "flakes", "ca-derivations"];
  if (atLeast(generation, "2.17")) features.push("dynamic-derivations");
  return [
    `sandbox = ${options.sandbox ?? false}`,
    "substituters =",
    "build-users-group =",
    `experimental-features = ${features.join(" ")}`,
    options.conf ?? "",
    "",
  ].join("\n");
}

/** The machine's own /etc: accounts that exist on no other machine, and what name look-ups need. */
function writeEtc(etc: string, generation: NixGeneration): void {
  const users = Object.entries(accounts);
  const lines = (each: (name: string, id: number) => string) => users.map(([user, id]) => each(user, id)).join("\n");
  writeFileSync(
    join(etc, "passwd"),
    `${lines((user, id) => `${user}:x:${id}:${id}::/homes/${user}:/bin/bash`)}
sshd:x:61003:65534::/run/sshd:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`,
  );
  writeFileSync(join(etc, "group"), `${lines((user, id) => `${user}:x:${id}:`)}\nnogroup:x:65534:\n`);
  // "*" is "no password"; the "!" that useradd writes would be a locked account, which sshd turns away.
  writeFileSync(join(etc, "shadow"), `${lines((user) => `${user}:*:20000:0:99999:7:::`)}\n`, { mode: 0o600 });
  writeFileSync(join(etc, "hosts"), "127.0.0.1 localhost\n::1 localhost\n");
  writeFileSync(join(etc, "nsswitch.conf"), "passwd: files\ngroup: files\nshadow: files\nhosts: files\n");
  // On the host's own root many programs (awk, editors) are links through this folder.
  if (generation.root === "/" && existsSync("/etc/alternatives")) {
    cpSync("/etc/alternatives", join(etc, "alternatives"), { recursive: true, verbatimSymlinks: true });
  }
}

async function startHolder(
  generation: NixGeneration,
  directory: string,
  storeMiB: number | null,
): Promise<ChildProcess> {
  const script = fileURLToPath(new URL("nix-instance-root.sh", import.meta.url));
  const checkout = fileURLToPath(new URL("../..", import.meta.url));
  const words = [script, generation.root, directory, checkout, ...(storeMiB === null ? [] : [`${storeMiB}`])];
  const holder = spawn("/usr/bin/unshare", ["--mount", "/bin/sh", ...words], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { PATH: machinePath },
  });
  let printed = "";
  let complaint = "";
  holder.stdout.on("data", (chunk: Buffer) => {
    printed += chunk.toString();
  });
  holder.stderr.on("data", (chunk: Buffer) => {
    complaint += chunk.toString();
  });
  await until(
    "a private machine",
    () => printed.includes("ready") || holder.exitCode !== null || holder.signalCode !== null,
  );
  if (!printed.includes("ready")) throw new Error(`no private machine for Nix ${generation.version}: ${complaint}`);
  // The holder lives as long as the pipe to it; it must not keep this process alive.
  holder.unref();
  for (const stream of [holder.stdin, holder.stdout, holder.stderr]) {
    if ("unref" in stream && typeof stream.unref === "function") stream.unref();
  }
  return holder;
}

function writeWrapper(path: string, program: string, pid: number): void {
  writeFileSync(
    path,
    `#!/bin/sh
# Runs ${program} on a private test machine.
[ -d "/proc/${pid}/root$PWD" ] || cd /
exec /usr/bin/nsenter --mount=/proc/${pid}/ns/mnt --wdns="$PWD" -- /usr/bin/env HOME=/homes/root PATH=${machinePath} /usr/bin/${program} "$@"
`,
    { mode: 0o755 },
  );
}

async function awaitDaemon(child: ChildProcess, socketPath: string, onStop: () => void): Promise<RunningDaemon> {
  let complaint = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-4000);
  });
  const answers = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect(socketPath);
      socket.once("connect", () => {
        socket.destroy();
        resolve(true);
      });
      socket.once("error", () => resolve(false));
    });
  await until("nix-daemon to listen", async () => child.exitCode !== null || (await answers()));
  const pid = child.pid;
  if (pid === undefined || child.exitCode !== null) throw new Error(`nix-daemon did not start: ${complaint}`);
  return {
    socketPath,
    pid,
    stop: async () => {
      onStop();
      const tree = processTree([pid]);
      child.kill("SIGTERM");
      signalAll(tree, "SIGTERM");
      const timer = setTimeout(() => signalAll(tree, "SIGKILL"), 3_000);
      await ended(child);
      clearTimeout(timer);
    },
  };
}
