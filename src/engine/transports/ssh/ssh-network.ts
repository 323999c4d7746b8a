// How a login gets from an ssh configuration to a server: directly, through jump hosts (shared by everything behind them) or a command.
import { createConnection } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import { EngineError, messageOf } from "../../base/errors.ts";
import { abortable } from "../opener.ts";
import type { LocalFacts, SshHostConfig } from "./config/ssh-config.ts";
import { type LoadedSshConfig, loadSshConfig } from "./config/ssh-config-load.ts";
import { parseSshAddress, type SshLimits, type SshNotice, type SshTarget, sshName } from "./config/ssh-settings.ts";
import { checkHostKey, type HostKeyAnswer, type HostKeyQuestion, preferredKeyTypes } from "./keys/host-key-check.ts";
import { hostKeyQuestion, rememberHostKey } from "./keys/host-key-files.ts";
import { chooseIdentities } from "./keys/identities.ts";
import { chooseAlgorithms } from "./keys/ssh-algorithms.ts";
import { OpeningGate } from "./opening-gate.ts";
import { ProxyCommandStream } from "./proxy-command.ts";
import { cannotConnect, connectFailure, connectTimeout } from "./ssh-errors.ts";
import type { SshLink } from "./ssh-link.ts";
import { worthAnotherTry } from "./ssh-way.ts";
import { hasOtherLogins, pinnedLines, whyProgram } from "./ssh-way-facts.ts";

/** Maximum length of a chain of jump hosts: a longer one is a loop in the configuration. */
const MAX_HOPS = 8;
/** How long to wait for the last words of a ProxyCommand. */
const LAST_WORDS_MS = 500;

/** What all SSH connections of a run share. */
export interface SshNetworkOptions {
  readonly clock: Clock;
  readonly local: LocalFacts;
  /** OpenSSH's client, asked for configurations with `ssh -G`; null to read the files ourselves. */
  readonly sshProgram: string | null;
  readonly limits: SshLimits;
  /** Receives news that does not prevent a connection; each text once. */
  readonly notice: (notice: SshNotice) => void;
}

/** One login on the route: the last leg leads to the target, the others to jump hosts. */
interface Leg {
  readonly target: SshTarget;
  readonly config: LoadedSshConfig;
}

interface JumpHost {
  readonly link: Promise<SshLink>;
  users: number;
}

/** Opens SSH connections. One per run, so that logins are counted together and jump hosts are shared. */
export class SshNetwork {
  readonly options: SshNetworkOptions;
  readonly #gate: OpeningGate;
  readonly #jumpHosts = new Map<string, JumpHost>();
  readonly #said = new Set<string>();
  /** Hosts that only the ssh program reached, and why: the next login skips the vain attempt, which servers count. */
  readonly #onlyProgram = new Map<string, string>();

  constructor(options: SshNetworkOptions) {
    this.options = options;
    this.#gate = new OpeningGate(options.limits.loginsPerHost, options.limits.loginsAtOnce);
  }

  /** Logs in. Throws EngineErrors that begin `cannot connect to '…'`, or the signal's reason. */
  async connect(target: SshTarget, signal: AbortSignal): Promise<SshLink> {
    // Work out the whole route before opening anything: jump hosts in a loop would wait for one another indefinitely.
    const route = this.#route(target, null, 0);
    // Loads while the ssh program prints its configuration; a failure surfaces at the use.
    import("./ssh.ts").catch(() => undefined);
    const legs = await route;
    signal.throwIfAborted();
    const key = JSON.stringify(target);
    const learned = this.#onlyProgram.get(key);
    const reasons = learned === undefined ? await whyProgram(legs) : [learned];
    if (reasons.length > 0) {
      const link = this.#throughProgram(legs, reasons.join(", "), signal);
      if (link !== null) return await link;
    }
    try {
      return await this.#connectLast(legs, signal);
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      const hope = worthAnotherTry(error, await hasOtherLogins(legs));
      const opening = hope === null ? null : this.#throughProgram(legs, hope, signal);
      if (hope === null || opening === null) throw error;
      // If it fails too, our own message says more.
      const link = await opening.catch(() => {
        throw error;
      });
      this.#onlyProgram.set(key, hope);
      return link;
    }
  }

