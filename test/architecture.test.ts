// Which way imports point: one table of rooms, checked against every file of the program; also purity, length and opening comment.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { codeOnly, scanImports } from "./support/import-scanner.ts";

/** What a room may know. Its own files, `engine/errors.ts`, `engine/clock.ts` and `engine/bounded-json.ts` are open to every room. */
interface Room {
  /** Folders (with "/" at the end) and files below the checkout; the first room that matches a file is its room. */
  readonly files: readonly string[];
  /** Folders and files it may import. */
  readonly imports: readonly string[];
  /** Likewise, but their types only. */
  readonly types?: readonly string[];
  /** Modules of Node: "any", or the ones named. */
  readonly node: "any" | readonly string[];
  /** npm packages. */
  readonly packages?: readonly string[];
  /** No clock, no randomness, no process: the same input gives the same answer. */
  readonly pure: boolean;
  /** One file of the room, whichever, may know this much more: the one that does the room's input and output. */
  readonly oneFileMore?: { readonly imports: readonly string[]; readonly packages: readonly string[] };
}

const everyRoom = ["src/engine/errors.ts", "src/engine/clock.ts", "src/engine/bounded-json.ts"];

// The driver is several files; the rest of its folder decides and must stay pure.
const driver = ["driver", "driver-options", "reserve", "log-keeper", "machine-session", "perform-build", "machines"]
  .concat(["difference-keeper", "first-outputs", "perform-compared", "take-back", "silence", "substitutions"])
  .map((name) => `src/engine/scheduler/${name}.ts`);
const sideRoom = {
  imports: ["src/engine/formats/", "src/engine/derivation/", "src/engine/events/"],
  node: [],
  pure: true,
  oneFileMore: { imports: ["src/engine/transports/", "src/engine/stores/"], packages: ["execa"] },
} as const;

