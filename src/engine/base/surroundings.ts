// What a command is called in: the environment, the directory, and the program's name and version.

/** The environment and the directory the user called us in. */
export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** `tsbuild-top 0.1.0`. */
  readonly program: string;
}
