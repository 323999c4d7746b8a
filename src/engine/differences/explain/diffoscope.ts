// diffoscope as the diff hook (`--diffoscope`): how it is called.

/** Most bytes of a report of diffoscope: it is shown and kept as lines of a hook. */
const MAX_REPORT_BYTES = 1024 * 1024;

/** What is run as the diff hook: a program, and its arguments. */
export interface HookProgram {
  readonly file: string;
  /** The arguments for the two results, the derivation and the temporary directory. */
  readonly args: (first: string, other: string, drvPath: string, tmpDir: string) => readonly string[];
  /** What it exits with when all went well; anything else is told. */
  readonly exitCodes: readonly number[];
}

/** A diff hook as Nix calls it: the two results, the derivation, the temporary directory (Nix 2.8, `handleDiffHook`). */
export function nixDiffHook(file: string): HookProgram {
  return { file, args: (first, other, drvPath, tmpDir) => [first, other, drvPath, tmpDir], exitCodes: [0] };
}

/** diffoscope, which is told of two paths only and whose report goes to standard output (diffoscope(1)). */
export function diffoscopeHook(file: string): HookProgram {
  return {
    file,
    // 1 is "they differ", which is known.
    exitCodes: [0, 1],
    args: (first, other) => [
      "--text",
      "-",
      "--max-text-report-size",
      String(MAX_REPORT_BYTES),
      "--no-progress",
      // Store objects have no times or owners of their own.
      "--exclude-directory-metadata=yes",
      first,
      other,
    ],
  };
}
