// Runs benchmarks by name and prints each measurement beside its peer and its bar: `npm run bench -- NAME…`, all without names.
//
// A benchmark is a module `test/bench/<name>.ts` that exports `measure` (support/measurement.ts says
// what it answers); what benchmarks share lies in `test/bench/support/`.
import { readdirSync } from "node:fs";
import type { Benchmark, Measurement } from "./support/measurement.ts";

/** The names there are: every module of this folder but this one. */
export function benchmarkNames(): string[] {
  return readdirSync(new URL(".", import.meta.url))
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts") && file !== "run.ts")
    .map((file) => file.slice(0, -".ts".length))
    .sort();
}

/** Lines of a table with the columns as wide as they need to be. */
export function tableLines(measurements: readonly Measurement[]): string[] {
  const rows = measurements.map((m) => [m.met ? "ok" : "MISSED", m.what, m.ours, m.peer, m.ratio, m.bar]);
  const all = [["", "what", "ours", "peer", "ratio", "bar"], ...rows];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
}

async function main(wanted: readonly string[]): Promise<number> {
  const names = benchmarkNames();
  const unknown = wanted.filter((name) => !names.includes(name));
  if (unknown.length > 0) {
    process.stderr.write(`no benchmark ${unknown.join(", ")}; there are: ${names.join(", ")}\n`);
    return 2;
  }
  const measurements: Measurement[] = [];
  let broken = 0;
  for (const name of wanted.length > 0 ? wanted : names) {
    process.stderr.write(`${name} …\n`);
    try {
      const benchmark = (await import(new URL(`${name}.ts`, import.meta.url).href)) as Benchmark;
      measurements.push(...(await benchmark.measure()));
    } catch (error) {
      broken += 1;
      process.stderr.write(`${name}: ${error instanceof Error ? error.stack : error}\n`);
    }
  }
  process.stdout.write(`${tableLines(measurements).join("\n")}\n`);
  const missed = measurements.filter((measurement) => !measurement.met).length;
  process.stdout.write(`${measurements.length - missed} met, ${missed} missed, ${broken} broken\n`);
  return missed + broken > 0 ? 1 : 0;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
