// A real OpenSSH sshd on loopback; given an instance it runs on that private machine, so each sshd is one builder of its own.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import type { Account, NixInstance } from "./nix-instance.ts";
import { ended, killAtExit, outputOf, processTree, signalAll, until } from "./processes.ts";
import { removeDirectory, temporaryDirectory } from "./temporary-directory.ts";

/** Options of {@link startSshd}. */
export interface SshdOptions {
  /** The machine it runs on; the host itself when absent. */
  readonly instance?: NixInstance;
  /** The account the key opens (all accounts of an instance accept it); root when absent. */
  readonly user?: Account;
  /** Run instead of whatever the client asks (`ForceCommand`), for instance a shell that prints; the request is in SSH_ORIGINAL_COMMAND. */
  readonly forceCommand?: string;
  /** sshd's `MaxSessions`: channels per connection; 10, as by default, when absent. */
  readonly maxSessions?: number;
  /** sshd's `MaxStartups`; "10:30:100", as by default, when absent. */
  readonly maxStartups?: string;
  /** Set in every session, winning over what the client sends. A PATH without Nix is the usual mistake. */
  readonly env?: Readonly<Record<string, string>>;
  /** Further lines of sshd_config. */
  readonly conf?: string;
  /** Address to listen on; 127.0.0.1 when absent. Another one only inside a network namespace of the test's own. */
  readonly address?: string;
  /** Port; a free one when absent. Give the one of a stopped sshd to bring a machine back. */
  readonly port?: number;
  /** Path of the network namespace to run in (`netns.ts`). */
  readonly networkNamespace?: string;
}

