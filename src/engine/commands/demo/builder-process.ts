// The process that is one builder of the demo: an embedded store behind an SSH server on loopback, until the demo ends.

import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../base/clock.ts";
import { EngineError, messageOf } from "../../base/errors.ts";
import type { StoreHandler } from "../../protocols/handler.ts";
import { serveServe } from "../../protocols/serve/server.ts";
import { serveWorker } from "../../protocols/worker/server.ts";
import { type EmbeddedStore, openEmbeddedStore } from "../../stores/embedded/embedded-store.ts";
import { removeTree } from "../../stores/embedded/files/remove.ts";
import { DEFAULT_EMBEDDED_SETTINGS } from "../../stores/embedded/settings.ts";
import { exposeStore } from "../../stores/exposed/expose.ts";
import { NIX_SETTINGS_COMMAND } from "../../stores/remote/nix-settings.ts";
import { type SshCommand, type SshServer, startSshServer } from "../../transports/ssh/ssh-server.ts";
import { SAMPLER_COMMAND } from "../../usage/samples/sampler-command.ts";
import { SERVED_NIX_VERSION } from "../serve.ts";
import { type BuilderAnswer, type BuilderRequest, END_MESSAGE } from "./builder-messages.ts";
import { BREAKS_ONCE } from "./expect.ts";

/** When (milliseconds after its start) the connection breaks under the build that is to suffer it. */
const BREAKS_AFTER = 600;

const NO_LIMITS = { keepFailed: false, maxSilentTime: 0, timeout: 0, maxLogSize: 0n };

let activities = 0n;

/** One builder at work. */
interface Builder {
  readonly request: BuilderRequest;
  readonly store: EmbeddedStore;
  readonly server: SshServer;
}

async function start(request: BuilderRequest): Promise<Builder> {
  const store = await openEmbeddedStore({
    root: request.root,
    clock: systemClock,
    random: Math.random,
    substituters: [],
    settings: {
      ...DEFAULT_EMBEDDED_SETTINGS,
      system: request.system,
      systemFeatures: request.systemFeatures,
      sandboxPaths: request.sandboxPaths,
      cores: 1,
    },
  });
  const { hostKey, clientKey } = request;
  const server = await startSshServer({
    hostKey: hostKey.privateKey,
    clientKey,
    onCommand: (command) => onCommand(command, request, store),
  });
  return { request, store, server };
}

/** The commands there are; an account with a forced command would know no others either. */
function onCommand(command: SshCommand, request: BuilderRequest, store: EmbeddedStore): void {
  const end = (serving: Promise<void>): void =>
    void serving.then(
      () => command.exit(0),
      () => command.exit(1),
    );
  switch (command.command) {
    case "nix-daemon --stdio": {
      const firstActivity = (BigInt(process.pid) << 32n) + (activities++ << 20n);
      const options = { trusted: true, nixVersion: SERVED_NIX_VERSION, firstActivity };
      end(serveWorker(command.transport, handlerFor(command, request, store), options));
      return;
    }
    case "nix-store --serve --write": {
      const options = { trusted: true, allowWrite: true, log: (text: string) => command.complain(text) };
      end(serveServe(command.transport, handlerFor(command, request, store), options));
      return;
    }
    case SAMPLER_COMMAND:
      runSampler(command);
      return;
    case NIX_SETTINGS_COMMAND:
      void command.transport.write(Buffer.from(settingsText(request))).finally(() => command.exit(0));
      return;
    default:
      command.complain(`${command.command.split(" ")[0]}: command not found\n`);
      command.exit(127);
  }
}

/** The store as one client sees it, with the one accident of the demo. */
function handlerFor(command: SshCommand, request: BuilderRequest, store: EmbeddedStore): StoreHandler {
  const handler = exposeStore(store, { defaults: NO_LIMITS });
  const build = handler.buildDerivation.bind(handler);
  handler.buildDerivation = (drvPath, derivation, mode, limits, call) => {
    if (derivation.name === BREAKS_ONCE && isFirst(request)) {
      setTimeout(() => command.transport.close(), BREAKS_AFTER);
    }
    return build(drvPath, derivation, mode, limits, call);
  };
  return handler;
}

/** Whether no builder of this demo has had the accident yet. */
function isFirst(request: BuilderRequest): boolean {
  try {
    closeSync(openSync(join(request.base, "connection-broken"), "wx"));
    return true;
  } catch {
    return false;
  }
}

function settingsText({ system, systemFeatures, maxJobs }: BuilderRequest): string {
  return `cores = 1\nmax-jobs = ${maxJobs}\nsystem = ${system}\nsystem-features = ${systemFeatures.join(" ")}\n`;
}

function runSampler({ transport, command, exit }: SshCommand): void {
  const child = spawn("/bin/sh", ["-c", command], { stdio: ["pipe", "pipe", "ignore"] });
  child.stdout.on("data", (chunk: Buffer) => void transport.write(chunk).catch(() => undefined));
  child.stdin.on("error", () => undefined);
  child.once("error", () => exit(127)).once("exit", (code) => exit(code ?? 1));
  void transport.closed.then(() => child.kill());
  void (async () => {
    for await (const chunk of transport.input) child.stdin.write(chunk);
    child.stdin.end();
  })().catch(() => child.kill());
}

async function main(): Promise<void> {
  let builder: Promise<Builder> | null = null;
  let ending = false;
  const end = async (orphaned: boolean): Promise<void> => {
    if (ending) return;
    ending = true;
    const running = await builder?.catch(() => null);
    if (running !== null && running !== undefined) {
      await running.server.close();
      await running.store.close();
      await removeTree(running.request.root);
      if (orphaned) await removeTree(running.request.base);
    }
    process.exit(0);
  };
  // A terminal's interrupt goes to the whole group; what it means is for the demo to say.
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", () => void end(false));
  process.on("disconnect", () => void end(true));
  process.on("message", (message: BuilderRequest | typeof END_MESSAGE) => {
    if (message === END_MESSAGE) {
      void end(false);
      return;
    }
    builder = start(message);
    const answer = (text: BuilderAnswer): void => void process.send?.(text);
    builder.then(
      ({ server }) => answer({ type: "listening", port: server.port }),
      (error: unknown) =>
        answer({ type: "failed", message: messageOf(error), hint: error instanceof EngineError ? error.hint : null }),
    );
  });
}

await main();
