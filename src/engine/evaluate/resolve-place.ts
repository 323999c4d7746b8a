// Looks at what a word names on disk: a link into the store, a directory with something to build in it, or a file.
import { lstat, realpath } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { EngineError } from "../errors.ts";
import { STORE_DIR } from "../formats/store-path.ts";
import type { Installable } from "./installable.ts";
import { parseInstallables } from "./installable.ts";
import { groupByOutputs } from "./wanted-outputs.ts";

/** A path in the system's store, or in a private one below a directory of its own. */
const IN_A_STORE = new RegExp(`(${STORE_DIR}/[0-9a-df-np-sv-z]{32}-[^/]+(?:/.*)?)$`);

/** What a directory is searched for, in this order. */
const DEFAULT_FILES = ["default.nix", "default.ts", "default.js", "flake.nix"] as const;

/**
 * Turns a `place` into what it is: a link such as `./result` into its store path, a directory into its `default.nix`, `default.ts`, or flake.
 * @throws EngineError `INSTALLABLE_NOT_FOUND`, `INSTALLABLE_NOTHING_THERE`
 */
export async function resolvePlace(place: Extract<Installable, { type: "place" }>, cwd: string): Promise<Installable> {
  const { attributes } = place;
  const path = resolve(cwd, place.path);
  const found = await lstat(path).catch(() => null);
  const target = found === null ? null : await realpath(path).catch(() => null);
  if (target === null) throw notFound(place.path, attributes);
  const stored = IN_A_STORE.exec(target)?.[1];
  if (stored !== undefined && attributes.length === 0) {
    const [inStore] = parseInstallables({ words: [stored], file: null, expression: null, attributes });
    if (inStore !== undefined) return inStore;
  }
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
