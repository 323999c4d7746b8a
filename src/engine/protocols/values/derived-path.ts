// The targets to make valid, as text on the wire: `drv!out1,out2`, `drv!*`, or a plain path (both protocols write `!` where users write `^`).
import { isStorePath, type StorePath } from "../../formats/store-path.ts";

/** A plain path, or outputs of a derivation. */
export type DerivedPath =
  | { readonly type: "opaque"; readonly path: StorePath }
  | { readonly type: "built"; readonly drvPath: StorePath; readonly outputs: "all" | readonly string[] };

/**
 * The text on the wire. Before worker protocol 1.30 (`explicit` false) a bare `.drv` means all of its outputs, and `drv!*` is not understood;
 * this also applies to the serve protocol.
 */
export function printDerivedPath(target: DerivedPath, explicit: boolean): string {
  if (target.type === "opaque") return target.path;
  if (target.outputs !== "all") return `${target.drvPath}!${target.outputs.join(",")}`;
  return explicit ? `${target.drvPath}!*` : target.drvPath;
}

/** Parses the text on the wire, null when malformed. Without `explicit` a bare `.drv` means all of its outputs. */
export function parseDerivedPath(text: string, explicit: boolean): DerivedPath | null {
  const separator = text.indexOf("!");
  if (separator < 0) {
    if (!isStorePath(text)) return null;
    return !explicit && text.endsWith(".drv")
      ? { type: "built", drvPath: text, outputs: "all" }
      : { type: "opaque", path: text };
  }
  const drvPath = text.slice(0, separator);
  const outputs = text.slice(separator + 1);
  if (!isStorePath(drvPath) || outputs === "" || outputs.includes("!")) return null;
  return { type: "built", drvPath, outputs: outputs === "*" ? "all" : outputs.split(",") };
}
