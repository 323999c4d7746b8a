// Evaluates Nix files and expressions with the installed `nix-instantiate` to derivations and their wanted outputs.
import { readlink } from "node:fs/promises";
import { EngineError } from "../base/errors.ts";
import { isStorePath } from "../formats/store-path.ts";
import type { DerivedPath } from "../stores/store.ts";
import type { EvaluationOptions } from "./nix-options.ts";
import { expressionFlags, settingFlags } from "./nix-options.ts";
import type { NixRunContext } from "./run-nix.ts";
import { runNix } from "./run-nix.ts";

/** What to instantiate. */
export interface InstantiateRequest {
  readonly source:
    | { readonly type: "file"; readonly path: string }
    | { readonly type: "expression"; readonly text: string };
  /** Attributes to select; none: the whole value. */
  readonly attributes: readonly string[];
  readonly options: EvaluationOptions;
  /**
   * Path of a link (more get `-2`, `-3`…) that keeps the derivations from the garbage collector; null makes none. The caller removes the links.
   */
  readonly root: string | null;
}

/**
 * Instantiates with `nix-instantiate` (Nix 2.8 and newer print the same): one result per derivation, in order.
 * @throws EngineError `EVALUATE_NO_NIX`, `EVALUATE_FAILED`, `EVALUATE_BAD_ANSWER`
 */
export async function instantiate(request: InstantiateRequest, context: NixRunContext): Promise<DerivedPath[]> {
  const { source, attributes, options, root } = request;
  const args = [
    ...settingFlags(options),
    ...expressionFlags(options),
    ...attributes.flatMap((attribute) => ["--attr", attribute]),
    ...(root === null ? [] : ["--add-root", root, "--indirect"]),
    ...(source.type === "expression" ? ["--expr", "--", source.text] : ["--", source.path]),
  ];
  const answer = await runNix("nix-instantiate", args, context);
  const lines = answer.split("\n").filter((line) => line !== "");
  return Promise.all(lines.map((line) => parseAnswerLine(line, root)));
}

/** `DRV`, `DRV!OUTPUT`, or the link made instead of DRV. No output name means `out`. */
async function parseAnswerLine(line: string, root: string | null): Promise<DerivedPath> {
  const bang = line.lastIndexOf("!");
  const written = bang < 0 ? line : line.slice(0, bang);
  const output = bang < 0 ? "out" : line.slice(bang + 1);
  const drvPath = root !== null && written.startsWith(root) ? await readlink(written) : written;
  if (!isStorePath(drvPath) || !drvPath.endsWith(".drv")) {
    throw new EngineError(
      "config",
      "EVALUATE_BAD_ANSWER",
      `nix-instantiate: expected a '.drv' path, found '${line.slice(0, 300)}'`,
    );
  }
  return { type: "built", drvPath, outputs: [output] };
}
