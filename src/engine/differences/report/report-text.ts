// The report on determinism as text: a table for the end of a run, and JSON for a file.
import type { DerivationVerdict, DeterminismReport, ReportedDerivation, ReportedRound } from "./report.ts";

const VERDICTS: Readonly<Record<DerivationVerdict, string>> = {
  reproducible: "reproducible",
  differs: "NOT DETERMINISTIC",
  unverified: "not compared",
  failed: "failed",
  cancelled: "cancelled",
};

/**
 * The table, a line each, without colours: one row a derivation, one column a round. Empty when nothing was compared. Text from outside is in it as it
 * came.
 */
export function reportTable(report: DeterminismReport): string[] {
  const compared = report.derivations.filter(
    (one) => one.verdict === "differs" || one.verdict === "reproducible" || one.rounds.length > 1,
  );
  if (compared.length === 0) return [];
  const columns = Math.max(...compared.map((one) => one.rounds.length));
  const header = ["derivation", ...Array.from({ length: columns }, (_, index) => `round ${index + 1}`), "verdict"];
  const rows = compared.map((one) => [
    one.name,
    ...Array.from({ length: columns }, (_, index) => cell(one, one.rounds[index])),
    verdict(one),
  ]);
  const widths = header.map((title, column) =>
    Math.max(...[title, ...rows.map((row) => row[column]!)].map((text) => [...text].length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((text, column) => text + " ".repeat(widths[column]! - [...text].length))
      .join("  ")
      .trimEnd();
  return [line(header), ...rows.map(line), totals(report)];
}

/** The report as indented JSON with a final newline. */
export function reportJson(report: DeterminismReport): string {
  return `${JSON.stringify(report, null, 2)}\n`;
}

function cell(derivation: ReportedDerivation, round: ReportedRound | undefined): string {
  if (round === undefined) return "";
  const word = { first: "first", same: "same", differs: "DIFFERS", none: "not compared" }[round.verdict];
  return derivation.kind === "check" && round.verdict === "first" ? round.machine : `${round.machine}: ${word}`;
}

function verdict(derivation: ReportedDerivation): string {
  const outputs = [...new Set(derivation.differences.map((difference) => difference.output))];
  const which = outputs.length === 0 ? "" : ` (${outputs.join(", ")})`;
  return VERDICTS[derivation.verdict] + which;
}

function totals({ totals: count }: DeterminismReport): string {
  const parts = [`${count.reproducible} reproducible`, `${count.differs} not deterministic`];
  if (count.unverified > 0) parts.push(`${count.unverified} not compared`);
  if (count.failed > 0) parts.push(`${count.failed} failed`);
  if (count.cancelled > 0) parts.push(`${count.cancelled} cancelled`);
  return parts.join(", ");
}