const rooms: Readonly<Record<string, Room>> = {
  // No error repeats a password, so the shape of errors knows what one looks like.
  shared: { files: everyRoom, imports: ["src/engine/formats/without-password.ts"], node: [], pure: false },
  "reading back": { files: ["src/engine/read-back.ts"], imports: [], node: "any", pure: false },
  formats: { files: ["src/engine/formats/"], imports: [], node: ["node:crypto"], pure: true },
  events: {
    files: ["src/engine/events/"],
    imports: [],
    types: ["src/engine/formats/", "src/engine/derivation/"],
    node: [],
    pure: true,
  },
  derivation: { files: ["src/engine/derivation/"], imports: ["src/engine/formats/"], node: [], pure: true },
  "config loader": {
    files: ["src/engine/config/load.ts"],
    imports: ["src/engine/config/", "src/engine/formats/"],
    node: "any",
    pure: false,
  },
  config: { files: ["src/engine/config/"], imports: ["src/engine/formats/"], node: ["node:path"], pure: true },
  protocols: {
    files: ["src/engine/protocols/"],
    imports: ["src/engine/formats/", "src/engine/derivation/", "src/engine/events/"],
    types: ["src/engine/transports/transport.ts"],
    node: [],
    pure: true,
  },
  transports: {
    files: ["src/engine/transports/"],
    // Which names ssh takes, and how an address is shown, is one rule for lists that are read and for destinations that are reached.
    imports: ["src/engine/formats/ssh-names.ts", "src/engine/formats/without-password.ts"],
    types: ["src/engine/config/"],
    node: "any",
    packages: ["ssh2", "execa"],
    pure: false,
  },
  stores: {
    files: ["src/engine/stores/"],
    imports: ["formats", "derivation", "config", "protocols", "transports"].map((room) => `src/engine/${room}/`),
    node: "any",
    packages: ["aws4fetch", "execa"],
    pure: false,
  },
  driver: {
    files: driver,
    imports: ["formats", "derivation", "config", "events", "transports", "stores", "scheduler"]
      .concat(["rounds", "hooks", "journal", "usage"])
      .map((room) => `src/engine/${room}/`),
    node: "any",
    pure: false,
  },
  scheduler: {
    files: ["src/engine/scheduler/"],
    imports: ["src/engine/formats/", "src/engine/derivation/", "src/engine/events/"],
    types: ["src/engine/config/"],
    node: [],
    pure: true,
  },
  // Comparing is pure; fetching, keeping and running the hook is not.
  "rounds effects": {
    files: ["compared-build", "diff-hook", "found", "keep", "other-result", "runner", "scratch-store"].map(
      (name) => `src/engine/rounds/${name}.ts`,
    ),
    imports: ["rounds", "formats", "derivation", "events", "hooks", "stores", "transports", "config"].map(
      (room) => `src/engine/${room}/`,
    ),
    node: "any",
    pure: false,
  },
  rounds: { files: ["src/engine/rounds/"], ...sideRoom },
  // The queue is a value; running programs, keeping it on disk and copying are not.
  "hooks effects": {
    files: ["run-program", "queue-file", "uploader"].map((name) => `src/engine/hooks/${name}.ts`),
    imports: ["hooks", "formats", "events", "stores"]
      .map((room) => `src/engine/${room}/`)
      .concat("src/engine/read-back.ts"),
    node: "any",
    packages: ["execa"],
    pure: false,
  },
  hooks: { files: ["src/engine/hooks/"], ...sideRoom },
  "journal effects": {
    files: ["history-store", "journal", "owner", "reservations"].map((name) => `src/engine/journal/${name}.ts`),
    imports: ["src/engine/journal/", "src/engine/formats/", "src/engine/events/", "src/engine/read-back.ts"],
    node: "any",
    pure: false,
  },
  journal: { files: ["src/engine/journal/"], ...sideRoom },
  usage: { files: ["src/engine/usage/"], ...sideRoom },
  evaluate: {
    files: ["src/engine/evaluate/"],
    imports: ["formats", "derivation", "config", "stores"]
      .map((room) => `src/engine/${room}/`)
      .concat("src/engine/program-files.ts"),
    node: "any",
    packages: ["execa"],
    pure: false,
  },
  // What is left of src/engine: the files at its top, which put the rooms together.
  engine: { files: ["src/engine/"], imports: ["src/engine/"], node: "any", pure: false },
  "ui format": {
    files: ["src/ui/format/"],
    imports: [],
    node: ["node:module"],
    packages: ["string-width"],
    pure: true,
  },
  "ui theme": { files: ["src/ui/theme.ts"], imports: [], node: [], pure: true },
  "ui model": {
    files: ["src/ui/model/"],
    imports: ["src/engine/events/", "src/ui/format/"],
    node: [],
    pure: true,
  },
  "ui components": {
    files: ["src/ui/components/"],
    imports: ["src/ui/model/", "src/ui/format/", "src/ui/theme.ts"],
    node: [],
    packages: ["react", "ink"],
    pure: true,
  },
  ui: {
    files: ["src/ui/renderers/", "src/ui/index.ts"],
    imports: ["src/ui/", "src/engine/events/"],
    node: "any",
    packages: ["react", "ink"],
    pure: false,
  },
  bundler: { files: ["bin/bundle.js"], imports: [], node: "any", packages: ["rolldown"], pure: false },
  bin: {
    files: ["bin/"],
    imports: ["src/engine/index.ts", "src/ui/index.ts"],
    node: "any",
    packages: ["commander"],
    pure: false,
  },
};

const within = (path: string, places: readonly string[]) =>
  places.some((place) => (place.endsWith("/") ? path.startsWith(place) : path === place));

const roomOf = (path: string): [string, Room] | undefined =>
  Object.entries(rooms).find(([, room]) => within(path, room.files));

