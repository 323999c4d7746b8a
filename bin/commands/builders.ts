// `builders`: prints the machine list as understood and what each machine answered.
import { asSentence, type ProbedBuilder, probeBuilders, type Surroundings, stopped } from "../../src/engine/index.ts";
import type { BuildersInvocation } from "../invocation.ts";
import { print, printJson, warn } from "../say.ts";

/** Prints the list, each machine when it has answered; the exit status is 1 when a machine cannot be used or the list has errors. */
export async function buildersCommand(invocation: BuildersInvocation, surroundings: Surroundings): Promise<number> {
  const show = (builder: ProbedBuilder): void => {
    if (!invocation.json) print(builderLines(builder).join("\n"));
  };
  const { builders, localSlots, problems, setting } = await probeBuilders(
    invocation.settingsOverrides,
    surroundings,
    show,
  );
  const failed = problems.length > 0 || builders.some((builder) => builder.answer.type === "failed");
  if (invocation.json) {
    printJson({ builders, localSlots, problems }, 2);
    return failed ? 1 : 0;
  }
  for (const { message, hint } of problems) warn(message, hint);
  if (builders.length === 0)
    print(`no machines are configured (${setting === "" ? "builders is empty" : `builders = ${setting}`})`);
  print(`local  ${localSlots} ${localSlots === 1 ? "slot" : "slots"} (max-jobs)`);
  return failed ? 1 : 0;
}

function builderLines(builder: ProbedBuilder): string[] {
  const { name, uri, systems, slots, speedFactor, supportedFeatures, mandatoryFeatures, answer } = builder;
  const features = [...supportedFeatures, ...mandatoryFeatures.map((feature) => `${feature}!`)];
  const wanted = features.length > 0 ? ` · features: ${features.join(", ")}` : "";
  const lines = [
    `${name}  ${uri}`,
    `  ${systems.join(", ")} · ${slots} ${slots === 1 ? "slot" : "slots"} · x${speedFactor}${wanted}`,
  ];
  if (answer.type === "failed") {
    lines.push(`  ✘ ${answer.hint === null ? answer.reason : stopped(answer.reason)}`);
    if (answer.hint !== null) lines.push(`    ${asSentence(answer.hint)}`);
    return lines;
  }
  const trust =
    answer.trusted === null
      ? "trust unknown"
      : answer.trusted
        ? "trusted"
        : "not trusted: takes signed and content-addressed paths only";
  const cores = answer.cores === null ? "" : ` · cores ${answer.cores === 0 ? "all" : answer.cores}`;
  const version = answer.nixVersion === null ? "" : `Nix ${answer.nixVersion} · `;
  lines.push(`  ✔ ${version}${answer.protocol} · ${trust}${cores}`);
  if (answer.via !== null) lines.push(`    through the ssh program: ${answer.via}`);
  const missing = features.filter(
    (feature) => answer.system !== null && !answer.systemFeatures.includes(feature.replace(/!$/, "")),
  );
  if (missing.length > 0)
    lines.push(`    its own system-features lack: ${missing.join(", ")}; builds that need them will be refused there`);
  return lines;
}
