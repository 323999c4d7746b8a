// How amounts and rates of data are written: Nix's MiB where Nix says MiB, the unit that fits elsewhere.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;
const MIB = 1024 * 1024;

/** Nix's fixed unit: `18.2 MiB`; `digits` after the point (its progress bar has 1, its lists of paths 2). */
export function formatMiB(bytes: number, digits = 1): string {
  return `${(Math.max(0, bytes) / MIB).toFixed(digits)} MiB`;
}

/** `812 B`, `3.1 MiB`, `12 GiB`: at most four characters of number. */
export function formatBytes(bytes: number): string {
  let value = Number.isFinite(bytes) ? Math.max(0, bytes) : 0;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const text = unit === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(1);
  return `${text} ${UNITS[unit]}`;
}

/** `21.0/40.0 MiB`: how much of how much, in the unit of the whole. */
export function formatBytesOf(done: number, total: number): string {
  const whole = formatBytes(total);
  const unit = UNITS.findIndex((name) => whole.endsWith(` ${name}`));
  const part = Math.max(0, done) / 1024 ** Math.max(0, unit);
  return `${unit <= 0 || part >= 99.95 ? part.toFixed(0) : part.toFixed(1)}/${whole}`;
}

/** `3.1 MiB/s`. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}
