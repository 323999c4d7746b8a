// Whether a machine's cores are oversold or undersold: from slots × cores against its own cores, and from what is measured.
//
// Nix manual, Tuning Cores and Jobs: the maximum number of consumed cores is max-jobs × NIX_BUILD_CORES, and `cores = 0` makes
// NIX_BUILD_CORES all cores of the machine.

/** What is promised to builds on a machine. */
export interface CoreSettings {
  /** Slots (`max-jobs`) of the machine. */
  readonly slots: number;
  /** `cores` of its builds; 0 all of the machine's, null unknown (the serve protocol cannot tell). */
  readonly cores: number | null;
  /** Cores the machine has, null until sampled. */
  readonly machineCores: number | null;
}

/** The promise in numbers. */
export type CoreBalance =
  /** The builds' cores or the machine's are not known. */
  | { readonly type: "unknown" }
  | {
      readonly type: "known";
      /** NIX_BUILD_CORES of each build. */
      readonly buildCores: number;
      /** The manual's "maximum processes": slots × NIX_BUILD_CORES. */
      readonly maximumProcesses: number;
      readonly machineCores: number;
      /** `exact`: every core promised once; `oversold`: more is promised than there is; `spare`: some cores can never be asked for. */
      readonly sold: "exact" | "oversold" | "spare";
    };

/** Works the promise out. A machine without slots promises nothing and is `spare`. */
export function coreBalance(settings: CoreSettings): CoreBalance {
  const { slots, cores, machineCores } = settings;
  if (cores === null || machineCores === null || machineCores < 1) return { type: "unknown" };
  const buildCores = cores === 0 ? machineCores : cores;
  const maximumProcesses = slots * buildCores;
  const sold = maximumProcesses > machineCores ? "oversold" : maximumProcesses < machineCores ? "spare" : "exact";
  return { type: "known", buildCores, maximumProcesses, machineCores, sold };
}

/** What was measured over a while. */
export interface MeasuredUse {
  /** Mean number of cores in use. */
  readonly coresInUse: number;
  /** Mean number of slots at work. */
  readonly busySlots: number;
  /** Builds were waiting for this machine, or all its slots were at work, all the while. */
  readonly isSaturated: boolean;
}

/** What to say of a machine. */
export type CoreVerdict = "unknown" | "balanced" | "oversold" | "undersold";

/** A saturated machine that uses less than this share of its cores is undersold: less than that is lost to waiting for disks and links. */
const UNDERSOLD_BELOW = 0.75;

/**
 * The verdict: *oversold* comes from the numbers alone, before anything runs; *undersold* needs measured use, because only that shows
 * whether the builds can use the cores they were given (the manual's first row: "undersold if a job can't use 24 cores"). A machine whose
 * slots are not all at work is never undersold: it is idle.
 */
export function coreVerdict(
  balance: CoreBalance,
  measured: MeasuredUse | null,
  machineCores: number | null,
): CoreVerdict {
  if (balance.type === "known" && balance.sold === "oversold") return "oversold";
  const cores = balance.type === "known" ? balance.machineCores : machineCores;
  if (measured !== null && cores !== null && measured.isSaturated && measured.coresInUse < UNDERSOLD_BELOW * cores)
    return "undersold";
  return balance.type === "known" ? "balanced" : "unknown";
}
