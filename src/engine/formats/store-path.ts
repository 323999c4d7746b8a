// Store paths: `/nix/store/<32 nix32 digits>-<name>`, the name of a store object.
import { EngineError } from "../base/errors.ts";

declare const storePathBrand: unique symbol;

/** A full store path, `/nix/store/<hash>-<name>`, checked by {@link parseStorePath}. */
export type StorePath = string & { readonly [storePathBrand]: true };

/** The logical store directory. It is the same in every store this program handles, including chroot stores. */
export const STORE_DIR = "/nix/store";

const PATTERN = /^\/nix\/store\/([0-9a-df-np-sv-z]{32})-([0-9a-zA-Z+\-._?=]{1,211})$/;

/** Checks a store path; throws `STORE_PATH_MALFORMED`. Names follow Nix: at most 211 characters of `[0-9a-zA-Z+-._?=]`. */
export function parseStorePath(text: string): StorePath {
  const match = PATTERN.exec(text);
  const name = match?.[2] ?? "";
  if (!match || name === "." || name === ".." || name.startsWith(".-") || name.startsWith("..-")) {
    throw new EngineError(
      "format",
      "STORE_PATH_MALFORMED",
      `expected a store path '${STORE_DIR}/<32 nix32 digits>-<name>', found '${text.slice(0, 300)}'`,
    );
  }
  return text as StorePath;
}

/** Whether the text is a well-formed store path. */
export function isStorePath(text: string): text is StorePath {
  return PATTERN.test(text);
}

/** The base name `<hash>-<name>`. */
export function baseNameOf(path: StorePath): string {
  return path.slice(STORE_DIR.length + 1);
}

/** The 32 nix32 digits. */
export function hashPartOf(path: StorePath): string {
  return path.slice(STORE_DIR.length + 1, STORE_DIR.length + 33);
}

/** The name after the hash. */
export function nameOf(path: StorePath): string {
  return path.slice(STORE_DIR.length + 34);
}

/** A derivation's name: that of its store path without `.drv`. */
export function derivationNameOf(drvPath: StorePath): string {
  return nameOf(drvPath).replace(/\.drv$/, "");
}
