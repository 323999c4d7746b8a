// Placeholders: text in a derivation that stands for an output path not known yet.
import { type ByteString, byteStringOf } from "../formats/byte-string.ts";
import { hashBytes } from "../formats/hash.ts";
import { foldDigest, outputPathName } from "../formats/make-store-path.ts";
import { encodeNix32 } from "../formats/nix32.ts";
import { derivationNameOf, hashPartOf, type StorePath } from "../formats/store-path.ts";

/** A store path, or one output of a derivation that is itself such a path (Nix: `SingleDerivedPath`). */
export type SingleDerivingPath = StorePath | { readonly drvPath: SingleDerivingPath; readonly output: string };

/** Stands for an output of the derivation itself (Nix: `hashPlaceholder`, `builtins.placeholder`). */
export function outputPlaceholder(outputName: string): ByteString {
  return render(hashBytes("sha256", `nix-output:${outputName}`).digest);
}

/** Stands for an output of an input derivation that has no path yet, at any depth of dynamic derivations (Nix: `DownstreamPlaceholder`). */
export function downstreamPlaceholder(drvPath: SingleDerivingPath, outputName: string): ByteString {
  return render(downstreamDigest(drvPath, outputName));
}

function downstreamDigest(drvPath: SingleDerivingPath, outputName: string): Uint8Array {
  if (typeof drvPath === "string") {
    const name = outputPathName(derivationNameOf(drvPath), outputName);
    return hashBytes("sha256", `nix-upstream-output:${hashPartOf(drvPath)}:${name}`).digest;
  }
  const inner = encodeNix32(foldDigest(downstreamDigest(drvPath.drvPath, drvPath.output), 20));
  return hashBytes("sha256", `nix-computed-output:${inner}:${outputName}`).digest;
}

function render(digest: Uint8Array): ByteString {
  return byteStringOf(`/${encodeNix32(digest)}`);
}
