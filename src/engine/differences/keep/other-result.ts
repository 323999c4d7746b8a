// Reads a result as a NAR from wherever it lies: a valid path, what a Nix daemon kept as `.check`, or this machine's disk.

import { EngineError } from "../../base/errors.ts";
import { copyNar } from "../../formats/nar/read.ts";
import type { StorePath } from "../../formats/store-path.ts";
import { ByteReader } from "../../formats/wire/reader.ts";
import { dumpPath } from "../../stores/embedded/files/dump.ts";
import type { PathStore } from "../../stores/store.ts";
import { describeEnd, endForcedServer, shellQuote } from "../../transports/remote-command.ts";
import type { TransportOpener } from "../../transports/transport.ts";
import { logicalPath } from "../report/messages.ts";

/** A machine as results are read from it. */
export interface ResultMachine {
  readonly store: PathStore;
  /** Null when the machine does not say (worker protocol before 1.33). */
  readonly nixVersion: string | null;
  /** Runs a command line on the machine; null where there is no way to (no shell, this machine). */
  readonly command: ((line: string) => TransportOpener) | null;
  /** Nix's `nix-store` there, for the command line. */
  readonly nixStore: string;
}

/** Where a result lies. */
export type ResultPlace =
  | { readonly type: "valid"; readonly store: PathStore; readonly path: StorePath; readonly narSize: bigint }
  /** What the machine's own comparison left; `real` is the place on the machine's disk that its message names. */
  | { readonly type: "keptThere"; readonly machine: ResultMachine; readonly real: string }
  | { readonly type: "onDisk"; readonly path: string };

/** Daemons from this release on refuse NarFromPath of a path that is not valid, and drop the connection with it (Nix 2.33, daemon.cc). */
const REFUSES_INVALID = [2, 33] as const;

/** Most characters of what a failed command said. */
const MAX_TAIL = 400;

/**
 * The NAR of a result.
 * @throws EngineError `ROUNDS_RESULT_UNREADABLE` when the machine gives it neither way, and what the store throws
 */
export async function* readResult(
  place: ResultPlace,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  switch (place.type) {
    case "valid":
      yield* place.store.narFromPath(place.path, place.narSize, signal);
      return;
    case "onDisk":
      yield* dumpPath(place.path);
      return;
    case "keptThere":
      yield* readKept(place.machine, place.real, signal);
  }
}

async function* readKept(
  machine: ResultMachine,
  real: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const logical = logicalPath(real);
  if (logical === null) throw unreadable(machine, real, "that is no store path");
  if (!refusesInvalid(machine.nixVersion)) {
    // Its size is not known beforehand: as a large one it takes a connection that small ones do not wait for.
    yield* machine.store.narFromPath(logical, 1n << 40n, signal);
    return;
  }
  if (machine.command === null) {
    throw unreadable(
      machine,
      real,
      `Nix ${machine.nixVersion ?? ""} gives out valid paths only, and no command can be run there`,
    );
  }
  const opener = machine.command(`${machine.nixStore} --dump ${shellQuote(real)}`);
  try {
    const transport = await opener.open(signal);
    endForcedServer(transport);
    const abort = (): void => transport.close();
    signal.addEventListener("abort", abort, { once: true });
    try {
      yield* copyNar(new ByteReader(transport.input, machine.store.uri));
    } catch (error) {
      signal.throwIfAborted();
      const end = await transport.closed;
      const said = transport.stderrTail().trim().slice(-MAX_TAIL);
      throw unreadable(machine, real, said === "" ? describeEnd(end) : said, error);
    } finally {
      signal.removeEventListener("abort", abort);
      transport.close();
    }
  } finally {
    opener.close();
  }
}

/** Whether NarFromPath works for valid paths only. A machine that gives no version is older than that. */
export function refusesInvalid(nixVersion: string | null): boolean {
  if (nixVersion === null) return false;
  const match = /^(\d+)\.(\d+)/.exec(nixVersion);
  // Another tsbuild-top, or something nobody knows: the command line is the way that works everywhere.
  if (match === null || /tsbuild/.test(nixVersion)) return true;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return major > REFUSES_INVALID[0] || (major === REFUSES_INVALID[0] && minor >= REFUSES_INVALID[1]);
}

function unreadable(machine: ResultMachine, real: string, why: string, cause?: unknown): EngineError {
  return new EngineError(
    "store",
    "ROUNDS_RESULT_UNREADABLE",
    `cannot read '${real}' on '${machine.store.uri}': ${why}`,
    {
      hint: "the verdict stands; to look at both results, run the rounds on this machine: --builders ''",
      ...(cause === undefined ? {} : { cause }),
    },
  );
}
