// What a claim is performed with, and what building it can come to.
import type { Clock } from "../../base/clock.ts";
import type { BuildResult } from "../../derivation/build-result.ts";
import type { BasicDerivation } from "../../derivation/derivation.ts";
import type { EngineEvent } from "../../events/event.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { BuildLog } from "../../memory/log-keeper.ts";
import type { PathInfos } from "../../stores/path-infos.ts";
import type { BuildOptions, PathStore } from "../../stores/store.ts";
import type { StartBuild } from "../plan/command.ts";
import type { ClaimFact } from "../plan/fact.ts";
import type { CheckStrategy, MachineSide } from "../plan/rounds/check-strategy.ts";
import type { DifferenceKeeper } from "./difference-keeper.ts";
import type { MachineSession, TransferReporter } from "./machine-session.ts";

/** What a claim is performed with. */
export interface BuildWork {
  readonly command: StartBuild;
  readonly session: MachineSession;
  readonly drvPath: StorePath;
  readonly derivation: BasicDerivation;
  /** Its outputs have known paths that do not depend on contents and it is no fixed output: building it by itself needs trust. */
  readonly isInputAddressed: boolean;
  readonly from: { readonly store: PathStore; readonly infos: PathInfos };
  readonly options: BuildOptions;
  /** Knows what results are compared with, and takes care of those that differ. */
  readonly keeper: DifferenceKeeper;
  readonly log: BuildLog;
  readonly transfers: TransferReporter;
  readonly clock: Clock;
  /** Called with the infos of the outputs before `claimBuilt` is posted. */
  readonly built: (outputs: ReadonlyMap<string, PathInfo>) => void;
  readonly post: (fact: ClaimFact) => void;
  /** Tells the plan what a build would be compared with there, and resolves with the way it is to be done. Rejects with the signal's reason. */
  readonly choose: (side: MachineSide, signal: AbortSignal) => Promise<CheckStrategy>;
  readonly publish: (event: EngineEvent) => void;
}

/** What came of building a claim. */
export type BuiltClaim =
  /** `differs` names outputs, `messages` says it in Nix's words. `outputs` are valid on the machine when `isValidThere`. */
  | {
      readonly type: "built";
      readonly executed: boolean;
      readonly outputs: ReadonlyMap<string, PathInfo>;
      readonly isValidThere: boolean;
      readonly differs: readonly string[];
      readonly messages: readonly string[];
    }
  /** The build failed, or a check found a difference. */
  | { readonly type: "failed"; readonly status: BuildResult["status"]; readonly message: string }
  /** Nothing was compared: it must be tried again, elsewhere when it is impossible there. */
  | { readonly type: "notCompared"; readonly origin: "comparison" | "local"; readonly reason: string };
