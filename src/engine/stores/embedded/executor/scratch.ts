// Creates the directories of one build, and fills them with what cannot be mounted.
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

/** Host files that a builder with network resolves names with. */
const NETWORK_FILES = ["resolv.conf", "services", "hosts"];

/**
 * Creates the directories of one build at `dir`, which must not exist. With `insideRoot` (the private root without namespaces) they are
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

/** Makes a directory of exactly this mode, regardless of this process's umask. */
export function makeDirectory(path: string, mode: number): void {
  mkdirSync(path);
  chmodSync(path, mode);
}

/** Writes a file everyone may read, regardless of this process's umask. */
function writeOpenFile(path: string, contents: string | Uint8Array): void {
  writeFileSync(path, contents);
  chmodSync(path, 0o644);
}

/** Writes `/etc` of the sandbox, with network including the files for resolving names. */
export function makeEtc(dir: string, network: boolean): void {
  makeDirectory(dir, 0o755);
  writeOpenFile(`${dir}/passwd`, PASSWD);
  writeOpenFile(`${dir}/group`, GROUP);
  writeOpenFile(`${dir}/hosts`, HOSTS);
  if (!network) return;
  writeOpenFile(`${dir}/nsswitch.conf`, NSSWITCH);
  // In /etc they may be symlinks to something that is not mounted inside, so they are copied.
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

/** The inputs to mount; symlinks are recreated in the scratch store, since a mount would follow them. */
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
