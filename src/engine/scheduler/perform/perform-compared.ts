// Performs the build of a claim whose result is compared: a check, or a round after the first.
import { buildWhole } from "../../differences/keep/scratch-store.ts";
import { buildCompared, type ComparedWork } from "../../differences/perform/compared-build.ts";
import type { BuildReporter, BuildRequest } from "../../stores/store.ts";
import type { BuildWork, BuiltClaim } from "./build-work.ts";
import type { DifferenceKeeper } from "./difference-keeper.ts";

/**
 * Builds and compares. Whatever differs is brought to safety before this resolves, and explained when the plan says so.
 * @throws what the stores throw (the connection failed, not the build), and the signal's reason
 */
export async function performCompared(
  work: BuildWork,
  keeper: DifferenceKeeper,
  build: ComparedWork["run"],
  request: Omit<BuildRequest, "mode">,
  heard: BuildReporter,
  signal: AbortSignal,
): Promise<BuiltClaim> {
  const { command, session, derivation, publish } = work;
  const { nixVersion, protocol, command: commandThere, openScratch } = session.access;
  let isValidThere = true;
  const answer = await buildCompared(
    {
      build: await keeper.comparedBuild(command, derivation, signal),
      derivation,
      machine: { store: session.store, nixVersion, command: commandThere, nixStore: "nix-store" },
      protocol,
      isDestination: session.isDestination,
      run: build,
      openScratch: openScratch === null ? null : () => openScratch(signal),
      runIn: async (scratch) => {
        const transfer = work.transfers.begin("upload", 0, 0n);
        try {
          const whole = await buildWhole(
            {
              scratch,
              request,
              from: work.from,
              report: heard,
              transferred: (progress) => transfer.progress(progress),
            },
            signal,
          );
          transfer.end(null);
          return whole;
        } catch (error) {
          transfer.end(error instanceof Error ? error.message : String(error));
          throw error;
        }
      },
      secure: (found) => keeper.secure(found, signal),
      choose: async (side) => {
        const strategy = await work.choose(side, signal);
        if (strategy.type === "scratch") isValidThere = false;
        return strategy;
      },
      incomplete: (reason) =>
        publish({
          type: "noticeRaised",
          cause: null,
          level: "warning",
          code: "ROUNDS_ONE_OUTPUT_COMPARED",
          message: `only the first output of '${command.goal}' that differs is known: ${reason}`,
          hint: null,
          machine: session.machine,
          goal: command.goal,
        }),
    },
    signal,
  );
  switch (answer.type) {
    case "same":
      return { type: "built", executed: true, outputs: answer.outputs, isValidThere, differs: [], messages: [] };
    case "differs": {
      keeper.hold(command.claim, answer.secured);
      const messages = answer.secured.map(({ message }) => message);
      if (command.compare.type === "check") {
        return { type: "failed", status: "NotDeterministic", message: messages.join("\n") };
      }
      const differs = answer.secured.map(({ found }) => found.output);
      return { type: "built", executed: true, outputs: answer.outputs, isValidThere, differs, messages };
    }
    case "failed":
      return { type: "failed", status: answer.result.status, message: answer.result.errorMessage };
    case "notExecuted":
      return {
        type: "notCompared",
        origin: "local",
        reason: "its outputs had become valid there: nothing was built",
      };
    case "impossible":
      return { type: "notCompared", origin: "comparison", reason: `cannot be compared there: ${answer.reason}` };
  }
}
