// Runs the diff hook as Nix does: two paths it cannot write to, the derivation, a temporary directory; its exit status decides nothing.
import { chown, lstat, mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { failureOf, type ProgramEnd, runProgram } from "../../hooks/run-program.ts";
import { removeTree } from "../../stores/embedded/files/remove.ts";
import { findProgram } from "../../stores/open/open-destination.ts";
import type { HookProgram } from "../explain/diffoscope.ts";
import { buildUserOf, type HookUser } from "./build-user.ts";
import { type MountPrograms, type ReadOnlyWay, readOnlyCommand } from "./read-only.ts";

export interface DiffHookSettings {
  readonly program: HookProgram;
  /** Milliseconds, 0 no limit. */
  readonly timeoutMs: number;
  /** The whole environment of the hook. */
  readonly env: Readonly<Record<string, string>>;
  /** Whom it runs as, null ourselves; see {@link readHookUser}. */
  readonly user: HookUser | null;
  readonly clock: Clock;
}

export interface DiffHookCall {
  /** The first result and the other one, as places on this machine's disk. */
  readonly first: string;
  readonly other: string;
  readonly drvPath: string;
  /** The build's own directory when it is kept on this machine's disk, else null: the hook gets an empty one. */
  readonly buildDirectory: string | null;
  readonly logged: (lines: readonly string[]) => void;
}

/** How a hook ended. */
export interface DiffHookEnd {
  /** In Nix's words, null when it exited with 0. Told to the user, and nothing else. */
  readonly failure: string | null;
  readonly durationMs: number;
  /** How writing was prevented. */
  readonly readOnly: ReadOnlyWay;
}

/** Runs the hook once. Never rejects. Aborting the signal kills it with everything it started. */
export async function runDiffHook(
  settings: DiffHookSettings,
  call: DiffHookCall,
  signal: AbortSignal,
): Promise<DiffHookEnd> {
  const startedAt = settings.clock.now();
  const { user } = settings;
  let temporary: string | null = null;
  try {
    if (call.buildDirectory === null) {
      temporary = await mkdtemp(join(tmpdir(), "tsbuild-top-diff-"));
      if (user !== null) await chown(temporary, user.uid, user.gid);
    }
    const { file, args } = settings.program;
    const words = [file, ...args(call.first, call.other, call.drvPath, call.buildDirectory ?? temporary ?? tmpdir())];
    const paths = await bindable([call.first, call.other]);
    const programs = await findPrograms();
    const way = await findWay(paths, settings, programs, signal);
    const command = readOnlyCommand(way, paths, user, identity(), words as [string, ...string[]], programs);
    const end = await run(settings, command, way === "none" ? user : null, call.logged, signal);
    return { failure: diffFailure(settings.program, end), durationMs: end.durationMs, readOnly: way };
  } catch (error) {
    const failure = `diff hook execution failed: ${error instanceof Error ? error.message : String(error)}`;
    return { failure, durationMs: settings.clock.now() - startedAt, readOnly: "none" };
  } finally {
    if (temporary !== null) await removeTree(temporary).catch(() => undefined);
  }
}

function diffFailure({ file, exitCodes }: HookProgram, end: ProgramEnd): string | null {
  if (end.type === "exited" && exitCodes.includes(end.code)) return null;
  const failure = failureOf(file, end);
  return failure === null ? null : `diff hook execution failed: diff-hook ${failure}`;
}

function run(
  settings: DiffHookSettings,
  [file, ...args]: readonly [string, ...string[]],
  user: HookUser | null,
  logged: (lines: readonly string[]) => void,
  signal: AbortSignal,
): Promise<ProgramEnd> {
  const { env, timeoutMs, clock } = settings;
  return runProgram({ file, args, env, cwd: "/", timeoutMs, user, logged, clock }, signal);
}

/** A mount follows a symlink, and a symlink itself has nothing to write to. */
async function bindable(paths: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths) if (!(await lstat(path)).isSymbolicLink()) found.push(path);
  return found;
}

/** The first way that works here with these paths: tried with a program that looks whether it could write. */
async function findWay(
  paths: readonly string[],
  settings: DiffHookSettings,
  programs: MountPrograms,
  signal: AbortSignal,
): Promise<ReadOnlyWay> {
  const ways: readonly ReadOnlyWay[] = identity().uid === 0 ? ["unshareAsRoot", "bwrap"] : ["bwrap", "unshareAsUser"];
  const look = 'for path in "$@"; do if [ -w "$path" ]; then exit 1; fi; done';
  for (const way of ways) {
    const command = readOnlyCommand(
      way,
      paths,
      settings.user,
      identity(),
      ["/bin/sh", "-c", look, "sh", ...paths],
      programs,
    );
    const end = await run({ ...settings, timeoutMs: 10_000 }, command, null, () => undefined, signal);
    if (end.type === "exited" && end.code === 0) return way;
  }
  return "none";
}

/** Where the system's own programs are, whatever the hook's PATH is. */
const PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin";

async function findPrograms(): Promise<MountPrograms> {
  const find = async (name: string): Promise<string> => (await findProgram(name, { PATH: PROGRAMS })) ?? name;
  return {
    unshare: await find("unshare"),
    mount: await find("mount"),
    setpriv: await find("setpriv"),
    bwrap: await find("bwrap"),
  };
}

function identity(): HookUser {
  return { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
}

/**
 * Whom the hook runs as: a member of `build-users-group` (empty for none), as builds do, when we are root; null for ourselves.
 */
export async function readHookUser(group: string): Promise<HookUser | null> {
  if (group === "" || identity().uid !== 0) return null;
  const read = (file: string): Promise<string> => readFile(file, "utf8").catch(() => "");
  return buildUserOf(group, await read("/etc/group"), await read("/etc/passwd"));
}
