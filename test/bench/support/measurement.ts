// The shape of a benchmark's answer, and the arithmetic benchmarks share.

/** One line of the result. A benchmark compares with a peer measured in the same run; a bare time says nothing about another machine. */
export interface Measurement {
  /** What was measured, for instance "200 builds over 4 builders". */
  readonly what: string;
  /** Our figure with its unit. */
  readonly ours: string;
  /** The peer and its figure, for instance "nix-build 70.9 s". */
  readonly peer: string;
  /** Ours against the peer's, in words: "28.4 x faster". */
  readonly ratio: string;
  /** The bar in words, for instance ">= 25 x"; "-" where there is none. */
  readonly bar: string;
  readonly met: boolean;
}

/** What a module of this folder exports. */
export interface Benchmark {
  readonly measure: () => Promise<readonly Measurement[]>;
}

/** The median, for figures of a machine that does other things, too. Throws when there are none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  if (upper === undefined || lower === undefined) throw new RangeError("the median of nothing");
  return (lower + upper) / 2;
}
