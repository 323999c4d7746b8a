// The references among candidates of a stream, for tests.
import { ReferenceScanner } from "../../../src/engine/formats/references.ts";
import type { StorePath } from "../../../src/engine/formats/store-path.ts";

export async function scanReferences(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  candidates: Iterable<StorePath>,
): Promise<StorePath[]> {
  const scanner = new ReferenceScanner(candidates);
  for await (const chunk of source) scanner.push(chunk);
  return scanner.references();
}
