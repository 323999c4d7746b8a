// How lengths of time are written: fixed shapes, so that columns keep still while the numbers run.

/** `0:07`, `12:10`, `1:02:41`: minutes are not padded. Negative lengths count as zero. */
export function formatClock(ms: number): string {
  const { hours, minutes, seconds } = split(ms);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/** `00:07`, `12:10`, `1:02:41`: the shape of a lane. */
export function formatLaneClock(ms: number): string {
  const { hours, minutes, seconds } = split(ms);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${two(minutes)}:${two(seconds)}`;
}

/** `00:02:41`: the shape of the header. */
export function formatElapsed(ms: number): string {
  const { hours, minutes, seconds } = split(ms);
  return `${two(hours)}:${two(minutes)}:${two(seconds)}`;
}

/** `45s`, `6m`, `1h 20m`, `3d 4h`: for estimates, where seconds would be a lie. */
export function formatRough(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours}h` : `${hours}h ${minutes % 60}m`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 ? `${days}d` : `${days}d ${hours % 24}h`;
}

/** `0.4s`, `7s`, `2m10s`, `1h02m41s`: for sentences of plain output. */
export function formatWords(ms: number): string {
  if (ms >= 0 && ms < 950) return `${(ms / 1000).toFixed(1)}s`;
  const { hours, minutes, seconds } = split(Math.round(ms / 1000) * 1000);
  if (hours > 0) return `${hours}h${two(minutes)}m${two(seconds)}s`;
  return minutes > 0 ? `${minutes}m${two(seconds)}s` : `${seconds}s`;
}

function split(ms: number): { hours: number; minutes: number; seconds: number } {
  const total = Number.isFinite(ms) ? Math.max(0, Math.floor(ms / 1000)) : 0;
  return { hours: Math.floor(total / 3600), minutes: Math.floor(total / 60) % 60, seconds: total % 60 };
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}
