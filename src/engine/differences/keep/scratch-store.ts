// A store of its own on a builder, for building outputs whole that are valid there already: made, filled with the inputs, used once, removed.
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { EngineError, messageOf } from "../../base/errors.ts";
import type { SshReference } from "../../config/store-reference.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import { copyPaths } from "../../stores/copy.ts";
import { removeTree } from "../../stores/embedded/files/remove.ts";
import { openRemote } from "../../stores/open/open-remote.ts";
import { sshCommandPlace } from "../../stores/open/places.ts";
import type { PathInfos } from "../../stores/path-infos.ts";
import { queryOptions } from "../../stores/remote/client-options.ts";
import { WorkerStore } from "../../stores/remote/worker-store.ts";
import type {
  BuildAnswer,
  BuildReporter,
  BuildRequest,
  MachineStore,
  PathStore,
  TransferProgress,
} from "../../stores/store.ts";
import type { Transports } from "../../transports/open.ts";
import { describeEnd, endForcedServer, shellQuote } from "../../transports/remote-command.ts";
import type { SshSettings } from "../../transports/ssh/config/ssh-settings.ts";
import type { TransportOpener } from "../../transports/transport.ts";

/** A store that exists for one build. */
export interface ScratchStore {
  readonly store: MachineStore;
  /** Closes it and removes its directory. Never rejects. */
  readonly dispose: () => Promise<void>;
}

export interface SshScratchOptions {
  readonly reference: SshReference;
  readonly transports: Transports;
  readonly sshSettings: SshSettings;
  readonly clock: Clock;
  readonly wrap: (opener: TransportOpener) => TransportOpener;
}

/** Most bytes a command of ours may answer with. */
const MAX_ANSWER = 4096;
/** Where `mktemp` makes the directory. On the disk the machine builds on, since a store may be large. */
const MAKE = `d=$(mktemp -d "\${TMPDIR:-/var/tmp}/tsbuild-top-check.XXXXXXXXXX") && printf %s "$d"`;
const MADE = /^\/[A-Za-z0-9/._-]*\/tsbuild-top-check\.[A-Za-z0-9]{10}$/;

/**
 * Opens a store in a new directory on a builder, through `nix-daemon --stdio --store DIRECTORY` with the rights of the account.
 * @throws EngineError `ROUNDS_NO_SCRATCH` where the account allows no commands, and what opening throws
 */
