// Nix's own sentences about a run, for plain output and dry runs (wording: Nix 2.4 and later, libmain/shared.cc, libstore/build).
import type { BuildFailure } from "../../../engine/events/event.ts";
import { formatMiB } from "../../format/bytes.ts";
import { sanitizeColored, sanitizeLine, sanitizeText } from "../../format/sanitize.ts";
import type { Board } from "../../model/board/board.ts";
import type { RenderOptions } from "../renderer.ts";

/** What will happen, as known before the first build. */
export interface PlannedWork {
  /** Paths of derivations to be built. */
  readonly derivations: readonly string[];
  readonly paths: readonly string[];
  /** Sizes of what is fetched; null while unknown. */
  readonly downloadBytes: number | null;
  readonly unpackedBytes: number | null;
}

/** What a run that is beginning will do; sizes are not known then. */
export function plannedWork(board: Board): PlannedWork {
  const derivations: string[] = [];
  const paths: string[] = [];
  for (const { id, state, description } of board.goalOrder) {
    if (state.type === "substituting") paths.push(...(description.kind === "path" ? [id] : description.outputs));
    else if (state.type !== "finished" && description.kind === "derivation") derivations.push(id);
  }
  return {
    derivations,
    paths: paths.filter((path) => path.startsWith("/")),
    downloadBytes: null,
    unpackedBytes: null,
  };
}

/** `these 3 derivations will be built:` and `these 2 paths will be fetched (… MiB download, … MiB unpacked):` with their lists. */
export function plannedLines(work: PlannedWork): readonly string[] {
  const lines: string[] = [];
  const { derivations, paths } = work;
  if (derivations.length > 0) {
    lines.push(
      derivations.length === 1
        ? "this derivation will be built:"
        : `these ${derivations.length} derivations will be built:`,
    );
    for (const path of derivations) lines.push(`  ${sanitizeText(path)}`);
  }
  if (paths.length > 0) {
    const size =
      work.downloadBytes === null || work.unpackedBytes === null
        ? ""
        : ` (${formatMiB(work.downloadBytes, 2)} download, ${formatMiB(work.unpackedBytes, 2)} unpacked)`;
    lines.push(
      paths.length === 1 ? `this path will be fetched${size}:` : `these ${paths.length} paths will be fetched${size}:`,
    );
    for (const path of paths) lines.push(`  ${sanitizeText(path)}`);
  }
  return lines;
}

/** `building '…' (round 1/3) on 'ssh://b1'...`; `on` is null on this machine. */
export function buildingLine(build: {
  readonly path: string;
  readonly isCheck: boolean;
  readonly round: number;
  readonly rounds: number;
  readonly on: string | null;
}): string {
  const verb = build.isCheck ? "checking outputs of" : "building";
  const round = build.rounds > 1 ? ` (round ${build.round}/${build.rounds})` : "";
  const place = build.on === null ? "" : ` on '${sanitizeText(build.on)}'`;
  return `${verb} '${sanitizeText(build.path)}'${round}${place}...`;
}

/** `copying path '…' from '…'...`. */
export function copyingLine(path: string, from: string): string {
  return `copying path '${sanitizeText(path)}' from '${sanitizeText(from)}'...`;
}

/** Nix's words where the builder itself is not there (build.cc, `executing`). */
const EXECUTING = /^error: executing '(\/(?:bin|usr)\/[^']*)': No such file or directory/;

/** A failure as Nix prints it: the error, the last lines of the log, and where the whole log is. */
export function failureLines(
  path: string,
  failure: BuildFailure,
  on: string | null,
  { logLines, logCommand }: Pick<RenderOptions, "logLines" | "logCommand">,
  color: boolean,
): readonly string[] {
  const clean = color ? sanitizeColored : sanitizeLine;
  const [first = "", ...more] = failure.message.split("\n");
  const place = on === null || failure.message.includes(on) ? "" : ` on '${sanitizeText(on)}'`;
  const named = first.includes(path)
    ? sanitizeText(first)
    : `build of '${sanitizeText(path)}'${place} failed: ${sanitizeText(first)}`;
  const error = color ? "\x1b[31;1merror:\x1b[0m" : "error:";
  const tail = logLines > 0 ? failure.logTail.slice(-logLines) : [];
  const lines = [`${error} ${named.replace(/[.;:]$/, "")}${tail.length > 0 ? ";" : ""}`];
  for (const line of more) lines.push(`       ${sanitizeText(line)}`);
  if (tail.length > 0) lines.push(`       last ${tail.length} log ${tail.length === 1 ? "line" : "lines"}:`);
  for (const line of tail) lines.push(`       > ${clean(line)}`);
  const missing = EXECUTING.exec(sanitizeLine(failure.logTail.at(-1) ?? ""))?.[1];
  if (missing !== undefined) {
    lines.push(`       note: a sandbox holds no '${missing}' unless sandbox-paths names one;`);
    lines.push(`             for example: --option extra-sandbox-paths ${missing}=/bin/busybox (a static program)`);
  }
  if (failure.logTail.length > 0 || failure.logFile !== null)
    lines.push(`       For full logs, run '${logCommand} ${sanitizeText(path)}'.`);
  if (failure.logFile !== null) lines.push(`       The log is kept in '${sanitizeText(failure.logFile)}'.`);
  if (failure.keptDirectory !== null)
    lines.push(`       note: keeping build directory '${sanitizeText(failure.keptDirectory)}'`);
  for (const attempt of failure.attempts) lines.push(`       tried before: ${sanitizeText(attempt)}`);
  return lines;
}
