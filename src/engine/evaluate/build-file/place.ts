// The directory of the build file, for paths relative to it. Set once, before the file is loaded.
import { EngineError } from "../../base/errors.ts";

let directory: string | null = null;

export function setBuildFileDirectory(path: string): void {
  directory = path;
}

/** The directory of the build file. Throws `BUILD_FILE_NOT_RUNNING` outside of tsbuild-top. */
export function buildFileDirectory(): string {
  if (directory !== null) return directory;
  throw new EngineError(
    "usage",
    "BUILD_FILE_NOT_RUNNING",
    "relative sources have a meaning only in a build file run by tsbuild-top",
    {
      hint: "run it with: tsbuild-top ./default.ts",
    },
  );
}