const impure =
  /\b(?:Date\.now|Math\.random|performance\.|process\.|setTimeout|setInterval|setImmediate|fetch\(|new Date\(\))/;

/** What a file does against the table, in words; `usesMore` says whether it needs what only one file of its room may have. */
function violations(
  path: string,
  source: string,
): { readonly complaints: readonly string[]; readonly usesMore: boolean } {
  const found = roomOf(path);
  if (found === undefined) return { complaints: [`${path}: belongs to no room`], usesMore: false };
  const [name, room] = found;
  const more = room.oneFileMore;
  const complaints: string[] = [];
  let usesMore = false;
  const forbid = (line: number, what: string) => complaints.push(`${path}:${line}: ${name} may not import ${what}`);
  for (const { specifier, typeOnly, line } of scanImports(source)) {
    if (specifier.startsWith("node:")) {
      if (room.node === "any" || room.node.includes(specifier)) continue;
      if (more === undefined) forbid(line, specifier);
      else usesMore = true;
    } else if (specifier.startsWith(".")) {
      const target = normalize(join(dirname(path), specifier));
      if (within(target, [...room.files, ...room.imports, ...everyRoom])) continue;
      if (within(target, room.types ?? [])) {
        if (!typeOnly) forbid(line, `more than types of ${target}`);
      } else if (more !== undefined && within(target, more.imports)) usesMore = true;
      else forbid(line, target);
    } else {
      const parts = specifier.split("/");
      const packageName = specifier.startsWith("@") ? parts.slice(0, 2).join("/") : (parts[0] ?? specifier);
      if (room.packages?.includes(packageName)) continue;
      if (more?.packages.includes(packageName)) usesMore = true;
      else forbid(line, `the package ${packageName}`);
    }
  }
  if (room.pure && !usesMore) {
    for (const [index, line] of codeOnly(source).split("\n").entries()) {
      const use = impure.exec(line)?.[0];
      if (use !== undefined) complaints.push(`${path}:${index + 1}: ${name} is pure and may not use ${use}`);
    }
  }
  return { complaints, usesMore };
}

/** Complaints about files that share a room's one place for input and output. */
function crowded(users: readonly string[]): string[] {
  const byRoom = Map.groupBy(users, (path) => roomOf(path)?.[0] ?? "");
  return [...byRoom]
    .filter(([, paths]) => paths.length > 1)
    .map(([room, paths]) => `${room}: input and output belong in one file, not in ${paths.join(", ")}`);
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

describe("architecture", () => {
  it("imports point the way the table says", () => {
    expect(files.length).toBeGreaterThan(10);
    const checked = files.map(({ path, source }) => ({ path, ...violations(path, source) }));
    const users = checked.filter(({ usesMore }) => usesMore).map(({ path }) => path);
    expect([...checked.flatMap(({ complaints }) => complaints), ...crowded(users)]).toEqual([]);
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

  it("the table has no circle", () => {
    const names = Object.keys(rooms).filter((name) => name !== "engine" && name !== "shared");
    const needs = (name: string) => {
      const room = rooms[name]!;
      const places = [...room.imports, ...(room.oneFileMore?.imports ?? [])];
      return names.filter((other) => other !== name && rooms[other]!.files.some((file) => within(file, places)));
    };
    const settled = new Set<string>();
    for (let before = -1; before !== settled.size; ) {
      before = settled.size;
      for (const name of names) if (needs(name).every((other) => settled.has(other))) settled.add(name);
    }
    expect(names.filter((name) => !settled.has(name))).toEqual([]);
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
    ["src/engine/scheduler/decide.ts", 'import type { Store } from "../stores/store.ts";', "scheduler may not import"],
    ["src/engine/scheduler/decide.ts", 'await import("node:fs/promises")', "scheduler may not import node:fs/promises"],
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
    expect(violations(path, source).complaints.join("\n")).toContain(complaint);
  });

  it("catches a second file with input and output in a room that has one", () => {
    const source = 'import { execa } from "execa"; setTimeout(f, 1)';
    const paths = ["src/engine/hooks/run.ts", "src/engine/hooks/queue.ts"];
    expect(paths.map((path) => violations(path, source))).toEqual([
      { complaints: [], usesMore: true },
      { complaints: [], usesMore: true },
    ]);
    expect(crowded(paths)).toEqual([expect.stringContaining("hooks: input and output belong in one file")]);
    expect(crowded(paths.slice(1))).toEqual([]);
  });

  it("lets through what the table allows", () => {
    const source = 'import type { X } from "../formats/hash.ts"; import { EngineError } from "../errors.ts";';
    expect(violations("src/engine/events/event.ts", source).complaints).toEqual([]);
  });

  it("catches a file without an opening sentence", () => {
    expect(opens('import a from "b";\n// Says it later.')).toBe(false);
    expect(opens("// no end\nconst a = 1;")).toBe(false);
    expect(opens("#!/usr/bin/env node\n// Starts it.\n")).toBe(true);
    expect(opens("/** Starts it. */\n")).toBe(true);
  });
});
