// The manual's chapter on the post-build hook as a user follows it: key, nix.conf, hook, build, delete, and the path copied back.
import { appendFileSync, chmodSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { NixInstance } from "../support/nix-instance.ts";
import type { RunResult } from "../support/processes.ts";
import { programUser } from "../support/program.ts";

/** What stands for `writeText "example" (toString currentTime)`: no nixpkgs is needed for it. */
const EXAMPLE = `derivation {
  name = "example"; system = builtins.currentSystem; builder = "/bin/sh";
  args = [ "-c" "echo example ${"$"}{toString builtins.currentTime} > $out" ];
}`;

/** Where the tutorial is followed: who runs the program, on which store, and where its configuration lies. */
export interface Place {
  readonly run: (args: readonly string[]) => Promise<RunResult>;
  /** Words that run the program in a shell. */
  readonly command: string;
  /** `--store …`, or nothing for the system's own. */
  readonly store: readonly string[];
  /** `/etc/nix` as the program sees it, and on this machine. */
  readonly etc: string;
  readonly hostEtc: string;
  /** Where the program runs: links appear there. */
  readonly cwd: string;
}

/** This machine with a store of its own below `directory`. */
export function embeddedPlace(directory: string, env: Readonly<Record<string, string>> = {}): Place {
  const user = programUser(join(directory, "home"));
  const etc = join(directory, "etc-nix");
  mkdirSync(etc);
  writeFileSync(join(etc, "nix.conf"), "build-users-group =\nexperimental-features = nix-command\n");
  const settings = { NIX_CONF_DIR: etc, NIX_CONFIG: "" };
  return {
    run: (args) => user.run(args, { cwd: directory, env: { ...settings, ...env } }),
    command: user.command,
    store: ["--store", join(directory, "store")],
    ...{ etc, hostEtc: etc, cwd: directory },
  };
}

/** A machine with Nix, its daemon running, for its own store. */
export function nixPlace(instance: NixInstance, directory: string, env: Readonly<Record<string, string>> = {}): Place {
  const node = `/checkout/node_modules/node-linux-${process.arch}/bin/node`;
  return {
    run: (args) => instance.run(node, ["/checkout/bin/main.ts", ...args], { cwd: directory, env }),
    command: `${node} /checkout/bin/main.ts`,
    store: [],
    ...{ etc: "/etc/nix", hostEtc: join(instance.directory, "etc/nix"), cwd: directory },
  };
}

/** What the tutorial leaves behind. */
export interface Followed {
  readonly path: string;
  readonly publicKey: string;
}

/**
 * Follows it step by step.
 * @param cache the URI as written in nix.conf and the hook
 * @param shownCache the same as messages name it
 */
export async function followTutorial(place: Place, cache: string, shownCache = cache): Promise<Followed> {
  const { run, command, store, etc, hostEtc, cwd } = place;
  const ok = async (result: Promise<RunResult>): Promise<RunResult> => {
    const { status, stderr } = await result;
    expect(status, stderr).toBe(0);
    return result;
  };
  // # nix-store --generate-binary-cache-key example-nix-cache-1 /etc/nix/key.private /etc/nix/key.public
  await ok(run(["generate-binary-cache-key", "example-nix-cache-1", `${etc}/key.private`, `${etc}/key.public`]));
  const publicKey = readFileSync(join(hostEtc, "key.public"), "utf8");
  expect(publicKey).toMatch(/^example-nix-cache-1:[A-Za-z0-9+/]{43}=$/);
  expect(statSync(join(hostEtc, "key.private")).mode & 0o777).toBe(0o600);
  appendFileSync(join(hostEtc, "nix.conf"), `\nsubstituters = ${cache}\ntrusted-public-keys = ${publicKey}\n`);
  const hook = join(hostEtc, "upload-to-cache.sh");
  writeFileSync(
    hook,
    `#!/bin/sh

set -eu
set -f # disable globbing
export IFS=' '

echo "Signing paths" $OUT_PATHS
${command} sign-paths --key-file ${etc}/key.private ${store.join(" ")} $OUT_PATHS
echo "Uploading paths" $OUT_PATHS
exec ${command} copy --to '${cache}' ${store.join(" ")} $OUT_PATHS
`,
  );
  // # chmod +x /etc/nix/upload-to-cache.sh
  chmodSync(hook, 0o755);
  appendFileSync(join(hostEtc, "nix.conf"), `post-build-hook = ${etc}/upload-to-cache.sh\n`);

  // $ nix-build -E '(import <nixpkgs> {}).writeText "example" (builtins.toString builtins.currentTime)'
  const built = await ok(run(["-E", EXAMPLE, "--ui", "plain", ...store]));
  const path = built.stdout.trim();
  expect(path).toMatch(/^\/nix\/store\/[a-z0-9]{32}-example$/);
  expect(built.stderr).toContain(`building '`);
  expect(built.stderr).toContain(`Signing paths ${path}`);
  expect(built.stderr).toContain(`Uploading paths ${path}`);
  expect(built.stderr).toContain(`copying path '${path}' to '${shownCache}'...`);

  // $ rm ./result; $ nix-store --delete
  const alive = await run(["delete", path, ...store]);
  expect(alive.status).toBe(1);
  expect(alive.stderr).toContain(
    `Cannot delete path '${path}' since it is still alive. To find out why, use: nix-store --query --roots`,
  );
  rmSync(join(cwd, "result"));
  const deleted = await ok(run(["delete", path, ...store]));
  expect(deleted.stdout).toMatch(/^1 store paths deleted, 0\.00 MiB freed$/m);

  // $ nix-store --realise; without the key in nix.conf it must not come
  const realise = ["realise", path, "--ui", "plain", ...store];
  const unsigned = await run([...realise, "--option", "trusted-public-keys", ""]);
  expect(unsigned.status).not.toBe(0);
  const realised = await ok(run(realise));
  expect(realised.stdout.trim()).toBe(path);
  expect(realised.stderr).toContain(`copying path '${path}' from '${shownCache}'...`);
  expect(realised.stderr).toContain(
    "warning: you did not specify '--add-root'; the result might be removed by the garbage collector",
  );
  expect(realised.stderr).not.toContain("Signing paths");

  const rooted = await ok(run([...realise, "--add-root", join(cwd, "keep")]));
  expect(rooted.stderr).not.toContain("--add-root");
  expect((await run(["delete", path, ...store])).status).toBe(1);
  await ok(run(["verify", path, "-n", "1", ...store]));
  return { path, publicKey };
}
