// What this machine offers to builds, determined once for all of them: their sandbox, their user, and what every sandbox contains.
import { spawnSync } from "node:child_process";
import type { StoreCore } from "../core.ts";
import { searchPath } from "../files/flock.ts";
import type { IdRange } from "./process/build-users.ts";
import { LogPipes } from "./process/log-pipe.ts";
import { strayDescriptors } from "./process/stray-descriptors.ts";
import { type Capability, fallingBack, ownBuildIds, probeCapability } from "./sandbox/capability.ts";
import { namesShell } from "./sandbox/sandbox-paths.ts";
import { findSandboxShell, findStaticBusybox, type SandboxShell } from "./sandbox/sandbox-shell.ts";
import { makeDirectory, makeEtc } from "./scratch.ts";

/** What is determined once for all builds. */
export interface Offered {
  readonly capability: Capability;
  /** The parent of all build directories: accessible to the users of builders, within a directory that is not. */
  readonly room: string;
  /** The users that builders may run as, null when they run as this process's user. */
  readonly ids: IdRange | null;
  readonly shell: SandboxShell | null;
  readonly starter: string | null;
  readonly stray: readonly number[];
  readonly pipes: LogPipes;
  /** `/etc` of builders without network. */
  readonly etc: string;
  /** `setarch -R` works: addresses are the same in every run. */
  readonly setarch: boolean;
}

/** Determines it. Throws `EXECUTOR_NO_SANDBOX` and other reasons why builds cannot run here. */
export async function lookAround(core: StoreCore): Promise<Offered> {
  const { settings } = core;
  const ids = ownBuildIds();
  const capability = fallingBack(
    probeCapability(settings.sandboxProgram, ids?.first ?? null),
    settings.sandboxFallback,
  );
  const work = await core.workDir();
  const room = work.fresh("room");
  makeDirectory(room, 0o755);
  const etc = `${room}/etc`;
  makeEtc(etc, false);
  return {
    capability,
    ids,
    room,
    starter: findStaticBusybox(),
    stray: strayDescriptors(),
    shell: namesShell(settings.sandboxPaths ?? []) ? null : findSandboxShell(),
    pipes: new LogPipes((kind) => work.fresh(kind)),
    etc,
    setarch: canSetarch(),
  };
}

function canSetarch(): boolean {
  const { status } = spawnSync("setarch", ["-R", "/bin/sh", "-c", ":"], {
    stdio: "ignore",
    env: { PATH: searchPath() },
  });
  return status === 0;
}