export async function openSshScratch(options: SshScratchOptions, signal: AbortSignal): Promise<ScratchStore> {
  const { reference, transports, sshSettings, clock, wrap } = options;
  const command = (line: string): TransportOpener =>
    wrap(transports.opener(sshCommandPlace(reference, line, sshSettings)));
  const directory = await answerOf(command(MAKE), signal);
  if (!MADE.test(directory)) {
    throw new EngineError(
      "store",
      "ROUNDS_NO_SCRATCH",
      `expected a new directory from 'mktemp', found ${JSON.stringify(directory.slice(0, 200))}`,
    );
  }
  const quoted = shellQuote(directory);
  const remove = async (): Promise<void> => {
    // Store objects cannot be written to, and neither can what lies in them be removed until they can.
    const line = `chmod -R u+rwX ${quoted}; rm -rf ${quoted}`;
    await answerOf(command(line), AbortSignal.timeout(60_000)).catch(() => undefined);
  };
  try {
    const parameters = { ...reference.parameters, remoteStore: directory };
    const scratch: SshReference = { ...reference, scheme: "ssh-ng", parameters };
    const { store } = await openRemote(
      { reference: scratch, transports, sshSettings, clock, maxBuilds: 1, useSubstitutes: false, wrap },
      signal,
    );
    return {
      store,
      dispose: async () => {
        await store.close().catch(() => undefined);
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

export interface LocalScratchOptions {
  readonly transports: Transports;
  readonly clock: Clock;
  /** The program, `nix-daemon` where PATH leads to it. */
  readonly nixDaemon: string;
  /** Where the directory is made: on a disk with room for a closure. */
  readonly parent: string;
}

/**
 * Opens a store in a new directory on this machine, with a Nix of its own.
 * @throws what opening throws; Nix needs Linux for a store in another place
 */
export async function openLocalScratch(options: LocalScratchOptions, signal: AbortSignal): Promise<ScratchStore> {
  const { transports, clock, nixDaemon, parent } = options;
  const directory = await mkdtemp(join(parent, "tsbuild-top-check."));
  const command = [nixDaemon, "--stdio", "--store", directory] as const;
  const store = new WorkerStore({
    uri: directory,
    opener: transports.opener({ type: "childProcess", command }),
    clock,
    maxBuilds: 1,
    explain: async (error) => error,
    queryOptions: queryOptions(false, false, new Map()),
    machineCores: async () => 0,
    buildOverrides: new Map(),
    readDirectly: null,
  });
  const dispose = async (): Promise<void> => {
    await store.close().catch(() => undefined);
    await removeTree(directory).catch(() => undefined);
  };
  try {
    await store.describe(signal);
    return { store, dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

export interface WholeBuild {
  readonly scratch: ScratchStore;
  readonly request: Omit<BuildRequest, "mode">;
  readonly from: { readonly store: PathStore; readonly infos: PathInfos };
  readonly report: BuildReporter;
  readonly transferred: (progress: TransferProgress) => void;
}

/**
 * Copies the inputs and builds every output anew. The results stay readable until the scratch store is disposed of.
 * @throws what the stores throw, and the signal's reason
 */
export async function buildWhole(work: WholeBuild, signal: AbortSignal): Promise<BuildAnswer> {
  const { scratch, request, from, report } = work;
  const closure = await from.infos.closure([...request.derivation.inputSrcs], signal);
  const valid = await scratch.store.lockValidPaths(
    closure.map((info) => info.path),
    signal,
  );
  const paths: readonly PathInfo[] = closure.filter((info) => !valid.has(info.path));
  if (paths.length > 0) {
    await copyPaths({
      from: from.store,
      to: scratch.store,
      paths,
      checkSignatures: false,
      signal,
      report: work.transferred,
    });
  }
  // The results stay here until they are read. To keep more would have Nix up to 2.12 delete `.check` of the same name in the real store.
  const options = { ...request.options, keepFailed: false, keepCheck: false };
  return scratch.store.build({ ...request, options, mode: "normal" }, report, signal);
}

/** What a short command printed. @throws EngineError `ROUNDS_NO_SCRATCH` when it failed, of family `transport` when the connection did */
async function answerOf(opener: TransportOpener, signal: AbortSignal): Promise<string> {
  let answer = "";
  try {
    const transport = await opener.open(signal);
    endForcedServer(transport);
    const abort = (): void => transport.close();
    signal.addEventListener("abort", abort, { once: true });
    try {
      for await (const chunk of transport.input) {
        answer += Buffer.from(chunk).toString("latin1");
        if (answer.length > MAX_ANSWER) throw new Error(`expected at most ${MAX_ANSWER} bytes, found more`);
      }
      const end = await transport.closed;
      if (end.type !== "closedThere" || end.exitCode !== 0)
        throw new Error(`${describeEnd(end)}: ${transport.stderrTail().trim()}`);
      return answer;
    } finally {
      signal.removeEventListener("abort", abort);
      transport.close();
    }
  } catch (cause) {
    signal.throwIfAborted();
    // A connection that broke says nothing of what the account may do.
    if (cause instanceof EngineError && cause.family === "transport") throw cause;
    throw new EngineError(
      "store",
      "ROUNDS_NO_SCRATCH",
      `${opener.name}: cannot make a store to compare in: ${messageOf(cause)}`,
      { cause },
    );
  } finally {
    opener.close();
  }
}
