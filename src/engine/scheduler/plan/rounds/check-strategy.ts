// How a build that is compared is done on the machine it was given to, with the reason in words.

/** What is known of one output in the machine's store. `unknown`: its path depends on what is built. */
export interface OutputThere {
  readonly name: string;
  readonly validity: "valid" | "missing" | "unknown";
}

/** The machine's side of the question. */
export interface MachineSide {
  readonly outputs: readonly OutputThere[];
  /** As `StoreDescription.protocol` says: `worker 1.38`, `serve 2.7`, `embedded`. */
  readonly protocol: string;
  /** Null when the machine does not say. Anything but Nix's version numbers is another tsbuild-top, which compares every output. */
  readonly nixVersion: string | null;
  /** Whether a store of our own can be opened on that machine (a command line over SSH, or this machine). */
  readonly canOpenScratch: boolean;
}

/** What is done. `compared` names the outputs that the build can make differently; `reason` is a clause for `--explain`. */
export type CheckStrategy =
  /** Build as usual; hashes are compared afterwards. */
  | { readonly type: "plain"; readonly compared: readonly string[]; readonly reason: string }
  /** Check mode: the machine builds again and compares with what it has. `whole` is what follows when it finds a difference. */
  | {
      readonly type: "check";
      readonly compared: readonly string[];
      readonly whenDiffers: "done" | "wholeInScratch" | "firstOnly";
      readonly reason: string;
    }
  /** Build everything in a store of its own on that machine; hashes are compared afterwards. */
  | { readonly type: "scratch"; readonly compared: readonly string[]; readonly reason: string }
  /** This machine cannot do it; another one must. */
  | { readonly type: "impossible"; readonly reason: string };

/**
 * Chooses. A deterministic derivation never costs more than one build in check mode, which copies nothing; only after a difference in one of
 * several outputs (Nix's check stops at the first that differs) everything is built once more in a store of its own, where each output can be compared.
 */
export function strategyFor(machine: MachineSide): CheckStrategy {
  const names = machine.outputs.map((output) => output.name);
  const missing = machine.outputs.filter((output) => output.validity === "missing").map((output) => output.name);
  const comparesAll = machine.protocol === "embedded" || isOwnKind(machine.nixVersion);
  if (machine.outputs.every((output) => output.validity !== "valid")) {
    const why =
      missing.length === names.length ? "its outputs are not valid there" : "its output paths depend on what is built";
    return { type: "plain", compared: names, reason: `built plainly and compared by hash: ${why}` };
  }
  if (missing.length > 0) {
    // Nix keeps the outputs that are valid as they are, so only the others come out of this build.
    return machine.canOpenScratch
      ? {
          type: "scratch",
          compared: names,
          reason: "built in a store of its own: only some of its outputs are valid there",
        }
      : {
          type: "plain",
          compared: missing,
          reason: `only ${missing.join(", ")} can be compared there: the other outputs are valid already`,
        };
  }
  if (machine.protocol.startsWith("serve")) {
    const why = "its outputs are valid there, and the serve protocol knows no check mode";
    return machine.canOpenScratch
      ? { type: "scratch", compared: names, reason: `built in a store of its own: ${why}` }
      : { type: "impossible", reason: why };
  }
  if (names.length === 1) {
    return {
      type: "check",
      compared: names,
      whenDiffers: "done",
      reason: "built again in check mode: its output is valid there",
    };
  }
  if (comparesAll) {
    return {
      type: "check",
      compared: names,
      whenDiffers: "done",
      reason: "built again in check mode, which compares every output there",
    };
  }
  return machine.canOpenScratch
    ? {
        type: "check",
        compared: names,
        whenDiffers: "wholeInScratch",
        reason:
          "built again in check mode; after a difference once more in a store of its own, to compare every output",
      }
    : {
        type: "check",
        compared: names,
        whenDiffers: "firstOnly",
        reason: "built again in check mode, which tells of the first output that differs and of no other",
      };
}

/** Whether a peer is a tsbuild-top by what it gives as its version. */
function isOwnKind(version: string | null): boolean {
  return version !== null && /tsbuild/.test(version);
}
