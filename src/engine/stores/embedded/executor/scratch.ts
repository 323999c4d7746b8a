// Makes the directories one build uses, and puts into them what cannot be mounted.
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { type ByteString, toBytes } from "../../../formats/byte-string.ts";
import { baseNameOf, type StorePath } from "../../../formats/store-path.ts";
import { realPathOf, type StoreLayout } from "../layout.ts";
import { GROUP, HOSTS, NSSWITCH, PASSWD, type SandboxInput, type Scratch } from "./sandbox/sandbox-plan.ts";

/** Files of the host a builder with network resolves names by. */
const NETWORK_FILES = ["resolv.conf", "services", "hosts"];

/**
 * Makes the directories of one build at `dir`, which must not exist. With `insideRoot` (the private root without namespaces) they lie
 * where the builder sees them. They belong to the user the builder runs as; null is this process's.
 */
export function makeScratch(dir: string, insideRoot: boolean, uid: number | null): Scratch {
  const root = `${dir}/root`;
  const scratch: Scratch = insideRoot
    ? { dir, root, store: `${root}/nix/store`, build: `${root}/build`, tmp: `${root}/tmp` }
    : { dir, root, store: `${dir}/store`, build: `${dir}/build`, tmp: `${dir}/tmp` };
  makeDirectory(dir, 0o755);
  makeDirectory(root, 0o755);
  if (insideRoot) for (const name of ["nix", "etc", "dev", "bin"]) makeDirectory(`${root}/${name}`, 0o755);
  for (const [path, mode] of [
    [scratch.store, 0o1775],
    [scratch.build, 0o700],
    [scratch.tmp, 0o1777],
  ] as const) {
    makeDirectory(path, mode);
    if (uid !== null) chownSync(path, uid, uid);
  }
  return scratch;
}

/** Makes a directory of exactly this mode, whatever this process's umask says. */
export function makeDirectory(path: string, mode: number): void {
  mkdirSync(path);
  chmodSync(path, mode);
}

/** Writes a file everyone may read, whatever this process's umask says. */
function writeOpenFile(path: string, contents: string | Uint8Array): void {
  writeFileSync(path, contents);
  chmodSync(path, 0o644);
}

/** Writes what stands in `/etc` inside. With network also what names are resolved by. */
export function makeEtc(dir: string, network: boolean): void {
  makeDirectory(dir, 0o755);
  writeOpenFile(`${dir}/passwd`, PASSWD);
  writeOpenFile(`${dir}/group`, GROUP);
  writeOpenFile(`${dir}/hosts`, HOSTS);
  if (!network) return;
  writeOpenFile(`${dir}/nsswitch.conf`, NSSWITCH);
  // Their place in /etc may be a symlink to where nothing is mounted inside, so they are copied.
  for (const name of NETWORK_FILES) {
    if (existsSync(`/etc/${name}`)) writeOpenFile(`${dir}/${name}`, readFileSync(`/etc/${name}`));
  }
  makeDirectory(`${dir}/ssl`, 0o755);
  makeDirectory(`${dir}/ssl/certs`, 0o755);
}

/** Writes a build's files into its build directory. */
export function writeBuildFiles(scratch: Scratch, files: ReadonlyMap<string, ByteString>, owner: number | null): void {
  for (const [name, contents] of files) {
    const path = `${scratch.build}/${name}`;
    writeOpenFile(path, toBytes(contents));
    if (owner !== null) chownSync(path, owner, owner);
  }
}

/** The inputs to mount; those that are symlinks are made anew in the scratch store, since a mount would follow them. */
export function placeInputs(layout: StoreLayout, scratch: Scratch, inputs: Iterable<StorePath>): SandboxInput[] {
  const mounted: SandboxInput[] = [];
  for (const path of inputs) {
    const real = realPathOf(layout, path);
    if (!lstatSync(real).isSymbolicLink()) {
      mounted.push({ path, real });
      continue;
    }
    symlinkSync(readlinkSync(real, { encoding: "buffer" }), `${scratch.store}/${baseNameOf(path)}`);
  }
  return mounted;
}
