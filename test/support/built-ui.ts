// The user interface compiled to JavaScript, for scripts that Node runs directly: it refuses `.tsx`, so the sources are compiled when they are newer.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const OUT = join(ROOT, "node_modules", ".cache", "tsbuild-top-ui");

type Ui = typeof import("../../src/ui/index.ts");

/** The user interface as the program would load it. */
export async function loadBuiltUi(): Promise<Ui> {
  return (await import(pathToFileURL(builtFile("src/ui/index.js")).href)) as Ui;
}

/** Path of a compiled file; compiled first when a source is newer. */
export function builtFile(path: string): string {
  const entry = join(OUT, "src", "ui", "index.js");
  const sources = [
    join(ROOT, "src", "ui"),
    join(ROOT, "src", "engine", "events"),
    join(ROOT, "test", "support", "board-program.ts"),
    join(ROOT, "test", "support", "event-script.ts"),
  ];
  if (!existsSync(entry) || Math.max(...sources.map(newest)) > statSync(entry).mtimeMs) compile();
  return join(OUT, path);
}

function compile(): void {
  mkdirSync(OUT, { recursive: true });
  const config = join(OUT, "tsconfig.json");
  const options = { rootDir: ROOT, outDir: OUT, noEmit: false, declaration: false, sourceMap: false };
  const files = [join(ROOT, "src", "ui", "index.ts"), join(ROOT, "test", "support", "board-program.ts")];
  writeFileSync(
    config,
    JSON.stringify({ extends: join(ROOT, "tsconfig.json"), compilerOptions: options, files, include: [] }),
  );
  writeFileSync(join(OUT, "package.json"), JSON.stringify({ type: "module" }));
  // What did not change keeps its old file and time otherwise.
  rmSync(join(OUT, "src", "ui", "index.js"), { force: true });
  const tsc = spawnSync(join(ROOT, "node_modules", ".bin", "tsc"), ["-p", config], { encoding: "utf8" });
  if (tsc.status !== 0) throw new Error(`the user interface does not compile:\n${tsc.stdout}${tsc.stderr}`);
}

function newest(folder: string): number {
  if (!statSync(folder).isDirectory()) return statSync(folder).mtimeMs;
  let latest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    latest = Math.max(latest, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs);
  }
  return latest;
}
