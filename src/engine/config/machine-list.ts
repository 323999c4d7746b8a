// The machine list grammar: parses the text of `builders`, reporting every bad entry so that none hides another.
import { posix } from "node:path";
import { EngineError } from "../base/errors.ts";
import { withoutPassword } from "../base/without-password.ts";
import type { Machine } from "./machine.ts";
import type { Where } from "./nix-conf.ts";
import { printWhere, withoutMark } from "./nix-conf.ts";
import type { ReferenceContext } from "./store-reference.ts";
import { parseStoreReference } from "./store-reference.ts";
import { splitWords } from "./value-kinds.ts";

/** The result of reading a file. */
export type FileRead =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "missing" }
  | { readonly type: "unreadable"; readonly reason: string };

/** Reads a file that a list or a configuration names; never throws. */
export type ReadFile = (path: string) => FileRead;

/** A problem in a list. An `error` drops that entry only; a `warning` drops nothing. */
export interface MachinesProblem {
  readonly severity: "error" | "warning";
  readonly where: Where;
  readonly error: EngineError;
}

export interface MachinesResult {
  readonly machines: readonly Machine[];
  readonly problems: readonly MachinesProblem[];
}

export interface MachinesContext extends ReferenceContext {
  /** Systems of a machine whose entry names none. */
  readonly defaultSystem: string;
  readonly readFile: ReadFile;
}

/** Fields of an entry, in order; the manual counts them from 1. */
const FIELD_NAMES = [
  "store URI",
  "systems",
  "SSH key",
  "max jobs",
  "speed factor",
  "supported features",
  "mandatory features",
  "public host key",
] as const;

const MAX_DEPTH = 16;

/**
 * Parses a list of machines (Nix manual, Remote Builds; `machines.cc`). `origin` is the source of the text: `--builders`, a nix.conf, a file.
 *
 * Comments follow Nix 2.29 and newer: `#` starts a comment up to the end of the line. Nix 2.28 and older split at `;` first, so that they read
 * `mac # fast ; beastie` as two machines, and they recognise `@` only at the very start of an entry. A missing `@file` is an empty one; a file
 * that includes itself, directly or not, is a problem and read once.
 */
export function parseMachines(text: string, origin: Where, context: MachinesContext): MachinesResult {
  const machines: Machine[] = [];
  const problems: MachinesProblem[] = [];
  const report = (severity: MachinesProblem["severity"], where: Where, error: EngineError): void => {
    problems.push({ severity, where, error });
  };

  const readList = (list: string, file: string, firstLine: number, open: readonly string[]): void => {
    for (const [index, line] of withoutMark(list).split("\n").entries()) {
      const where: Where = { file, line: firstLine + index };
      for (const entry of (line.split("#", 1)[0] ?? "").split(";")) {
        const fields = splitWords(entry);
        if (fields.length === 0) continue;
        if (fields[0]?.startsWith("@") === true) include(entry.trim().slice(1).trim(), where, open);
        else readEntry(fields, where);
      }
    }
  };

  const include = (written: string, where: Where, open: readonly string[]): void => {
    const path = posix.resolve(context.cwd, written.startsWith("~/") ? context.home + written.slice(1) : written);
    if (written === "" || open.includes(path) || open.length >= MAX_DEPTH) {
      const found = written === "" ? "nothing behind '@'" : `'@${written}', which includes itself`;
      report("error", where, machinesError("MACHINES_BAD_INCLUDE", where, `expected '@FILE', found ${found}`));
      return;
    }
    const read = context.readFile(path);
    switch (read.type) {
      case "text":
        readList(read.text, path, 1, [...open, path]);
        return;
      case "missing":
        return;
      case "unreadable":
        report("error", where, machinesError("MACHINES_UNREADABLE", where, `cannot read '${path}': ${read.reason}`));
    }
  };

  const readEntry = (fields: readonly string[], where: Where): void => {
    if (fields.length > FIELD_NAMES.length) {
      const message = `expected at most ${FIELD_NAMES.length} fields, found ${fields.length}; ignored from '${withoutPassword(fields[FIELD_NAMES.length] ?? "")}' on`;
      report(
        "warning",
        where,
        machinesError("MACHINES_TOO_MANY_FIELDS", where, message, "separate machines with ';' or a newline"),
      );
    }
    const entry = parseEntry(fields, where, context);
    for (const { severity, error } of entry.problems) report(severity, where, error);
    if (entry.machine !== null) machines.push(entry.machine);
  };

  readList(text, origin.file, origin.line, []);
  return { machines, problems };
}

interface Entry {
  readonly machine: Machine | null;
  readonly problems: readonly { readonly severity: MachinesProblem["severity"]; readonly error: EngineError }[];
}