/** A running sshd. */
export interface Sshd {
  readonly host: string;
  readonly port: number;
  readonly user: Account;
  readonly pid: number;
  /** File with the private key that opens the accounts (mode 0600). */
  readonly userKey: string;
  /** File with a private key that opens nothing. */
  readonly strangerKey: string;
  /** "ssh-ed25519 AAAA…", without a comment. */
  readonly hostKeyPublic: string;
  /** The eighth field of a machine line. */
  readonly base64HostKey: string;
  /** A line of known_hosts for the given name; for `[host]:port` when none is given. */
  readonly knownHostsLine: (name?: string) => string;
  /** What sshd logged until now. */
  readonly log: () => string;
  /** Stops every process of the machine without closing a connection: it answers no more (SIGSTOP). */
  readonly freeze: () => void;
  readonly thaw: () => void;
  /** The machine is gone at once, builders and daemons included (SIGKILL); the port refuses. */
  readonly kill: () => Promise<void>;
  /** Brings sshd back after {@link kill}, at the same port with the same keys. */
  readonly restart: () => Promise<void>;
  /** Closes the listener and every session; what else runs on the machine (a nix-daemon) stays. May be called twice. */
  readonly stop: () => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

/** Starts an sshd and waits until it answers. Throws with its log when it does not. */
export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  const { instance, user = "root", address = "127.0.0.1", networkNamespace } = options;
  const directory = temporaryDirectory("sshd");
  const key = async (name: string) => {
    await outputOf("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", join(directory, name)]);
    return readFileSync(join(directory, `${name}.pub`), "utf8").trim();
  };
  const [hostKeyLine, userKeyLine] = await Promise.all([key("host_key"), key("user_key"), key("stranger_key")]);
  const hostKeyPublic = hostKeyLine.split(" ").slice(0, 2).join(" ");
  writeFileSync(join(directory, "authorized_keys"), `${userKeyLine}\n`, { mode: 0o644 });

  const port = options.port ?? (networkNamespace === undefined ? await freePort() : 22);
  const configPath = join(directory, "sshd_config");
  writeFileSync(configPath, configText(options, directory, address, port));

  let log = "";
  const start = async (): Promise<ChildProcess> => {
    const heardBefore = log.length;
    const child = spawnSshd(configPath, instance, networkNamespace);
    child.stderr?.on("data", (chunk: Buffer) => {
      log += chunk.toString();
    });
    const alive = () => child.exitCode === null && child.signalCode === null;
    await until("sshd to listen", async () => {
      if (!alive()) return true;
      const listens = log.includes("Server listening", heardBefore);
      return listens && (networkNamespace !== undefined || (await accepts(address, port)));
    });
    if (child.pid === undefined || !alive()) {
      removeDirectory(directory);
      throw new Error(`sshd did not start: ${log}`);
    }
    child.unref();
    return child;
  };
  let child = await start();

  // Builders in their sandboxes and daemons are no children of sshd; a machine that dies takes them along.
  const machine = () => [...new Set([...processTree([child.pid ?? 0]), ...(instance?.processes() ?? [])])];
  const spare = killAtExit(machine);
  const end = async (doomed: readonly number[], first: NodeJS.Signals) => {
    child.ref();
    signalAll(doomed, first);
    signalAll(doomed, "SIGCONT");
    const timer = setTimeout(() => signalAll(doomed, "SIGKILL"), 2_000);
    await ended(child);
    clearTimeout(timer);
  };
  const stop = async () => {
    spare();
    await end(processTree([child.pid ?? 0]), "SIGTERM");
    removeDirectory(directory);
  };
  return {
    host: address,
    port,
    user,
    get pid() {
      return child.pid ?? 0;
    },
    userKey: join(directory, "user_key"),
    strangerKey: join(directory, "stranger_key"),
    hostKeyPublic,
    base64HostKey: Buffer.from(hostKeyPublic).toString("base64"),
    knownHostsLine: (name = `[${address}]:${port}`) => `${name} ${hostKeyPublic}`,
    log: () => log,
    freeze: () => signalAll(machine(), "SIGSTOP"),
    thaw: () => signalAll(machine(), "SIGCONT"),
    kill: () => end(machine(), "SIGKILL"),
    restart: async () => {
      child = await start();
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** One host of a generated ssh_config. */
export interface SshAlias {
  readonly alias: string;
  readonly sshd: Sshd;
  readonly user?: string;
}

/** Text of an ssh_config (for `ssh -F`) and of its known_hosts, in which each alias leads to its sshd and trusts its host key. */
export function sshConfigText(
  aliases: readonly SshAlias[],
  knownHostsPath: string,
): { config: string; knownHosts: string } {
  const blocks = aliases.map(
    ({ alias, sshd, user }) => `Host ${alias}
  HostName ${sshd.host}
  Port ${sshd.port}
  User ${user ?? sshd.user}
  IdentityFile ${sshd.userKey}
  IdentitiesOnly yes
  HostKeyAlias ${alias}
`,
  );
  const common = `Host *
  UserKnownHostsFile ${knownHostsPath}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  BatchMode yes
  ConnectTimeout 10
`;
  const knownHosts = aliases.map(({ alias, sshd }) => `${sshd.knownHostsLine(alias)}\n`).join("");
  return { config: [...blocks, common].join("\n"), knownHosts };
}

function configText(options: SshdOptions, directory: string, address: string, port: number): string {
  // Bash run by sshd reads the account's ~/.bashrc unless it takes itself for an inner shell; what stands there is not part of a test.
  const environment = Object.entries({ SHLVL: "1", ...options.env });
  return [
    `ListenAddress ${address}`,
    `Port ${port}`,
    `HostKey ${join(directory, "host_key")}`,
    `AuthorizedKeysFile ${join(directory, "authorized_keys")}`,
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitRootLogin prohibit-password",
    "StrictModes no",
    "UsePAM no",
    "UseDNS no",
    "PidFile none",
    "PrintMotd no",
    "PrintLastLog no",
    "LogLevel VERBOSE",
    `MaxSessions ${options.maxSessions ?? 10}`,
    `MaxStartups ${options.maxStartups ?? "10:30:100"}`,
    ...(options.forceCommand === undefined ? [] : [`ForceCommand ${options.forceCommand}`]),
    `SetEnv ${environment.map(([name, value]) => `"${name}=${value}"`).join(" ")}`,
    options.conf ?? "",
    "",
  ].join("\n");
}

function spawnSshd(
  configPath: string,
  instance: NixInstance | undefined,
  networkNamespace: string | undefined,
): ChildProcess {
  const args = ["-D", "-e", "-f", configPath];
  const where = networkNamespace === undefined ? {} : { networkNamespace };
  if (instance !== undefined) {
    const [enter, ...rest] = instance.argv("/usr/sbin/sshd", args, where);
    return spawn(enter, rest, { stdio: ["ignore", "ignore", "pipe"] });
  }
  // sshd insists on this folder for its unprivileged half; a package's service would have made it.
  mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const [program, ...rest] =
    networkNamespace === undefined ? [] : ["/usr/bin/nsenter", `--net=${networkNamespace}`, "/usr/sbin/sshd", ...args];
  return spawn(program ?? "/usr/sbin/sshd", program === undefined ? args : rest, {
    stdio: ["ignore", "ignore", "pipe"],
  });
}

/** A TCP port of loopback nobody listens on now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
