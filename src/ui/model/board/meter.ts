// Rates from totals: how fast a sum grew over the last seconds, as a pure function of samples.

const WINDOW_MS = 5000;
const SAMPLE_MS = 250;

/** A growing total with its recent past. */
export interface Meter {
  total: number;
  /** Samples of the window, oldest first. */
  readonly samples: { at: number; total: number }[];
}

export function createMeter(): Meter {
  return { total: 0, samples: [] };
}

/** Adds to the total; times are ms and never go back. */
export function addToMeter(meter: Meter, amount: number, at: number): void {
  if (meter.samples.length === 0) meter.samples.push({ at, total: meter.total });
  meter.total += amount;
  const last = meter.samples.at(-1);
  if (last === undefined || at - last.at >= SAMPLE_MS) meter.samples.push({ at, total: meter.total });
  while (meter.samples.length > 2 && (meter.samples[1]?.at ?? at) < at - WINDOW_MS) meter.samples.shift();
}

/** Units per second over the last five seconds; 0 when nothing moved. */
export function meterRate(meter: Meter, now: number): number {
  const from = meter.samples.findLast((sample) => sample.at <= now - WINDOW_MS) ?? meter.samples[0];
  if (from === undefined) return 0;
  return ((meter.total - from.total) * 1000) / Math.max(1000, now - from.at);
}
