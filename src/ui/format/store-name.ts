// The readable part of a store path: the name without directory, hash and `.drv`.

const HASH_LENGTH = 32;

/** `/nix/store/…-hello-2.12.drv` → `hello-2.12`; text that is no store path stays as it is. */
export function storeName(path: string): string {
  const base = path.slice(path.lastIndexOf("/") + 1);
  const name = base.charAt(HASH_LENGTH) === "-" ? base.slice(HASH_LENGTH + 1) : base;
  return name.endsWith(".drv") && name.length > 4 ? name.slice(0, -4) : name;
}
