// Evaluates flake references with the installed `nix` to a derivation and its wanted outputs.
import { EngineError } from "../base/errors.ts";
import { isStorePath } from "../formats/store-path.ts";
import type { DerivedPath } from "../stores/store.ts";
import type { EvaluationOptions } from "./nix-options.ts";
import { settingFlags } from "./nix-options.ts";
import type { NixRunContext } from "./run-nix.ts";
import { runNix } from "./run-nix.ts";
import type { WantedOutputs } from "./wanted-outputs.ts";

/**
 * Applied to the value `nix eval` finds by its own search (`packages.SYSTEM.default`, `packages.SYSTEM.X`, `legacyPackages.SYSTEM.X`, `X`). The
 * outputs are those `nix build` would use: a selected one, else meta.outputsToInstall, else `out`. `nix build --dry-run --json` reports the same, but
 * first queries every substituter for the whole closure.
 */
const QUESTION = `value:
  if (value.type or null) == "derivation" then {
    drvPath = builtins.unsafeDiscardStringContext value.drvPath;
    outputs = if value.outputSpecified or false then [ value.outputName ] else value.meta.outputsToInstall or [ "out" ];
  } else throw "expected a derivation, found a \${builtins.typeOf value}"`;

/** A flake reference with its attribute, and the wanted outputs. */
export interface FlakeRequest {
  /** `nixpkgs#hello`, `.#x`, `path:…`, `git+…`; without `^`. */
  readonly reference: string;
  readonly outputs: WantedOutputs;
  readonly options: EvaluationOptions;
}

/**
 * Finds the derivation of a flake reference and has Nix write it to the store. Works with Nix 2.8 and newer.
 * @throws EngineError `EVALUATE_NO_NIX`, `EVALUATE_FAILED`, `EVALUATE_BAD_ANSWER`
 */
export async function evaluateFlake(request: FlakeRequest, context: NixRunContext): Promise<DerivedPath> {
  const { reference, outputs, options } = request;
  const args = [
    "eval",
    "--json",
    "--apply",
    QUESTION,
    "--extra-experimental-features",
    "nix-command flakes",
    ...settingFlags(options),
    ...options.flakeFlags,
    ...options.lookupPath.flatMap((entry) => ["-I", entry]),
    "--",
    reference,
  ];
  return parseAnswer(await runNix("nix", args, context), reference, outputs);
}

function parseAnswer(answer: string, reference: string, wanted: WantedOutputs): DerivedPath {
  const value = parseJson(answer);
  const drvPath = value?.drvPath;
  const chosen = value?.outputs;
  if (
    typeof drvPath !== "string" ||
    !isStorePath(drvPath) ||
    !Array.isArray(chosen) ||
    !chosen.every((name) => typeof name === "string")
  ) {
    throw new EngineError(
      "config",
      "EVALUATE_BAD_ANSWER",
      `nix eval ${reference}: expected a derivation as JSON, found '${answer.slice(0, 300)}'`,
    );
  }
  switch (wanted.type) {
    case "all":
      return { type: "built", drvPath, outputs: "all" };
    case "named":
      return { type: "built", drvPath, outputs: wanted.names };
    case "default":
      return { type: "built", drvPath, outputs: chosen };
  }
}

function parseJson(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : null;
  } catch {
    return null;
  }
}