function parseEntry(fields: readonly string[], where: Where, context: MachinesContext): Entry {
  const problems: { severity: MachinesProblem["severity"]; error: EngineError }[] = [];
  const field = (index: number): string | null => {
    const value = fields[index];
    return value === undefined || value === "-" ? null : value;
  };
  const bad = (index: number, expected: string, hint?: string): void => {
    const message = `field ${index + 1} (${FIELD_NAMES[index]}): expected ${expected}, found '${withoutPassword(fields[index] ?? "").slice(0, 200)}'`;
    problems.push({ severity: "error", error: machinesError("MACHINES_BAD_FIELD", where, message, hint) });
  };

  const uri = field(0);
  if (uri === null) bad(0, "the URI of a store, such as 'ssh://nix@mac'", "the first field has no default");
  const maxJobs = parseMaxJobs(field(3));
  if (maxJobs === undefined) bad(3, "a whole number, 0 or more");
  const speedFactor = parseSpeedFactor(field(4));
  if (speedFactor === undefined) bad(4, "a positive number, such as '2' or '1.5'");
  const hostKey = field(7);
  if (hostKey !== null && !isHostKey(hostKey)) {
    bad(7, "base64 of a public host key", "write it with: base64 -w0 /etc/ssh/ssh_host_ed25519_key.pub");
  }
  const supportedFeatures = commaSet(field(5));
  const mandatoryFeatures = commaSet(field(6));

  const extra = new Map<string, string>();
  const sshKey = field(2);
  if (sshKey !== null) extra.set("ssh-key", sshKey);
  if (hostKey !== null) extra.set("base64-ssh-public-host-key", hostKey);
  if (supportedFeatures.size + mandatoryFeatures.size > 0) {
    extra.set("system-features", [...new Set([...supportedFeatures, ...mandatoryFeatures])].join(" "));
  }
  const store = uri === null ? null : parseUri(completeUri(uri), extra, context);
  if (store instanceof EngineError) bad(0, "the URI of a store, such as 'ssh://nix@mac'", store.message);
  const reference = store === null || store instanceof EngineError ? null : store.reference;
  if (reference !== null && reference.type !== "ssh") {
    problems.push({ severity: "error", error: notSsh(uri ?? "", where) });
    return { machine: null, problems };
  }
  if (
    store === null ||
    store instanceof EngineError ||
    reference === null ||
    maxJobs === undefined ||
    speedFactor === undefined
  ) {
    return { machine: null, problems };
  }
  if (problems.length > 0) return { machine: null, problems };
  for (const warning of store.warnings) {
    problems.push({ severity: "warning", error: machinesError("MACHINES_UNKNOWN_PARAMETER", where, warning) });
  }
  const systems = commaSet(field(1));
  return {
    machine: {
      store: reference,
      systems: systems.size > 0 ? systems : new Set([context.defaultSystem]),
      maxJobs,
      speedFactor,
      supportedFeatures,
      mandatoryFeatures,
      where,
    },
    problems,
  };
}

/** Nix passes such an entry to its build hook, which opens that store on this machine. Here this machine builds without an entry. */
function notSsh(uri: string, where: Where): EngineError {
  return machinesError(
    "MACHINE_NOT_SSH",
    where,
    `field 1 (store URI): expected a machine reached over SSH (ssh://HOST or ssh-ng://HOST), found '${withoutPassword(uri).slice(0, 200)}'`,
    "this machine needs no entry in the list: --max-jobs says how many builds it takes",
  );
}

function parseUri(uri: string, extra: ReadonlyMap<string, string>, context: ReferenceContext) {
  const isSsh = /^ssh(-ng)?:\/\//i.test(uri);
  const fitting = isSsh ? extra : new Map([...extra].filter(([name]) => name === "system-features"));
  try {
    return parseStoreReference(uri, context, fitting);
  } catch (error) {
    if (error instanceof EngineError) return error;
    throw error;
  }
}

/** `ssh://` is optional: it is added to everything that is not a URI, a path or a special word (Nix, `machines.cc`). */
export function completeUri(uri: string): string {
  const isComplete = uri.includes("/") || /^(auto|daemon|local)?(\?|$)/.test(uri);
  return isComplete ? uri : `ssh://${uri}`;
}

function commaSet(value: string | null): ReadonlySet<string> {
  return new Set((value ?? "").split(",").filter((word) => word !== ""));
}

function parseMaxJobs(value: string | null): number | undefined {
  if (value === null) return 1;
  return /^\d{1,9}$/.test(value) ? Number(value) : undefined;
}

/** 0 counts as 1, as in Nix. */
function parseSpeedFactor(value: string | null): number | undefined {
  if (value === null) return 1;
  if (!/^(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$/.test(value)) return undefined;
  const factor = Number(value);
  return Number.isFinite(factor) ? factor || 1 : undefined;
}

/** Whether the text is base64 of `TYPE BASE64 [COMMENT]`, the content of a public host key file. */
function isHostKey(value: string): boolean {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(value)) return false;
  return /^[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}(\s|$)/.test(Buffer.from(value, "base64").toString("latin1"));
}

function machinesError(code: string, where: Where, message: string, hint?: string): EngineError {
  return new EngineError("config", code, `${printWhere(where)}: ${message}`, hint === undefined ? {} : { hint });
}
