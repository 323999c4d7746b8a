// The request to the process that runs a build file, and its answer, as JSON.

/** Passed as the first argument. */
export interface BuildFileRequest {
  readonly file: string;
  /** `-A`, any number of times; none means the default. */
  readonly attributes: readonly string[];
  /** For build files that export a function: `--arg` (JSON) and `--argstr`. */
  readonly arguments: readonly {
    readonly type: "expression" | "text";
    readonly name: string;
    readonly value: string;
  }[];
  readonly spoolDirectory: string;
  /** Where to write the answer. */
  readonly answerFile: string;
}

export type BuildFileAnswer =
  | {
      readonly type: "made";
      readonly targets: readonly { readonly drvPath: string; readonly output: string }[];
      readonly sources: readonly {
        readonly path: string;
        readonly narHash: string;
        readonly narSize: number;
        readonly spoolFile: string;
      }[];
      /** Inputs first. `text` is base64, `references` are store paths. */
      readonly derivations: readonly {
        readonly drvPath: string;
        readonly text: string;
        readonly references: readonly string[];
      }[];
    }
  | { readonly type: "failed"; readonly code: string; readonly message: string; readonly hint: string | null };
