// The rooms of the house and which way imports point: one table, for the test that holds it and the page that shows it.

/** What a room may know. Its own files and `engine/base/` are open to every room. */
export interface Room {
  /** What is decided there, in words. */
  readonly decides: string;
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
}

const base = "src/engine/base/";
const engine = (...places: readonly string[]) =>
  places.map((place) => `src/engine/${place}${place.endsWith(".ts") ? "" : "/"}`);
const values = engine("formats", "derivation", "events");

// In this order: each room knows only those above it. docs/ARCHITECTURE.md shows the same table, made from this one.
export const rooms: Readonly<Record<string, Room>> = {
  base: {
    decides:
      "what everybody may know: the shape of errors, the clock, bounded reads of files and JSON, where the program's own files lie",
    files: [base],
    imports: [],
    node: "any",
    pure: false,
  },
  formats: {
    decides: "bytes and text ↔ values: nix32, hashes, store paths, NAR, narinfo, signatures, wire primitives",
    files: engine("formats"),
    imports: [],
    node: ["node:crypto"],
    pure: true,
  },
  events: {
    decides: "the contract between engine and user interface: events out, requests in; recordings of them",
    files: engine("events"),
    imports: [],
    types: engine("formats", "derivation"),
    node: [],
    pure: true,
  },
  derivation: {
    decides: "`.drv` parse and print, output paths, placeholders, options, orders and closures",
    files: engine("derivation"),
    imports: engine("formats"),
    node: [],
    pure: true,
  },
  "config loader": {
    decides: "reads the files and the environment that settings come from",
    files: engine("config/load.ts"),
    imports: engine("config", "formats"),
    node: "any",
    pure: false,
  },
  config: {
    decides: "nix.conf, settings, the machine list, store references as values",
    files: engine("config"),
    imports: engine("formats"),
    node: ["node:path"],
    pure: true,
  },
  protocols: {
    decides: "worker and serve protocol, client and server, over any byte pair",
    files: engine("protocols"),
    imports: values,
    types: engine("transports/transport.ts"),
    node: [],
    pure: true,
  },
  transports: {
    decides: "unix socket, child process, SSH",
    files: engine("transports"),
    // Which names ssh takes is one rule for lists that are read and for destinations that are reached.
    imports: engine("formats/ssh-names.ts"),
    types: engine("config"),
    node: "any",
    packages: ["ssh2", "execa"],
    pure: false,
  },
  stores: {
    decides:
      "what can hold or build: `remote/`, `binary-cache/`, `embedded/`; `exposed/` to others; `open/` finds the one that is meant",
    files: engine("stores"),
    imports: engine("formats", "derivation", "config", "protocols", "transports"),
    node: "any",
    packages: ["aws4fetch", "execa"],
    pure: false,
  },
  "scheduler/plan": {
    decides: "what is built where and when, and what a failure means: facts in, commands and events out",
    files: engine("scheduler/plan"),
    imports: values,
    types: engine("config"),
    node: [],
    pure: true,
  },
  "memory/records": {
    decides: "what outlives a run as values: journal lines, what is left of a run, usual durations",
    files: engine("memory/records"),
    imports: values,
    node: [],
    pure: true,
  },
  memory: {
    decides: "the same on disk: files of processes that may be dead, journals, durations, logs, reservations",
    files: engine("memory"),
    imports: values,
    node: "any",
    pure: false,
  },
  "usage/samples": {
    decides: "what a machine says of its processors and memory as values",
    files: engine("usage/samples"),
    imports: values,
    node: [],
    pure: true,
  },
  usage: {
    decides: "samples machines while they work",
    files: engine("usage"),
    imports: engine("formats", "events", "transports"),
    node: "any",
    pure: false,
  },
  "hooks/jobs": {
    decides: "the queue of hooks and uploads as a value",
    files: engine("hooks/jobs"),
    imports: values,
    node: [],
    pure: true,
  },
  hooks: {
    decides: "runs hooks and uploads, keeps their queue on disk",
    files: engine("hooks"),
    imports: [...values, ...engine("config", "stores", "memory")],
    node: "any",
    packages: ["execa"],
    pure: false,
  },
  "differences, compared and explained": {
    decides: "whether results differ, what the difference is put down to, the report",
    files: engine("differences/compare", "differences/explain", "differences/report"),
    imports: values,
    node: ["node:zlib"],
    pure: true,
  },
  differences: {
    decides: "builds that are compared, keeping their results, the diff hook",
    files: engine("differences"),
    imports: [...values, ...engine("config", "transports", "stores", "hooks")],
    types: engine("scheduler/plan/rounds/check-strategy.ts"),
    node: "any",
    pure: false,
  },
  "scheduler/perform": {
    decides: "performs commands over machines, stores and hooks, and answers with facts; makes no choice",
    files: engine("scheduler/perform"),
    imports: [...values, ...engine("config", "transports", "stores", "scheduler/plan", "memory", "differences")],
    node: "any",
    pure: false,
  },
  evaluate: {
    decides: "`.nix`, flakes and TypeScript build files → derivations",
    files: engine("evaluate"),
    imports: engine("formats", "derivation", "config", "stores"),
    node: "any",
    packages: ["execa"],
    pure: false,
  },
  "watch/translate": {
    decides: "what Nix's own log means as events of ours",
    files: engine("watch/translate"),
    imports: [...values, ...engine("protocols")],
    node: [],
    pure: true,
  },
  watch: {
    decides: "watches a Nix command or a log of one",
    files: engine("watch"),
    imports: [...values, ...engine("config", "protocols", "memory")],
    node: "any",
    pure: false,
  },
  run: {
    decides: "one run from beginning to end: who is given what, who hears what",
    files: engine("run"),
    imports: [
      ...values,
      ...engine("config", "transports", "stores", "memory", "usage", "hooks", "differences", "scheduler", "evaluate"),
    ],
    node: "any",
    pure: false,
  },
  commands: {
    decides: "one file for each command that is no run; `demo/`",
    files: engine("commands"),
    imports: [
      ...values,
      ...engine("config", "protocols", "transports", "stores", "memory", "usage", "hooks", "evaluate"),
    ],
    // The demo is a run that is asked for with other words.
    types: engine("run/create-build-run.ts"),
    node: "any",
    pure: false,
  },
  engine: {
    decides: "the engine as `bin` sees it; what is heavy is loaded when it is used",
    files: engine("index.ts"),
    imports: ["src/engine/"],
    node: [],
    pure: false,
  },
  "ui format": {
    decides: "numbers, times and foreign text as they are shown",
    files: ["src/ui/format/"],
    imports: [],
    node: ["node:module"],
    packages: ["string-width"],
    pure: true,
  },
  "ui theme": {
    decides: "colours and marks",
    files: ["src/ui/theme.ts"],
    imports: [],
    node: [],
    pure: true,
  },
  "ui model": {
    decides: "`board/` folds events, `view/` folds keys, `screens/` select what is seen",
    files: ["src/ui/model/"],
    imports: ["src/engine/events/", "src/ui/format/"],
    node: [],
    pure: true,
  },
  "ui components": {
    decides: "Ink components: props in, text out",
    files: ["src/ui/components/"],
    imports: ["src/ui/model/", "src/ui/format/", "src/ui/theme.ts"],
    node: [],
    packages: ["react", "ink"],
    pure: true,
  },
  ui: {
    decides: "board, plain lines, JSON lines, quiet: each a fold over the same events",
    files: ["src/ui/renderers/", "src/ui/index.ts"],
    imports: ["src/ui/", "src/engine/events/"],
    node: "any",
    packages: ["react", "ink"],
    pure: false,
  },
  bundler: {
    decides: "makes the bundle that is installed",
    files: ["bin/bundle.js"],
    imports: [],
    node: "any",
    packages: ["rolldown"],
    pure: false,
  },
  bin: {
    decides: "command line → options → settings → engine → renderer; exit codes. The only place that sees both halves",
    files: ["bin/"],
    imports: ["src/engine/index.ts", "src/ui/index.ts"],
    node: "any",
    packages: ["commander"],
    pure: false,
  },
};
