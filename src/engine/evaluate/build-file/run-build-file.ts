// Runs a TypeScript or JavaScript build file in a process of its own and adds everything it made to the store.
import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { EngineError } from "../../base/errors.ts";
import { programFile } from "../../base/program-files.ts";
import { printContentAddress } from "../../formats/content-address.ts";
import { hashBytes } from "../../formats/hash.ts";
import { treeEvents } from "../../formats/nar/tree.ts";
import { writeNar } from "../../formats/nar/write.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import { parseStorePath, type StorePath } from "../../formats/store-path.ts";
import { addAll } from "../../stores/copy.ts";
import type { DerivedPath, DestinationStore, IncomingPath } from "../../stores/store.ts";
import { FORCE_KILL_MS } from "../run-nix.ts";
import type { BuildFileAnswer, BuildFileRequest } from "./messages.ts";

const CHILD = programFile("engine/evaluate/build-file/child");

export interface RunBuildFileOptions {
  readonly file: string;
  readonly attributes: readonly string[];
  readonly arguments: BuildFileRequest["arguments"];
  readonly store: DestinationStore;
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Receives what the build file prints. */
  readonly onMessage: (line: string) => void;
  readonly signal: AbortSignal | null;
}

/**
 * Evaluates a build file: afterwards its derivations and sources are valid in the store.
 * @throws EngineError with the place in the user's file; `BUILD_FILE_CRASHED` when its process exited without an answer
 */
export async function runBuildFile(options: RunBuildFileOptions): Promise<DerivedPath[]> {
  const { execa } = await import("execa");
  const spoolDirectory = await mkdtemp(join(tmpdir(), "tsbuild-top-sources-"));
  try {
    const answerFile = join(spoolDirectory, "answer.json");
    const request: BuildFileRequest = {
      file: resolve(options.cwd, options.file),
      attributes: options.attributes,
      arguments: options.arguments,
      spoolDirectory,
      answerFile,
    };
    const child = execa(process.execPath, ["--disable-warning=ExperimentalWarning", CHILD, JSON.stringify(request)], {
      cwd: options.cwd,
      env: { ...options.environment },
      extendEnv: false,
      buffer: false,
      reject: false,
      stdin: "ignore",
      all: true,
      killDescendants: true,
      forceKillAfterDelay: FORCE_KILL_MS,
      ...(options.signal === null ? {} : { cancelSignal: options.signal }),
    });
    let rest = "";
    let last = "";
    child.all?.on("data", (chunk: Buffer) => {
      const lines = (rest + chunk.toString("utf8")).split("\n");
      rest = (lines.pop() ?? "").slice(-4096);
      for (const line of lines) {
        last = line || last;
        options.onMessage(line);
      }
    });
    const ended = await child;
    options.signal?.throwIfAborted();
    const text = await readFile(answerFile, "utf8").catch(() => null);
    if (text === null) {
      throw new EngineError(
        "config",
        "BUILD_FILE_CRASHED",
        `build file '${options.file}' ended without an answer (exit status ${ended.exitCode ?? ended.signal ?? "unknown"})${last === "" ? "" : `: ${last}`}`,
        {
          hint: "it must not call process.exit, and must be valid TypeScript whose types can be stripped (no enum, no namespace)",
        },
      );
    }
    const answer = JSON.parse(text) as BuildFileAnswer;
    if (answer.type === "failed")
      throw new EngineError("config", answer.code, answer.message, answer.hint === null ? {} : { hint: answer.hint });
    await addMade(answer, options.store, options.signal);
    return answer.targets.map(({ drvPath, output }) => ({
      type: "built",
      drvPath: parseStorePath(drvPath),
      outputs: [output],
    }));
  } finally {
    await rm(spoolDirectory, { recursive: true, force: true });
  }
}

/** Adds sources, then derivations, to the store, except those already valid. All of them are content-addressed: no trust is needed. */
async function addMade(
  made: Extract<BuildFileAnswer, { type: "made" }>,
  store: DestinationStore,
  signal: AbortSignal | null,
): Promise<void> {
  const incoming: IncomingPath[] = [
    ...made.sources.map((source) => incomingSource(source)),
    ...(await Promise.all(made.derivations.map((derivation) => incomingDerivation(derivation)))),
  ];
  const valid = await store.lockValidPaths(
    incoming.map(({ info }) => info.path),
    signal ?? undefined,
  );
  const missing = incoming.filter(({ info }) => !valid.has(info.path));
  if (missing.length === 0) return;
  const large = missing.some(({ info }) => info.narSize > 4n << 20n);
  await addAll(store, missing, { checkSignatures: true, count: missing.length, large }, signal ?? undefined);
}

function incomingSource(source: Extract<BuildFileAnswer, { type: "made" }>["sources"][number]): IncomingPath {
  const narHash = new Uint8Array(Buffer.from(source.narHash, "hex"));
  const address = printContentAddress({ method: "nar", hash: { algorithm: "sha256", digest: narHash } });
  const info = contentAddressed(parseStorePath(source.path), narHash, BigInt(source.narSize), [], address);
  return { info, nar: () => createReadStream(source.spoolFile, { highWaterMark: 1 << 20 }), isChecked: false };
}

async function incomingDerivation(
  derivation: Extract<BuildFileAnswer, { type: "made" }>["derivations"][number],
): Promise<IncomingPath> {
  const contents = new Uint8Array(Buffer.from(derivation.text, "base64"));
  const chunks: Uint8Array[] = [];
  for await (const chunk of writeNar([[...treeEvents({ type: "file", executable: false, contents })]]))
    chunks.push(chunk);
  const nar = Buffer.concat(chunks);
  const address = printContentAddress({ method: "text", hash: hashBytes("sha256", contents) });
  const references = derivation.references.map(parseStorePath);
  const narHash = hashBytes("sha256", nar).digest;
  const info = contentAddressed(parseStorePath(derivation.drvPath), narHash, BigInt(nar.length), references, address);
  return { info, nar: () => once(nar), isChecked: false };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

function contentAddressed(
  path: StorePath,
  narHash: Uint8Array,
  narSize: bigint,
  references: readonly StorePath[],
  contentAddress: string,
): PathInfo {
  return {
    path,
    deriver: null,
    narHash,
    narSize,
    references,
    registrationTime: 0n,
    ultimate: false,
    signatures: [],
    contentAddress,
  };
}
