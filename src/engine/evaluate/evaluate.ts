// From installables to derivations: sends each kind of installable to what can evaluate it, in order.
import type { DerivedPath } from "../stores/store.ts";
import { evaluateFlake } from "./flake.ts";
import type { Installable } from "./installable.ts";
import { instantiate } from "./nix-instantiate.ts";
import type { EvaluationOptions } from "./nix-options.ts";
import { resolvePlace } from "./resolve-place.ts";
import type { NixRunContext } from "./run-nix.ts";

/** Evaluates a build file: its path and the attributes wanted of it. */
export type EvaluateBuildFile = (path: string, attributes: readonly string[]) => Promise<readonly DerivedPath[]>;

export interface EvaluateRequest {
  readonly installables: readonly Installable[];
  readonly options: EvaluationOptions;
  readonly context: NixRunContext;
  readonly evaluateBuildFile: EvaluateBuildFile;
  /** Where links are made that keep the derivations from the garbage collector, as `ROOT`, `ROOT-1`…; null makes none. */
  readonly root: string | null;
}

/**
 * Evaluates all installables; the results keep their order. Derivations are written to the store `options.store` names.
 * @throws EngineError of family `usage` or `config`
 */
export async function evaluateInstallables(request: EvaluateRequest): Promise<DerivedPath[]> {
  const { installables, options, context } = request;
  const targets: DerivedPath[] = [];
  for (const [index, written] of installables.entries()) {
    const installable = written.type === "place" ? await resolvePlace(written, context.cwd) : written;
    const root = request.root === null ? null : index === 0 ? request.root : `${request.root}-of-${index + 1}`;
    switch (installable.type) {
      case "derivation":
        targets.push({ type: "built", drvPath: installable.drvPath, outputs: derivedOutputs(installable.outputs) });
        break;
      case "storePath":
        targets.push({ type: "opaque", path: installable.path });
        break;
      case "expression": {
        const source = { type: "expression", text: installable.text } as const;
        targets.push(...(await instantiate({ source, attributes: installable.attributes, options, root }, context)));
        break;
      }
      case "place":
      case "file": {
        const source = { type: "file", path: installable.path } as const;
        targets.push(...(await instantiate({ source, attributes: installable.attributes, options, root }, context)));
        break;
      }
      case "buildFile":
        targets.push(...(await request.evaluateBuildFile(installable.path, installable.attributes)));
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

function derivedOutputs(wanted: Extract<Installable, { type: "derivation" }>["outputs"]): "all" | readonly string[] {
  return wanted.type === "named" ? wanted.names : "all";
}
