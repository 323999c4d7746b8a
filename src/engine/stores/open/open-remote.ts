// Opens a machine's store over SSH: the worker protocol if the account allows it, else the serve protocol for `ssh://`.
import type { Clock } from "../../base/clock.ts";
import { EngineError } from "../../base/errors.ts";
import type { SshReference } from "../../config/store-reference.ts";
import { printStoreReference, runsWithoutSsh } from "../../config/store-reference.ts";
import type { Transports } from "../../transports/open.ts";
import { explainRemoteEnd, type RemoteNix, remoteNixCommand } from "../../transports/remote-command.ts";
import type { SshSettings } from "../../transports/ssh/config/ssh-settings.ts";
import type { Transport, TransportOpener } from "../../transports/transport.ts";
import { queryOptions } from "../remote/client-options.ts";
import {
  type MachineNixSettings,
  NIX_SETTINGS_COMMAND,
  readNixSettings,
  UNKNOWN_SETTINGS,
} from "../remote/nix-settings.ts";
import { ServeStore } from "../remote/serve-store.ts";
import { WorkerStore } from "../remote/worker-store.ts";
import type { MachineStore, StoreDescription } from "../store.ts";
import { sshCommandPlace, sshPlace } from "./places.ts";

export interface OpenRemoteOptions {
  readonly reference: SshReference;
  readonly transports: Transports;
  readonly sshSettings: SshSettings;
  readonly clock: Clock;
  readonly maxBuilds: number;
  /** Seconds between a build's attempts to get a lock there; the machine's own when absent. */
  readonly pollInterval?: number;
  /** Whether the machine may substitute when asked. */
  readonly useSubstitutes: boolean;
  /** Changes every opener before it is used (a delay, for benchmarks). */
  readonly wrap: (opener: TransportOpener) => TransportOpener;
}

/** A remote store that has answered. */
export interface OpenedRemote {
  readonly store: MachineStore;
  readonly description: StoreDescription;
  /** Its own Nix's settings; queried once, when first needed. */
  readonly settings: () => Promise<MachineNixSettings>;
}

/**
 * Connects and describes the store that answered.
 * @throws EngineError of family `transport` or `protocol`, beginning with `cannot connect to 'mac'`
 */
export async function openRemote(options: OpenRemoteOptions, signal: AbortSignal): Promise<OpenedRemote> {
  const { reference, clock, maxBuilds, pollInterval } = options;
  const uri = printStoreReference(reference);
  const settings = settingsReader(options);
  const openerOf = (protocol: "worker" | "serve"): Watched =>
    watch(options.wrap(options.transports.opener(sshPlace(reference, protocol, options.sshSettings))));

  const worker = openerOf("worker");
  const store = new WorkerStore({
    uri,
    opener: worker,
    clock,
    maxBuilds,
    explain: (error) => explainOpening(reference, "worker", worker, error),
    queryOptions: queryOptions(options.useSubstitutes, false, new Map()),
    machineCores: async () => (await settings()).cores,
    buildOverrides: new Map(pollInterval === undefined ? [] : [["build-poll-interval", String(pollInterval)]]),
    readDirectly: null,
  });
  try {
    return { store, description: await store.describe(signal), settings };
  } catch (error) {
    await store.close();
    signal.throwIfAborted();
    if (reference.scheme !== "ssh" || !mayBeServeOnly(error)) throw error;
    const serve = openerOf("serve");
    const fallback = new ServeStore({
      uri,
      opener: serve,
      clock,
      maxBuilds,
      explain: (serveError) => explainOpening(reference, "serve", serve, serveError),
    });
    try {
      return { store: fallback, description: await fallback.describe(signal), settings: async () => UNKNOWN_SETTINGS };
    } catch (serveError) {
      await fallback.close();
      // The machine answered neither way: its answer to the first says more, unless only the second connected at all.
      throw isPermanentServeAnswer(serveError) ? serveError : error;
    }
  }
}

/** Reads the machine's own settings once; with a separate command, so never for programs set by `remote-program`. */
function settingsReader(options: OpenRemoteOptions): () => Promise<MachineNixSettings> {
  const { reference, transports, sshSettings } = options;
  if (reference.parameters.remoteProgram.length > 0 || runsWithoutSsh(reference.destination)) {
    return async () => UNKNOWN_SETTINGS;
  }
  let asked: Promise<MachineNixSettings> | null = null;
  return () => {
    const opener = transports.opener(sshCommandPlace(reference, NIX_SETTINGS_COMMAND, sshSettings));
    asked ??= readNixSettings(options.wrap(opener), new AbortController().signal);
    return asked;
  };
}

/** Failures that a login allowing only `nix-store --serve` would cause: the answer is not the worker protocol, or the connection ends at once. */
function mayBeServeOnly(error: unknown): boolean {
  if (!(error instanceof EngineError)) return false;
  return (
    error.family === "protocol" ||
    error.code === "PROTOCOL_CONNECTION_LOST" ||
    error.code === "REMOTE_COMMAND_ENDED" ||
    error.code === "REMOTE_NIX_NOT_FOUND"
  );
}

function isPermanentServeAnswer(error: unknown): boolean {
  return error instanceof EngineError && error.code === "REMOTE_NIX_NOT_FOUND";
}

interface Watched extends TransportOpener {
  /** The transport that was opened last. */
  last(): Transport | null;
}

function watch(opener: TransportOpener): Watched {
  let last: Transport | null = null;
  return {
    name: opener.name,
    async open(signal) {
      last = await opener.open(signal);
      return last;
    },
    heard: () => opener.heard(),
    close: () => opener.close(),
    last: () => last,
  };
}

/** Explains a handshake that met the end of its input by how the remote command ended. */
async function explainOpening(
  reference: SshReference,
  protocol: RemoteNix["protocol"],
  opener: Watched,
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof EngineError) || error.code !== "PROTOCOL_CONNECTION_LOST") return error;
  const transport = opener.last();
  if (transport === null) return error;
  const { host, user } = reference.destination;
  const name = user === null ? host : `${user}@${host}`;
  const { remoteProgram: program, remoteStore: store } = reference.parameters;
  const command = remoteNixCommand({ protocol, program, store });
  return explainRemoteEnd(name, await transport.closed, transport.stderrTail(), command);
}
