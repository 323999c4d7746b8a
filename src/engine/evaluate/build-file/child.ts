// The process that runs a build file: loads it, picks the requested derivations, and writes down everything that was made.
import { writeFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { EngineError, messageOf } from "../../base/errors.ts";
import { derivationReferences } from "../../derivation/hash-modulo.ts";
import { madeDerivations, madeSources } from "./made.ts";
import type { BuildFileAnswer, BuildFileRequest } from "./messages.ts";
import { type Picked, pick } from "./pick.ts";
import { setBuildFileDirectory } from "./place.ts";
import { setSpoolDirectory } from "./sources.ts";

const API = new URL(import.meta.url.endsWith(".ts") ? "./api.ts" : "./api.js", import.meta.url).href;

async function main(request: BuildFileRequest): Promise<BuildFileAnswer> {
  setBuildFileDirectory(dirname(request.file));
  setSpoolDirectory(request.spoolDirectory);
  // The name resolves to this program for every build file, with or without a package.json near it.
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === "tsbuild-top" ? { url: API, shortCircuit: true } : next(specifier, context),
  });
  const exported: unknown = await import(pathToFileURL(request.file).href);
  const targets = await pick(exported, request);
  return {
    type: "made",
    targets: targets.map(({ drvPath, output }: Picked) => ({ drvPath, output })),
    sources: [...madeSources.values()],
    derivations: [...madeDerivations.values()].map(({ drvPath, derivation, text }) => ({
      drvPath,
      text: Buffer.from(text).toString("base64"),
      references: derivationReferences(derivation),
    })),
  };
}

/** The error with its place in the user's own file: the first line of the stack that is not in this program. */
function failure(error: unknown, request: BuildFileRequest): BuildFileAnswer {
  const code = error instanceof EngineError ? error.code : "BUILD_FILE_FAILED";
  const hint = error instanceof EngineError ? error.hint : null;
  const place = placeOf(error, request.file);
  const kind =
    error instanceof Error && !(error instanceof EngineError) && error.name !== "Error" ? `${error.name}: ` : "";
  return { type: "failed", code, message: `${place}: ${kind}${messageOf(error)}`, hint };
}

function placeOf(error: unknown, file: string): string {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  const own = dirname(API.replace(/^file:\/\//, ""));
  for (const line of stack.split("\n")) {
    const match = /(?:\(|at (?:async )?|^)(?:file:\/\/)?(\/[^\s()]+?):(\d+)(?::(\d+))?\)?$/.exec(line.trim());
    if (match === null || match[1]?.startsWith(dirname(dirname(own))) || match[1]?.includes("node:")) continue;
    return `${match[1]}:${match[2]}${match[3] === undefined ? "" : `:${match[3]}`}`;
  }
  return file;
}

const request = JSON.parse(process.argv[2] ?? "{}") as BuildFileRequest;
const answer = await main(request).catch((error: unknown) => failure(error, request));
writeFileSync(request.answerFile, JSON.stringify(answer));
