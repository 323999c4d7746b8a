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
import {
  GROUP,
  HOSTS,
  NSSWITCH,
  PASSWD,
  SANDBOX_GID,
  SANDBOX_UID,
  type SandboxInput,
  type Scratch,
} from "./sandbox-plan.ts";

/** Files of the host a builder with network resolves names by. */
const NETWORK_FILES = ["resolv.conf", "services", "hosts"];

/**
 * Makes the directories of one build at `dir`, which must not exist. With `insideRoot` (the private root without namespaces) they lie
 * where the builder sees them, and belong to the ids it runs as.
 */
export function makeScratch(dir: string, insideRoot: boolean): Scratch {
  const root = `${dir}/root`;
  const scratch: Scratch = insideRoot
    ? { dir, root, store: `${root}/nix/store`, build: `${root}/build`, tmp: `${root}/tmp` }
    : { dir, root, store: `${dir}/store`, build: `${dir}/build`, tmp: `${dir}/tmp` };
  mkdirSync(dir, 0o755);
  mkdirSync(root, 0o755);
  if (insideRoot) for (const name of ["nix", "etc", "dev", "bin"]) mkdirSync(`${root}/${name}`, 0o755);
  for (const [path, mode] of [
    [scratch.store, 0o1775],
    [scratch.build, 0o700],
    [scratch.tmp, 0o1777],
  ] as const) {
    mkdirSync(path);
    chmodSync(path, mode);
    if (insideRoot) chownSync(path, SANDBOX_UID, SANDBOX_GID);
  }
  return scratch;
}

/** Writes what stands in `/etc` inside. With network also what names are resolved by. */
export function makeEtc(dir: string, network: boolean): void {
  mkdirSync(dir, 0o755);
  writeFileSync(`${dir}/passwd`, PASSWD);
  writeFileSync(`${dir}/group`, GROUP);
  writeFileSync(`${dir}/hosts`, HOSTS);
  if (!network) return;
  writeFileSync(`${dir}/nsswitch.conf`, NSSWITCH);
  // Their place in /etc may be a symlink to where nothing is mounted inside, so they are copied.
  for (const name of NETWORK_FILES) {
    if (existsSync(`/etc/${name}`)) writeFileSync(`${dir}/${name}`, readFileSync(`/etc/${name}`));
  }
  mkdirSync(`${dir}/ssl/certs`, { recursive: true });
}

/** Writes a build's files into its build directory. */
export function writeBuildFiles(scratch: Scratch, files: ReadonlyMap<string, ByteString>, owner: number | null): void {
  for (const [name, contents] of files) {
    const path = `${scratch.build}/${name}`;
    writeFileSync(path, toBytes(contents));
    if (owner !== null) chownSync(path, owner, SANDBOX_GID);
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
