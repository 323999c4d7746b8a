// Puts the stand-in for <nixpkgs> together with this machine's busybox, in a folder that Nix of any generation can import.
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { outputOf } from "./processes.ts";
import { testCache } from "./test-cache.ts";

const files = ["default.nix", "flake.nix", "setup.sh"];

/** The busybox builds are made with, or null where none is installed. It must be static: a sandbox holds nothing else. */
export function busyboxPath(): string | null {
  return ["/bin/busybox", "/usr/bin/busybox"].find((path) => existsSync(path)) ?? null;
}

/**
 * The folder for `NIX_PATH=nixpkgs=…`, `-I nixpkgs=…` or a `path:` flake. It lies in the test cache and stays there, so the store
 * paths made from it are the same in every run. Throws where there is no busybox.
 */
export async function standInNixpkgs(): Promise<string> {
  const busybox = busyboxPath();
  if (busybox === null) throw new Error("no busybox on this machine (Debian: busybox-static)");
  const source = fileURLToPath(new URL("nixpkgs", import.meta.url));
  const hash = createHash("sha256");
  for (const path of [busybox, ...files.map((file) => join(source, file))]) hash.update(readFileSync(path));
  const cache = testCache("nixpkgs");
  const directory = join(cache, hash.digest("hex").slice(0, 16));
  if (existsSync(directory)) return directory;

  const partial = mkdtempSync(join(cache, "partial-"));
  chmodSync(partial, 0o755);
  for (const file of files) cpSync(join(source, file), join(partial, file));
  const bin = join(partial, "busybox/bin");
  mkdirSync(bin, { recursive: true });
  copyFileSync(busybox, join(bin, "busybox"));
  chmodSync(join(bin, "busybox"), 0o755);
  for (const applet of (await outputOf(busybox, ["--list"])).split("\n")) {
    if (applet !== "busybox") symlinkSync("busybox", join(bin, applet));
  }
  try {
    renameSync(partial, directory);
  } catch (error) {
    // Another test process was quicker; its folder has the same content.
    rmSync(partial, { recursive: true, force: true });
    if (!existsSync(directory)) throw error;
  }
  return directory;
}
