// Samples a machine again and again: this one from /proc, a builder over a transport to the sampler; publishes what it learns as events.
import { readFile } from "node:fs/promises";
import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { UsageEvent } from "../events/event.ts";
import type { MachineId } from "../events/ids.ts";
import type { Transport, TransportOpener } from "../transports/transport.ts";
import { usageBetween } from "./samples/rates.ts";
import type { UsageReading, UsageSample } from "./samples/sample.ts";
import { linuxSample, SAMPLE_REQUEST, type SamplerMessage, SamplerReader } from "./samples/sampler-command.ts";

/** The second sample comes early, so that the board has figures soon; the following ones at the full interval. */
const FIRST_INTERVAL_MS = 500;
/** A sampler that has not greeted by then is something else. */
const GREETING_TIMEOUT_MS = 15_000;

/** What every probe needs. */
export interface ProbeOptions {
  readonly machine: MachineId;
  readonly clock: Clock;
  readonly intervalMs: number;
  /** Gets `usageSampled` again and again, and `usageUnavailable` at most once, after which nothing more comes. */
  readonly publish: (event: UsageEvent) => void;
}

/** A probe at work. */
export interface Probe {
  /** Ends it: nothing is published any more, and a remote sampler ends with its input. */
  stop(): void;
}

/** Reads the named files of /proc; a test hands in another one. */
export type ProcReader = (path: "/proc/stat" | "/proc/loadavg" | "/proc/meminfo" | typeof BOOT_ID) => Promise<string>;

const BOOT_ID = "/proc/sys/kernel/random/boot_id";

const readProc: ProcReader = (path) => readFile(path, "utf8");

/** Samples this machine. Where there is no /proc (macOS) it says so once. */
export function probeLocal(options: ProbeOptions, read: ProcReader = readProc): Probe {
  const publisher = new Publisher(options);
  let stopped = false;
  let cancel: () => void = () => undefined;
  const sample = async (delay: number): Promise<void> => {
    try {
      const [processor, load, memory, host] = await Promise.all([
        read("/proc/stat"),
        read("/proc/loadavg"),
        read("/proc/meminfo"),
        // Some sandboxes hide it, and nothing depends on it.
        read(BOOT_ID).catch(() => ""),
      ]);
      if (stopped) return;
      const found = linuxSample(
        new Map([
          ["processor", processor],
          ["load", load],
          ["memory", memory],
          ["host", host],
        ]),
      );
      if (found === null) {
        publisher.unavailable("the figures in /proc are not understood");
        return;
      }
      publisher.add(found);
      cancel = options.clock.after(delay, () => void sample(options.intervalMs));
    } catch (error) {
      if (!stopped) publisher.unavailable(`/proc cannot be read: ${messageOf(error)}`);
    }
  };
  void sample(Math.min(FIRST_INTERVAL_MS, options.intervalMs));
  return {
    stop: () => {
      stopped = true;
      publisher.silence();
      cancel();
    },
  };
}

/** Samples a builder by the sampler ({@link SAMPLER_COMMAND}) that `opener` starts there. */
export function probeRemote(options: ProbeOptions, opener: TransportOpener): Probe {
  const publisher = new Publisher(options);
  const stopping = new AbortController();
  const stop = (): void => {
    publisher.silence();
    stopping.abort();
  };
  void runRemote(options, opener, publisher, stopping.signal).catch((error: unknown) =>
    publisher.unavailable(messageOf(error)),
  );
  return { stop };
}

async function runRemote(
  options: ProbeOptions,
  opener: TransportOpener,
  publisher: Publisher,
  signal: AbortSignal,
): Promise<void> {
  const { clock, intervalMs } = options;
  const transport = await opener.open(signal);
  let cancelNext: () => void = () => undefined;
  const end = (reason: string | null): void => {
    cancelNext();
    if (reason !== null) publisher.unavailable(reason);
    transport.close();
  };
  signal.addEventListener("abort", () => end(null), { once: true });
  if (signal.aborted) end(null);
  const ask = (): void => {
    transport.write(Buffer.from(SAMPLE_REQUEST)).catch(() => undefined);
  };
  cancelNext = clock.after(GREETING_TIMEOUT_MS, () => end("the account does not run the sampler (a forced command?)"));
  let samples = 0;
  const answer = (message: SamplerMessage): void => {
    switch (message.type) {
      case "ready":
        cancelNext();
        ask();
        return;
      case "sample":
        publisher.add(message.sample);
        samples++;
        // The next one is asked for only now: a slow machine is not sent requests it cannot keep up with.
        cancelNext = clock.after(samples === 1 ? Math.min(FIRST_INTERVAL_MS, intervalMs) : intervalMs, ask);
        return;
      case "unusable":
        end(message.reason);
    }
  };
  const reader = new SamplerReader();
  const decoder = new TextDecoder();
  try {
    for await (const chunk of transport.input)
      for (const message of reader.push(decoder.decode(chunk, { stream: true }))) answer(message);
    end(await endReason(transport));
  } catch (error) {
    end(messageOf(error));
  }
}

async function endReason(transport: Transport): Promise<string | null> {
  const reason = await transport.closed;
  const said = transport.stderrTail().trim().split("\n").at(-1) ?? "";
  switch (reason.type) {
    case "closedHere":
      return null;
    case "failed":
      return reason.error.message;
    case "closedThere":
      return said === "" ? "the sampler ended" : `the sampler ended: ${said}`;
  }
}

/** Turns samples into events; says once that there will be none. */
class Publisher {
  readonly #options: ProbeOptions;
  #before: UsageSample | null = null;
  #silent = false;

  constructor(options: ProbeOptions) {
    this.#options = options;
  }

  add(sample: UsageSample): void {
    if (this.#silent) return;
    const reading = usageBetween(this.#before, sample);
    this.#before = sample;
    if (reading !== null) this.#options.publish(toEvent(this.#options.machine, reading));
  }

  unavailable(reason: string): void {
    if (this.#silent) return;
    this.#silent = true;
    this.#options.publish({ type: "usageUnavailable", machine: this.#options.machine, reason });
  }

  silence(): void {
    this.#silent = true;
  }
}

function toEvent(machine: MachineId, reading: UsageReading): UsageEvent {
  return {
    type: "usageSampled",
    machine,
    host: reading.host,
    cores: reading.cores,
    load1: reading.load1,
    memoryUsedBytes: reading.memory.usedBytes.toString(),
    memoryTotalBytes: reading.memory.totalBytes.toString(),
  };
}
