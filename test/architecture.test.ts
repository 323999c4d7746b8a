// Which way imports point: the table of rooms is checked against every file of the program; also purity, circles, length and opening comment.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { codeOnly, scanImports } from "./support/import-scanner.ts";
import { type Room, rooms } from "./support/rooms.ts";

const within = (path: string, places: readonly string[]) =>
  places.some((place) => (place.endsWith("/") ? path.startsWith(place) : path === place));

const roomOf = (path: string): [string, Room] | undefined =>
  Object.entries(rooms).find(([, room]) => within(path, room.files));

const impure =
  /\b(?:Date\.now|Math\.random|performance\.|process\.|setTimeout|setInterval|setImmediate|fetch\(|new Date\(\))/;

/** What a file does against the table, in words. */
function violations(path: string, source: string): string[] {
  const found = roomOf(path);
  if (found === undefined) return [`${path}: belongs to no room`];
  const [name, room] = found;
  const complaints: string[] = [];
  const forbid = (line: number, what: string) => complaints.push(`${path}:${line}: ${name} may not import ${what}`);
  const open = ["src/engine/base/", ...room.files, ...room.imports];
  for (const { specifier, typeOnly, line } of scanImports(source)) {
    if (specifier.startsWith("node:")) {
      if (room.node !== "any" && !room.node.includes(specifier)) forbid(line, specifier);
    } else if (specifier.startsWith(".")) {
      const target = normalize(join(dirname(path), specifier));
      if (within(target, open)) continue;
      if (!within(target, room.types ?? [])) forbid(line, target);
      else if (!typeOnly) forbid(line, `more than types of ${target}`);
    } else {
      const parts = specifier.split("/");
      const packageName = specifier.startsWith("@") ? parts.slice(0, 2).join("/") : (parts[0] ?? specifier);
      if (!room.packages?.includes(packageName)) forbid(line, `the package ${packageName}`);
    }
  }
  if (room.pure) {
    for (const [index, line] of codeOnly(source).split("\n").entries()) {
      const use = impure.exec(line)?.[0];
      if (use !== undefined) complaints.push(`${path}:${index + 1}: ${name} is pure and may not use ${use}`);
    }
  }
  return complaints;
}

/** Groups of files that import one another in a circle, types included. */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (file: string): void => {
    order.set(file, order.size);
    lowest.set(file, order.get(file)!);
    stack.push(file);
    for (const target of graph.get(file) ?? []) {
      if (!order.has(target)) visit(target);
      if (stack.includes(target)) lowest.set(file, Math.min(lowest.get(file)!, lowest.get(target)!));
    }
    if (lowest.get(file) !== order.get(file)) return;
    const circle = stack.splice(stack.indexOf(file));
    if (circle.length > 1 || (graph.get(file) ?? []).includes(file)) found.push(circle.sort());
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return found;
}

/** Files that none of the roots leads to. */
function unreached(graph: ReadonlyMap<string, readonly string[]>, roots: readonly string[]): string[] {
  const reached = new Set<string>();
  const go = (file: string): void => {
    if (reached.has(file)) return;
    reached.add(file);
    for (const target of graph.get(file) ?? []) go(target);
  };
  for (const root of roots) go(root);
  return [...graph.keys()].filter((file) => !reached.has(file));
}

/** A file opens with a comment that is a sentence; the executable's first line is the kernel's. */
function opens(source: string): boolean {
  const lines = source.split("\n");
  const first = lines[0]?.startsWith("#!") ? 1 : 0;
  if (/^\/\*\*?( |$)/.test(lines[first] ?? "")) return /^\/\*[\s\S]*?[.:;]\s*\*\//.test(lines.slice(first).join("\n"));
  const block: string[] = [];
  for (const line of lines.slice(first)) {
    if (!line.startsWith("//")) break;
    block.push(line.replace(/^\/\/ ?/, ""));
  }
  return /^\p{Lu}|^[`"([\p{L}]/u.test(block[0] ?? "") && block.some((line) => /[.:;]$/.test(line.trimEnd()));
}

const root = fileURLToPath(new URL("..", import.meta.url));
const files = ["src", "bin"]
  .filter((folder) => existsSync(join(root, folder)))
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
  )
  .filter((path) => /\.(?:ts|tsx|js)$/.test(path))
  .sort()
  .map((path) => ({ path, source: readFileSync(join(root, path), "utf8") }));

const graph = new Map(
  files.map(({ path, source }) => [
    path,
    scanImports(source)
      .filter(({ specifier }) => specifier.startsWith("."))
      .map(({ specifier }) => normalize(join(dirname(path), specifier))),
  ]),
);

// What is started, or loaded by what users write, and not by an import.
const entries = [
  "bin/tsbuild-top.js",
  "bin/main.ts",
  "bin/bundle.js",
  "src/engine/evaluate/build-file/api.ts",
  "src/engine/evaluate/build-file/child.ts",
  "src/engine/commands/demo/book.ts",
  "src/engine/commands/demo/builder-process.ts",
];

describe("architecture", () => {
  it("imports point the way the table says", () => {
    expect(files.length).toBeGreaterThan(10);
    expect(files.flatMap(({ path, source }) => violations(path, source))).toEqual([]);
  });

  it("no files import one another in a circle", () => {
    expect(circles(graph)).toEqual([]);
  });

  it("every file is reached from one that is started", () => {
    expect(entries.filter((entry) => !graph.has(entry))).toEqual([]);
    expect(unreached(graph, entries)).toEqual([]);
  });

  it("no folder of the engine holds more than seventeen files, nor one of the user interface", () => {
    const crowded = [...Map.groupBy(graph.keys(), (path) => dirname(path))].filter(([, inside]) => inside.length > 17);
    expect(crowded.map(([folder, inside]) => `${folder}: ${inside.length}`)).toEqual([]);
  });

  it("every relative import names a file that exists, with its ending", () => {
    const missing = files.flatMap(({ path, source }) =>
      scanImports(source)
        .filter(({ specifier }) => specifier.startsWith(".") && !existsSync(join(root, dirname(path), specifier)))
        .map(({ specifier, line }) => `${path}:${line}: ${specifier}`),
    );
    expect(missing).toEqual([]);
  });

  it("no file is longer than 400 lines", () => {
    const long = files.map(({ path, source }) => ({ path, lines: source.trimEnd().split("\n").length }));
    expect(long.filter(({ lines }) => lines > 400)).toEqual([]);
  });

  it("every file opens with a sentence that says what it decides", () => {
    expect(files.filter(({ source }) => !opens(source)).map(({ path }) => path)).toEqual([]);
  });

  it("a room knows only rooms above it", () => {
    const names = Object.keys(rooms).filter((name) => name !== "engine");
    const ups = names.flatMap((name, index) =>
      names
        .slice(index + 1)
        .filter((later) => rooms[later]!.files.some((file) => within(file, rooms[name]!.imports)))
        // The first of two rooms that match a folder takes its files out of the second.
        .filter((later) => !rooms[later]!.files.every((file) => within(file, rooms[name]!.files)))
        .map((later) => `${name} knows ${later}`),
    );
    expect(ups).toEqual(["config loader knows config"]);
  });

  it.each([
    ["src/engine/formats/nar.ts", 'import { x } from "../derivation/derivation.ts";', "formats may not import"],
    ["src/engine/formats/nar.ts", 'import { readFileSync } from "node:fs";', "formats may not import node:fs"],
    ["src/engine/formats/nar.ts", "const now = Date.now();", "formats is pure"],
    [
      "src/engine/events/event.ts",
      'import { x } from "../formats/hash.ts";',
      "more than types of src/engine/formats/hash.ts",
    ],
    ["src/engine/protocols/worker.ts", 'export { x } from "../stores/store.ts";', "protocols may not import"],
    ["src/engine/protocols/worker.ts", 'import { Transport } from "../transports/transport.ts";', "more than types"],
    [
      "src/engine/scheduler/plan/decide.ts",
      'import type { Store } from "../../stores/store.ts";',
      "plan may not import",
    ],
    ["src/engine/scheduler/plan/decide.ts", 'await import("node:fs/promises")', "plan may not import node:fs/promises"],
    ["src/engine/scheduler/plan/decide.ts", 'import { Driver } from "../perform/driver.ts";', "plan may not import"],
    ["src/engine/commands/copy.ts", 'import { BuildRun } from "../run/build-run.ts";', "commands may not import"],
    ["src/engine/run/build-run.ts", 'import { copy } from "../commands/copy.ts";', "run may not import"],
    ["src/engine/differences/compare/compare.ts", 'import "node:fs";', "may not import node:fs"],
    ["src/engine/index.ts", 'import "../ui/index.ts";', "engine may not import src/ui/index.ts"],
    ["src/engine/config/nix-conf.ts", 'import { readFileSync } from "node:fs";', "config may not import node:fs"],
    ["src/ui/model/board.ts", 'import { Text } from "ink";', "ui model may not import the package ink"],
    [
      "src/ui/components/lane.tsx",
      'import type { X } from "../../engine/events/event.ts";',
      "ui components may not import",
    ],
    ["src/ui/renderers/plain.ts", 'import { x } from "../../engine/stores/store.ts";', "ui may not import"],
    [
      "bin/main.ts",
      'import { x } from "../src/engine/stores/store.ts";',
      "bin may not import src/engine/stores/store.ts",
    ],
    ["src/stray.ts", "", "belongs to no room"],
  ])("catches %s: %s", (path, source, complaint) => {
    expect(violations(path, source).join("\n")).toContain(complaint);
  });

  it("catches circles, and files that nothing leads to", () => {
    const links = { a: ["b"], b: ["c"], c: ["b"], d: ["d"], e: [] };
    const small = new Map(Object.entries(links));
    expect(circles(small)).toEqual([["b", "c"], ["d"]]);
    expect(unreached(small, ["a"])).toEqual(["d", "e"]);
  });

  it("lets through what the table allows", () => {
    const source = 'import type { X } from "../formats/hash.ts"; import { EngineError } from "../base/errors.ts";';
    expect(violations("src/engine/events/event.ts", source)).toEqual([]);
  });

  it("catches a file without an opening sentence", () => {
    expect(opens('import a from "b";\n// Says it later.')).toBe(false);
    expect(opens("// no end\nconst a = 1;")).toBe(false);
    expect(opens("#!/usr/bin/env node\n// Starts it.\n")).toBe(true);
    expect(opens("/** Starts it. */\n")).toBe(true);
  });
});
