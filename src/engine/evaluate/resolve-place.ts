// Looks at what a word names on disk: a link into the store, a directory with something to build in it, or a file.
import { lstat, readlink, realpath } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { EngineError } from "../base/errors.ts";
import { isStorePath, STORE_DIR, type StorePath } from "../formats/store-path.ts";
import type { Installable } from "./installable.ts";
import { parseInstallables } from "./installable.ts";
import { groupByOutputs } from "./wanted-outputs.ts";

/** A path in the system's store, or in a private store below a directory. */
const IN_A_STORE = new RegExp(`(${STORE_DIR}/[0-9a-df-np-sv-z]{32}-[^/]+)$`);
/** The same limit as in Linux. */
const MOST_LINKS = 40;

/** The files to search a directory for, in this order. */
const DEFAULT_FILES = ["default.nix", "default.ts", "default.js", "flake.nix"] as const;

/**
 * The store path that contains a path or that its links lead to, null when there is none. The first one met counts, because an output may itself be a
 * link, and it need not exist any more: a result link outlives the path it kept (Nix: `followLinksToStore`).
 */
export async function storePathAt(path: string): Promise<StorePath | null> {
  let at = "/";
  let rest = resolve(path).split("/");
  for (let links = 0; rest.length > 0; ) {
    const next = join(at, rest.shift() ?? "");
    const stored = IN_A_STORE.exec(next)?.[1];
    if (stored !== undefined && isStorePath(stored)) return stored;
    const target = await readlink(next).catch(() => null);
    if (target !== null && ++links > MOST_LINKS) return null;
    rest = target === null ? rest : [...resolve(at, target).split("/"), ...rest];
    at = target === null ? next : "/";
  }
  return null;
}

/**
 * Turns a `place` into its kind: a link such as `./result` into its store path, a directory into its `default.nix`, `default.ts`, or flake.
 * @throws EngineError `INSTALLABLE_NOT_FOUND`, `INSTALLABLE_NOTHING_THERE`
 */
export async function resolvePlace(place: Extract<Installable, { type: "place" }>, cwd: string): Promise<Installable> {
  const { attributes } = place;
  const path = resolve(cwd, place.path);
  const stored = attributes.length === 0 ? await storePathAt(path) : null;
  if (stored !== null) {
    const [inStore] = parseInstallables({ words: [stored], file: null, expression: null, attributes });
    if (inStore !== undefined) return inStore;
  }
  const target = await realpath(path).catch(() => null);
  if (target === null) throw notFound(place.path, attributes);
  const kind = await lstat(target);
  if (!kind.isDirectory()) return { type: "file", path, attributes };
  for (const name of DEFAULT_FILES) {
    const file = join(path, name);
    if ((await lstat(file).catch(() => null)) === null) continue;
    if (name === "default.nix") return { type: "file", path: file, attributes };
    if (name !== "flake.nix") return { type: "buildFile", path: file, attributes };
    const [group] = groupByOutputs(attributes);
    const reference = attributes.length === 0 ? path : `${path}#${group!.attributes[0]}`;
    if (attributes.length <= 1) return { type: "flake", reference, outputs: group!.outputs };
  }
  throw new EngineError(
    "usage",
    "INSTALLABLE_NOTHING_THERE",
    `'${place.path}': expected ${DEFAULT_FILES.join(", ")}, found none of them in '${path}'`,
    { hint: "name what to build: a file with -A ATTRIBUTE, a '.drv' path, '(EXPRESSION)' or a flake reference" },
  );
}

function notFound(path: string, attributes: readonly string[]): EngineError {
  const looksLikeAttribute = !path.includes("/") && attributes.length === 0;
  const hint = looksLikeAttribute
    ? `for an attribute of ./default.nix write -A ${basename(path)}, for a package of a flake nixpkgs#${basename(path)}`
    : "check the path";
  return new EngineError("usage", "INSTALLABLE_NOT_FOUND", `expected a file or directory, found nothing at '${path}'`, {
    hint,
  });
}