  /** A connection made by the ssh program, jump hosts included; null without that program. */
  #throughProgram(legs: readonly Leg[], reason: string, given: AbortSignal): Promise<SshLink> | null {
    const leg = legs.at(-1);
    const program = leg?.config.program ?? null;
    if (leg === undefined || program === null) return null;
    const { target, config } = leg;
    const { clock, limits, local } = this.options;
    const name = sshName(target.destination);
    const where = config.port === 22 ? config.host : `${config.host}:${config.port}`;
    const connect = async (): Promise<SshLink> => {
      const leaveGate = await this.#gate.enter(`${config.host}:${config.port}`, given);
      const timeoutMs = config.connectTimeoutMs ?? limits.connectTimeoutMs;
      const deadline = new AbortController();
      const cancelDeadline = clock.after(timeoutMs, () => deadline.abort(connectTimeout(name, where, timeoutMs)));
      try {
        const { sshProgramLogin } = await import("./ssh-program.ts");
        return await sshProgramLogin({
          name,
          reason,
          program: program.path,
          words: program.words,
          pinned: pinnedLines(target),
          compress: target.compress,
          environment: local.environment,
          clock,
          keepAliveIntervalMs: config.keepAliveIntervalMs ?? limits.keepAliveIntervalMs,
          keepAliveCount: config.keepAliveCount ?? limits.keepAliveCount,
          signal: AbortSignal.any([given, deadline.signal]),
        });
      } finally {
        cancelDeadline();
        leaveGate();
      }
    };
    return connect();
  }

  /** The legs to a target. As in `ssh -J`, hops inherit only `-F`, and the hops before one replace its own ProxyJump. */
  async #route(target: SshTarget, jumps: readonly string[] | null, depth: number): Promise<Leg[]> {
    const { local, sshProgram } = this.options;
    if (depth > MAX_HOPS) {
      const name = sshName(target.destination);
      throw new EngineError(
        "config",
        "SSH_CONFIG_BAD",
        `${cannotConnect(name)}: more than ${MAX_HOPS} jump hosts behind one another`,
        {
          hint: "does ProxyJump in ~/.ssh/config lead back to the same host?",
        },
      );
    }
    const config = await loadSshConfig(target, { local, sshProgram, notice: (notice) => this.#notice(notice) });
    const hops = jumps ?? (config.proxy.type === "jump" ? config.proxy.hops : []);
    const nearest = hops.at(-1);
    if (nearest === undefined) return [{ target, config }];
    const before = hops.slice(0, -1);
    const hop: SshTarget = {
      destination: parseSshAddress(nearest),
      sshKey: null,
      publicHostKey: null,
      compress: false,
      settings: { configFile: target.settings.configFile, options: [] },
    };
    return [...(await this.#route(hop, before.length === 0 ? null : before, depth + 1)), { target, config }];
  }

  async #connectLast(legs: readonly Leg[], signal: AbortSignal): Promise<SshLink> {
    const leg = legs.at(-1);
    if (leg === undefined) throw new EngineError("internal", "SSH_NO_ROUTE_LEGS", "a route without legs");
    const { target, config } = leg;
    const { clock, limits } = this.options;
    const name = sshName(target.destination);
    const question = await hostKeyQuestion(target, config);
    const algorithms = chooseAlgorithms(
      name,
      config,
      preferredKeyTypes(question),
      target.compress || config.compression,
    );
    const login = await chooseIdentities({
      ...config,
      name,
      files: config.identityFiles,
      notice: (notice) => this.#notice(notice),
    });
    const where = config.port === 22 ? config.host : `${config.host}:${config.port}`;

    // Before taking our own place at the gate: a jump host needs one too, and waiting for it inside could block all logins.
    const jump = legs.length > 1 ? await this.#enterJumpHost(name, legs.slice(0, -1), signal) : null;
    let leaveGate: () => void = () => undefined;
    try {
      leaveGate = await this.#gate.enter(`${config.host}:${config.port}`, signal);
      const timeoutMs = config.connectTimeoutMs ?? limits.connectTimeoutMs;
      const deadline = new AbortController();
      const cancelDeadline = clock.after(timeoutMs, () => deadline.abort(connectTimeout(name, where, timeoutMs)));
      try {
        const both = AbortSignal.any([signal, deadline.signal]);
        // Loaded with the first login: the SSH library costs 40 ms, which a run without SSH should not pay. It must come before the stream opens:
        // the reader must be there for the first bytes.
        const { sshLogin } = await import("./ssh.ts");
        const stream = await this.#openStream(name, where, config, jump, both);
        const opening = sshLogin({
          name,
          where,
          user: config.user,
          stream,
          login,
          algorithms,
          checkHostKey: (key) => this.#judge(question, key),
          onWarning: (message) => this.#notice({ code: "SSH_HOST_KEY_UNCHECKED", message, hint: null }),
          clock,
          keepAliveIntervalMs: config.keepAliveIntervalMs ?? limits.keepAliveIntervalMs,
          keepAliveCount: config.keepAliveCount ?? limits.keepAliveCount,
          signal: both,
        });
        const link = await (stream instanceof ProxyCommandStream
          ? withLastWords(stream, name, opening, clock)
          : opening);
        if (jump !== null) void link.closed.then(jump.leave);
        return link;
      } finally {
        cancelDeadline();
      }
    } catch (error) {
      jump?.leave();
      throw error;
    } finally {
      leaveGate();
    }
  }

  async #openStream(
    name: string,
    where: string,
    config: SshHostConfig,
    jump: { readonly link: SshLink } | null,
    signal: AbortSignal,
  ): Promise<Duplex> {
    if (jump !== null) {
      try {
        return await abortable(jump.link.openTcp(config.host, config.port), signal, (late) => late.destroy());
      } catch (error) {
        throw prefixed(name, error);
      }
    }
    if (config.proxy.type === "command")
      return new ProxyCommandStream(config.proxy.command, this.options.local.environment, this.options.clock);
    return await openTcp(name, where, config, signal);
  }

  /** The connection to the jump host at the end of `legs`, shared by every machine behind it. */
  async #enterJumpHost(
    name: string,
    legs: readonly Leg[],
    signal: AbortSignal,
  ): Promise<{ readonly link: SshLink; readonly leave: () => void }> {
    const key = JSON.stringify(legs.map((leg) => [leg.target, leg.config.proxy]));
    let shared = this.#jumpHosts.get(key);
    if (shared === undefined) {
      // Not the caller's signal: others may also wait for this jump host.
      const link = this.#connectLast(legs, new AbortController().signal);
      const made: JumpHost = { link, users: 0 };
      shared = made;
      this.#jumpHosts.set(key, made);
      const forget = (): void => {
        if (this.#jumpHosts.get(key) === made) this.#jumpHosts.delete(key);
      };
      link.then((opened) => opened.closed.then(forget), forget);
    }
    const entry = shared;
    entry.users++;
    let left = false;
    const leave = (): void => {
      if (left) return;
      left = true;
      entry.users--;
      if (entry.users > 0) return;
      if (this.#jumpHosts.get(key) === entry) this.#jumpHosts.delete(key);
      entry.link.then(
        (link) => link.close(),
        () => undefined,
      );
    };
    try {
      return { link: await abortable(entry.link, signal, () => undefined), leave };
    } catch (error) {
      leave();
      throw prefixed(name, error);
    }
  }

  /** Adds a new key to known_hosts as ssh does, so that it is compared from then on. */
  #judge(question: HostKeyQuestion, key: Buffer): HostKeyAnswer {
    const answer = checkHostKey(question, key);
    if (answer.type !== "believedNew") return answer;
    const failure = rememberHostKey(question, key);
    const done = failure === null ? `written to ${question.userFile}` : `not written down: ${failure}`;
    return { type: "believedUnchecked", warning: `${answer.warning}, and ${done}` };
  }

  #notice(notice: SshNotice): void {
    if (this.#said.has(notice.message)) return;
    this.#said.add(notice.message);
    this.options.notice(notice);
  }
}

