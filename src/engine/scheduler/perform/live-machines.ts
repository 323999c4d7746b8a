// The machines that are connected: opens and closes their sessions, and finds out when one has gone without a word.
import type { Clock } from "../../base/clock.ts";
import { EngineError, messageOf } from "../../base/errors.ts";
import type { MachineId } from "../../events/ids.ts";
import type { MachineFact } from "../plan/fact.ts";
import type { MachineSession } from "./machine-session.ts";
import { askWhetherThere } from "./silence.ts";

/** How often a machine is asked whether it is still there, and how long it may take to answer (ms). */
const PING_EVERY_MS = 2_000;
const PING_WITHIN_MS = 15_000;
/** The same when a connection to it has just failed. */
const PROBE_WITHIN_MS = 5_000;

/** What connecting to a machine gives. */
export interface ConnectedMachine {
  readonly session: MachineSession;
  readonly nixVersion: string | null;
  readonly protocol: string;
}

export interface MachinesOptions {
  readonly clock: Clock;
  readonly connect: (machine: MachineId, signal: AbortSignal) => Promise<ConnectedMachine>;
  readonly post: (fact: MachineFact) => void;
  /** Whether connecting again in this run cannot help: a wrong key, a host key that changed, no Nix over there. */
  readonly isPermanent: (error: unknown) => boolean;
  /** How long the oldest build on a machine has run (ms); 0 when none runs. */
  readonly atStakeMs: (machine: MachineId) => number;
}

type Entry =
  | { readonly type: "connecting"; readonly abort: AbortController }
  | { readonly type: "up"; readonly session: MachineSession; stopPinging: () => void; probing: Promise<void> | null };

/** Sessions by machine. */
export class Machines {
  readonly #options: MachinesOptions;
  readonly #entries = new Map<MachineId, Entry>();

  constructor(options: MachinesOptions) {
    this.#options = options;
  }

  /** The session of a connected machine. */
  session(machine: MachineId): MachineSession | null {
    const entry = this.#entries.get(machine);
    return entry?.type === "up" ? entry.session : null;
  }

  /** Connects; `machineConnected` or `machineLost` follows. */
  connect(machine: MachineId): void {
    if (this.#entries.has(machine)) return;
    const entry: Entry = { type: "connecting", abort: new AbortController() };
    this.#entries.set(machine, entry);
    this.#options.connect(machine, entry.abort.signal).then(
      ({ session, nixVersion, protocol }) => {
        if (this.#entries.get(machine) !== entry) {
          void session.store.close();
          return;
        }
        const up: Entry = { type: "up", session, stopPinging: () => undefined, probing: null };
        this.#entries.set(machine, up);
        if (!session.isDestination) this.#pingLater(machine, up);
        this.#options.post({ type: "machineConnected", machine, nixVersion, protocol, trusted: session.trusted });
      },
      (error: unknown) => {
        if (this.#entries.get(machine) !== entry) return;
        this.#entries.delete(machine);
        this.#options.post({
          type: "machineLost",
          machine,
          reason: messageOf(error),
          permanent: this.#options.isPermanent(error),
        });
      },
    );
  }

  disconnect(machine: MachineId, reason: string): void {
    const entry = this.#entries.get(machine);
    if (entry === undefined) return;
    this.#entries.delete(machine);
    if (entry.type === "connecting") entry.abort.abort(new Error(reason));
    else this.#end(entry);
  }

  /** Finds out, after a failed connection, whether the machine still answers; `machineLost` is posted if it does not. */
  async probe(machine: MachineId): Promise<void> {
    const entry = this.#entries.get(machine);
    if (entry?.type !== "up" || entry.session.isDestination) return;
    entry.probing ??= this.#ask(machine, entry, PROBE_WITHIN_MS).finally(() => {
      entry.probing = null;
    });
    await entry.probing;
  }

  async close(): Promise<void> {
    const closing: Promise<void>[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.type === "connecting") entry.abort.abort(new Error("the run ended"));
      else {
        entry.stopPinging();
        if (!entry.session.isDestination) closing.push(entry.session.store.close());
      }
    }
    this.#entries.clear();
    await Promise.allSettled(closing);
  }

  #pingLater(machine: MachineId, entry: Extract<Entry, { type: "up" }>): void {
    entry.stopPinging = this.#options.clock.after(PING_EVERY_MS, () => {
      void this.#ask(machine, entry, PING_WITHIN_MS).then(() => {
        if (this.#entries.get(machine) === entry) this.#pingLater(machine, entry);
      });
    });
  }

  async #ask(machine: MachineId, entry: Extract<Entry, { type: "up" }>, withinMs: number): Promise<void> {
    const { clock, atStakeMs, post } = this.#options;
    const { store } = entry.session;
    try {
      await askWhetherThere({ machine, store, clock, withinMs, atStakeMs: () => atStakeMs(machine) });
    } catch (error) {
      if (this.#entries.get(machine) !== entry) return;
      this.#entries.delete(machine);
      // Its builds end with the true reason, not with the closing of their connections.
      this.#end(entry, error instanceof EngineError ? error : undefined);
      post({ type: "machineLost", machine, reason: messageOf(error), permanent: false });
    }
  }

  #end(entry: Extract<Entry, { type: "up" }>, reason?: EngineError): void {
    entry.stopPinging();
    if (!entry.session.isDestination) void entry.session.store.close(reason).catch(() => undefined);
  }
}
