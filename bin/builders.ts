// `builders`: prints the machine list as understood and what each machine answered.
import { probeBuilders, type Surroundings } from "../src/engine/index.ts";
import type { BuildersInvocation } from "./invocation.ts";

/** Prints the list; the exit status is 1 when a machine cannot be used or the list has errors. */
export async function buildersCommand(invocation: BuildersInvocation, surroundings: Surroundings): Promise<number> {
  const { builders, localSlots, problems } = await probeBuilders(invocation.settingsOverrides, surroundings);
  const failed = problems.length > 0 || builders.some((builder) => builder.answer.type === "failed");
  if (invocation.json) {
    process.stdout.write(`${JSON.stringify({ builders, localSlots, problems }, null, 2)}\n`);
    return failed ? 1 : 0;
  }
  for (const { message, hint } of problems) {
    process.stderr.write(`warning: ${message}\n`);
    if (hint !== null) process.stderr.write(`hint: ${hint}\n`);
  }
  const lines: string[] = [];
  for (const builder of builders) {
    const { name, uri, systems, slots, speedFactor, supportedFeatures, mandatoryFeatures, answer } = builder;
    const features = [
      ...supportedFeatures.map((feature) => feature),
      ...mandatoryFeatures.map((feature) => `${feature}!`),
    ];
    lines.push(`${name}  ${uri}`);
    lines.push(
      `  ${systems.join(", ")} · ${slots} ${slots === 1 ? "slot" : "slots"} · x${speedFactor}${features.length > 0 ? ` · features: ${features.join(", ")}` : ""}`,
    );
    if (answer.type === "failed") {
      lines.push(`  ✘ ${answer.reason}`);
      if (answer.hint !== null) lines.push(`    ${answer.hint}`);
      continue;
    }
    const trust =
      answer.trusted === null
        ? "trust unknown"
        : answer.trusted
          ? "trusted"
          : "not trusted: takes signed and content-addressed paths only";
    const cores = answer.cores === null ? "" : ` · cores ${answer.cores === 0 ? "all" : answer.cores}`;
    lines.push(
      `  ✔ ${answer.nixVersion === null ? "" : `Nix ${answer.nixVersion} · `}${answer.protocol} · ${trust}${cores}`,
    );
    const missing = features.filter(
      (feature) => answer.system !== null && !answer.systemFeatures.includes(feature.replace(/!$/, "")),
    );
    if (missing.length > 0)
      lines.push(
        `    its own system-features lack: ${missing.join(", ")}; builds that need them will be refused there`,
      );
  }
  if (builders.length === 0) lines.push("no machines are configured (builders = @/etc/nix/machines)");
  lines.push(`local  ${localSlots} ${localSlots === 1 ? "slot" : "slots"} (max-jobs)`);
  process.stdout.write(`${lines.join("\n")}\n`);
  return failed ? 1 : 0;
}
