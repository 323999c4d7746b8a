// From installables to derivations: passes each kind of installable to its evaluator, in order.
import type { DerivedPath } from "../stores/store.ts";
import { evaluateFlake } from "./flake.ts";
import type { Installable } from "./installable.ts";
import { instantiate } from "./nix-instantiate.ts";
import type { EvaluationOptions } from "./nix-options.ts";
import { resolvePlace } from "./resolve-place.ts";
import type { NixRunContext } from "./run-nix.ts";
import { groupByOutputs, withOutputs } from "./wanted-outputs.ts";

/** Evaluates a build file, given its path and the wanted attributes. */
export type EvaluateBuildFile = (
  path: string,
  attributes: readonly string[],
  signal: AbortSignal | null,
) => Promise<readonly DerivedPath[]>;

export interface EvaluateRequest {
  readonly installables: readonly Installable[];
  readonly options: EvaluationOptions;
  readonly context: NixRunContext;
  readonly evaluateBuildFile: EvaluateBuildFile;
  /** Where to make the links that keep the derivations from the garbage collector, as `ROOT`, `ROOT-1`…; null makes none. */
  readonly root: string | null;
}

/**
 * Evaluates all installables; the results keep their order. Derivations are written to the store `options.store`.
 * @throws EngineError of family `usage` or `config`
 */
export async function evaluateInstallables(request: EvaluateRequest): Promise<DerivedPath[]> {
  const { installables, options, context } = request;
  const targets: DerivedPath[] = [];
  let roots = 0;
  const nextRoot = (): string | null => {
    roots += 1;
    return request.root === null || roots === 1 ? request.root : `${request.root}-of-${roots}`;
  };
  const evaluate = async (
    words: readonly string[],
    one: (attributes: readonly string[]) => Promise<readonly DerivedPath[]>,
  ): Promise<void> => {
    for (const { attributes, outputs } of groupByOutputs(words)) {
      for (const target of await one(attributes)) targets.push(withOutputs(target, outputs));
    }
  };
  for (const written of installables) {
    const installable = written.type === "place" ? await resolvePlace(written, context.cwd) : written;
    switch (installable.type) {
      case "derivation": {
        const target: DerivedPath = { type: "built", drvPath: installable.drvPath, outputs: "all" };
        targets.push(withOutputs(target, installable.outputs));
        break;
      }
      case "storePath":
        targets.push({ type: "opaque", path: installable.path });
        break;
      case "expression":
      case "place":
      case "file": {
        const source =
          installable.type === "expression"
            ? ({ type: "expression", text: installable.text } as const)
            : ({ type: "file", path: installable.path } as const);
        await evaluate(installable.attributes, (attributes) =>
          instantiate({ source, attributes, options, root: nextRoot() }, context),
        );
        break;
      }
      case "buildFile":
        await evaluate(installable.attributes, (attributes) =>
          request.evaluateBuildFile(installable.path, attributes, context.signal),
        );
        break;
      case "flake":
        targets.push(
          await evaluateFlake({ reference: installable.reference, outputs: installable.outputs, options }, context),
        );
        break;
    }
  }
  return targets;
}
