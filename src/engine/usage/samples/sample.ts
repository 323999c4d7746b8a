// What is read of a machine at one moment: processor counters or shares, load, memory.

/** One reading. */
export interface UsageSample {
  /** The kernel that answered (Linux: its boot id): two machines of the list may be one host. Null where that is not told. */
  readonly host: string | null;
  readonly processor: ProcessorSample;
  /** Load average of the last minute. */
  readonly load1: number;
  readonly memory: MemorySample;
}

/** What the system tells of its processors. */
export type ProcessorSample =
  /** Counters since boot, per core: two readings make a share (Linux). */
  | { readonly type: "counters"; readonly cores: readonly CoreCounters[] }
  /** Shares the system has worked out itself, 0 to 1 per core (macOS tells one figure for all of them). */
  | { readonly type: "shares"; readonly cores: readonly number[] };

/** Time of one core since boot, in the kernel's ticks. */
export interface CoreCounters {
  /** The kernel's number of the core; cores can come and go. */
  readonly core: number;
  readonly busy: number;
  readonly total: number;
}

/** Memory in bytes. `used` is what programs could not be given: total less available. */
export interface MemorySample {
  readonly usedBytes: bigint;
  readonly totalBytes: bigint;
}

/** What is shown of a machine, once two samples are there. */
export interface UsageReading {
  /** As in {@link UsageSample}. */
  readonly host: string | null;
  /** Share of each core in use, 0 to 1. */
  readonly cores: readonly number[];
  readonly load1: number;
  readonly memory: MemorySample;
}