/** A TCP connection, without Nagle's delay and with the kernel's keep-alive. */
function openTcp(name: string, where: string, config: SshHostConfig, signal: AbortSignal): Promise<Duplex> {
  const socket = createConnection({
    host: config.host,
    port: config.port,
    family: config.addressFamily,
    noDelay: true,
    keepAlive: true,
  });
  const opening = new Promise<Duplex>((resolve, reject) => {
    socket.once("error", (error) => reject(connectFailure(name, where, error)));
    socket.once("connect", () => resolve(socket));
  });
  const drop = (): void => {
    socket.destroy();
  };
  signal.addEventListener("abort", () => socket.connecting && drop(), { once: true });
  return abortable(opening, signal, drop);
}

/** Explains a failed login through a ProxyCommand by the command's output, which may come a little later. */
async function withLastWords(
  stream: ProxyCommandStream,
  name: string,
  login: Promise<SshLink>,
  clock: Clock,
): Promise<SshLink> {
  try {
    return await login;
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== "SSH_DROPPED") throw error;
    const patience = new Promise<void>((resolve) => {
      clock.after(LAST_WORDS_MS, resolve);
    });
    await Promise.race([stream.ended, patience]);
    const words = stream.lastWords;
    throw new EngineError(
      "transport",
      "SSH_PROXY_FAILED",
      `${cannotConnect(name)}: ProxyCommand ended${words === "" ? "" : `: ${words}`}`,
      {
        hint: "run the ProxyCommand of the ssh configuration by hand",
        cause: error,
      },
    );
  }
}

/** A jump host's failure as the reason for the machine behind it. Its code is kept: a rejected key there is just as permanent. */
function prefixed(name: string, error: unknown): unknown {
  if (!(error instanceof EngineError)) return error;
  const { hint } = error;
  return new EngineError(error.family, error.code, `${cannotConnect(name)}: ${messageOf(error)}`, {
    ...(hint === null ? {} : { hint }),
    cause: error,
  });
}
