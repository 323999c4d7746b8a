// `serve`: one client on standard input and output, over the embedded store; what `nix-daemon --stdio` and `nix-store --serve` are for Nix.
//
// Nix and this program start it on another machine by `remote-program`: `ssh-ng://host?remote-program=tsbuild-top%20serve` adds `--stdio`,
// `ssh://host?remote-program=tsbuild-top%20serve` adds `--serve --write`, and `remote-store=DIR` adds `--store DIR`.
import { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { type Clock, systemClock } from "../base/clock.ts";
import { EngineError } from "../base/errors.ts";
import type { Surroundings } from "../base/surroundings.ts";
import { type LoadedConfig, loadConfig } from "../config/load.ts";
import { parseStoreReference, printStoreReference, type StoreReference } from "../config/store-reference.ts";
import { settingsForStore } from "../config/store-settings.ts";
import { serveServe } from "../protocols/serve/server.ts";
import { serveWorker } from "../protocols/worker/server.ts";
import type { EmbeddedStore } from "../stores/embedded/embedded-store.ts";
import { type ExposeOptions, exposeStore } from "../stores/exposed/expose.ts";
import { openEmbedded } from "../stores/open/open-embedded.ts";
import { StreamTransport } from "../transports/stream-transport.ts";
import type { Transport } from "../transports/transport.ts";
import { isTrustedClient } from "./client-trust.ts";

/** What `serve` is asked for. */
export interface ServeRequest {
  readonly settingsOverrides: ReadonlyMap<string, string>;
  /** `worker`: `--stdio`. `serve`: `--serve`, with `--write` when paths may be added and built. */
  readonly protocol: { readonly type: "worker" } | { readonly type: "serve"; readonly write: boolean };
}

/** The Nix whose operations are served. Clients judge by it what they may ask for. */
export const SERVED_NIX_VERSION = "2.18.0";

/** How long (milliseconds) a client may take to read what is left for it at the end. */
const LAST_WORDS_PATIENCE = 2_000;

/**
 * Serves until the client hangs up or this process is told to end, which kills the builds under way. Resolves with the exit status.
 * @throws EngineError `STORE_NOT_SERVABLE`, `SERVE_NOT_ALLOWED`, `SERVE_NO_SANDBOX`, those of opening the store, and `PROTOCOL_…` for what is no client
 */
export async function serveStore(
  request: ServeRequest,
  surroundings: Surroundings,
  clock: Clock = systemClock,
): Promise<number> {
  const config = loadConfig(request.settingsOverrides);
  const { root, reference } = servedStore(config);
  const store = await openEmbedded(root, settingsForStore(config, reference), surroundings.environment, clock);
  try {
    const trusted = isTrustedClient(config, root);
    if (!trusted) await demandSandbox(store);
    const handler = exposeStore(store, exposeOptions(config));
    const standard = standardTransport();
    const hangUp = (): void => standard.transport.close();
    process.on("SIGTERM", hangUp).on("SIGHUP", hangUp).on("SIGINT", hangUp);
    try {
      if (request.protocol.type === "worker") {
        const firstActivity = BigInt(process.pid) << 32n;
        await serveWorker(standard.transport, handler, { trusted, nixVersion: SERVED_NIX_VERSION, firstActivity });
      } else {
        const log = (text: string): void => void process.stderr.write(text);
        const serving = serveServe(standard.transport, handler, { trusted, allowWrite: request.protocol.write, log });
        // What went wrong has been said on standard error by then.
        if (!(await serving.then(() => true).catch(() => false))) return 1;
      }
      return 0;
    } finally {
      await standard.flushed(clock);
      process.off("SIGTERM", hangUp).off("SIGHUP", hangUp).off("SIGINT", hangUp);
    }
  } finally {
    await store.close();
  }
}

/** Strangers do not get to build where nothing keeps builds apart from the machine. Where nothing can be built they may come. */
async function demandSandbox(store: EmbeddedStore): Promise<void> {
  const kind = await store.sandboxKind().catch(() => null);
  if (kind !== "chroot") return;
  throw new EngineError(
    "store",
    "SERVE_NO_SANDBOX",
    "builds are not sandboxed on this machine (only a private root directory), so that only trusted users are served",
    { hint: "install bubblewrap or allow user namespaces here, or name the user in trusted-users of nix.conf" },
  );
}

/** What serving heeds of the settings. */
export function exposeOptions({ settings }: LoadedConfig): ExposeOptions {
  return {
    defaults: {
      keepFailed: settings.keepFailed,
      maxSilentTime: settings.maxSilentTime,
      timeout: settings.timeout,
      maxLogSize: settings.maxBuildLogSize,
    },
  };
}

/** The root of the store that is served: a directory named by `store`, else the embedded one; a Nix daemon can serve itself. */
function servedStore(config: LoadedConfig): { readonly root: string; readonly reference: StoreReference } {
  const { reference } = parseStoreReference(config.settings.store, config.context);
  if (reference.type === "auto") return { root: config.settings.embeddedRoot, reference };
  if (reference.type === "local" && reference.root !== null) return { root: reference.root, reference };
  throw new EngineError(
    "config",
    "STORE_NOT_SERVABLE",
    `cannot serve '${printStoreReference(reference)}': expected a directory, found a store of another program`,
    { hint: "serve DIR with --store DIR; for the system's Nix let the client start nix-daemon or nix-store instead" },
  );
}

/** Standard input and output as a transport, and what waits until everything written has left. */
function standardTransport(): { readonly transport: Transport; flushed(clock: Clock): Promise<void> } {
  const input = process.stdin;
  const output = standardOutput();
  const left = new Promise<void>((resolve) =>
    output
      .once("finish", resolve)
      .once("close", resolve)
      .once("error", () => resolve()),
  );
  const transport = new StreamTransport({
    name: "client",
    input: input as Readable,
    output,
    stderr: null,
    drop: () => {
      input.destroy();
      output.end();
    },
  });
  const gone = (): void => transport.settle({ type: "closedThere", exitCode: null, signal: null });
  output.once("error", gone).once("close", gone);
  return {
    transport,
    flushed: async (clock) => {
      transport.close();
      let cancel: () => void = () => undefined;
      const late = new Promise<void>((resolve) => {
        cancel = clock.after(LAST_WORDS_PATIENCE, resolve);
      });
      await Promise.race([left, late]);
      cancel();
      output.destroy();
    },
  };
}

/**
 * Standard output without blocking: Node writes to a pipe of its own in one go, and a client that sends before it reads would wait for us for
 * ever while we wait for it.
 */
function standardOutput(): Writable {
  try {
    return new Socket({ fd: 1, readable: false, writable: true });
  } catch {
    return process.stdout;
  }
}
