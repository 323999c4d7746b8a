// The surroundings of a command: the environment, the working directory, and the program's name and version.

/** The environment and the directory the user called the program in. */
export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** `tsbuild-top 0.1.0`. */
  readonly program: string;
}
