// Parsers of what the kernel tells about its own use: Linux's /proc (proc(5)) and macOS's top, vm_stat and sysctl.
import type { CoreCounters, MemorySample, ProcessorSample } from "./sample.ts";

/**
 * Per-core counters of /proc/stat. Busy is everything but `idle` and `iowait`; guest time is already part of user time and must not count
 * twice. The line of all cores together is left out. Lines that are not understood are passed over; null when there is no core at all.
 */
export function parseProcStat(text: string): ProcessorSample | null {
  const cores: CoreCounters[] = [];
  for (const line of text.split("\n")) {
    const match = /^cpu(?<core>\d+) (?<times>[\d ]+)$/.exec(line.trimEnd());
    if (match?.groups === undefined) continue;
    const times = (match.groups.times ?? "").trim().split(/ +/).map(Number);
    const [user = 0, nice = 0, system = 0, idle, iowait = 0, irq = 0, softirq = 0, steal = 0] = times;
    if (idle === undefined) continue;
    const busy = user + nice + system + irq + softirq + steal;
    cores.push({ core: Number(match.groups.core), busy, total: busy + idle + iowait });
  }
  return cores.length === 0 ? null : { type: "counters", cores };
}

/** The first figure of /proc/loadavg; null when it is not one. */
export function parseLoadAverage(text: string): number | null {
  const first = /^(?<load>\d+(?:\.\d+)?)\s/.exec(text)?.groups?.load;
  return first === undefined ? null : Number(first);
}

/**
 * Memory of /proc/meminfo: total less available, where kernels before 3.14, which do not tell what is available, give free, buffers and
 * page cache instead. Null when the total is missing.
 */
export function parseMemoryInfo(text: string): MemorySample | null {
  const kibibytes = new Map<string, bigint>();
  for (const match of text.matchAll(/^(?<name>\w+): +(?<value>\d+) kB$/gm)) {
    kibibytes.set(match.groups?.name ?? "", BigInt(match.groups?.value ?? "0"));
  }
  const total = kibibytes.get("MemTotal");
  if (total === undefined) return null;
  const older = (kibibytes.get("MemFree") ?? 0n) + (kibibytes.get("Buffers") ?? 0n) + (kibibytes.get("Cached") ?? 0n);
  const available = kibibytes.get("MemAvailable") ?? older;
  const used = available > total ? 0n : total - available;
  return { usedBytes: used * 1024n, totalBytes: total * 1024n };
}

/**
 * The last `CPU usage: 7.22% user, 15.97% sys, 76.79% idle` of macOS's `top -l 2 -n 0`, spread evenly over `cores`: the system does not
 * tell more without special rights. Untried on a real machine; written after top(1).
 */
export function parseMacTop(text: string, cores: number): ProcessorSample | null {
  const idle = [...text.matchAll(/^CPU usage:.*?(?<idle>\d+(?:\.\d+)?)% idle/gm)].at(-1)?.groups?.idle;
  if (idle === undefined || cores < 1) return null;
  const share = Math.min(1, Math.max(0, 1 - Number(idle) / 100));
  return { type: "shares", cores: Array.from({ length: cores }, () => share) };
}

/** The first figure of macOS's `sysctl -n vm.loadavg`, `{ 1.59 1.80 1.91 }`. Untried on a real machine; written after sysctl(3). */
export function parseMacLoad(text: string): number | null {
  const first = /\{ *(?<load>\d+[.,]\d+)/.exec(text)?.groups?.load;
  return first === undefined ? null : Number(first.replace(",", "."));
}

/**
 * Memory of macOS's `vm_stat` with `hw.memsize` in bytes: used are the wired, active and compressed pages. Untried on a real machine;
 * written after vm_stat(1).
 */
export function parseMacMemory(vmStat: string, totalBytes: bigint): MemorySample | null {
  const pageSize = /page size of (?<size>\d+) bytes/.exec(vmStat)?.groups?.size;
  if (pageSize === undefined) return null;
  const pages = (name: string): bigint => {
    const found = new RegExp(`^${name}: +(?<pages>\\d+)\\.`, "m").exec(vmStat)?.groups?.pages;
    return BigInt(found ?? "0");
  };
  const used = pages("Pages wired down") + pages("Pages active") + pages("Pages occupied by compressor");
  return { usedBytes: used * BigInt(pageSize), totalBytes };
}
