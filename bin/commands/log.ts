// `log`: prints logs of builds, byte for byte into a pipe, made harmless for a terminal.
import { readLogs, type Surroundings } from "../../src/engine/index.ts";
import { sanitizeColored } from "../../src/ui/index.ts";
import type { LogInvocation } from "../invocation.ts";
import { say, warn } from "../say.ts";

/** Prints the logs one after the other; where each was found is said on standard error. */
export async function logCommand(invocation: LogInvocation, surroundings: Surroundings): Promise<number> {
  const logs = await readLogs(invocation, surroundings, (message) => warn(message));
  for (const { drvPath, source, bytes } of logs) {
    if (invocation.verbosity >= 0) say(`got build log for '${drvPath}' from '${source}'`);
    await printLog(bytes);
  }
  return 0;
}

function printLog(bytes: Uint8Array): Promise<void> {
  const content =
    process.stdout.isTTY === true
      ? Buffer.from(bytes)
          .toString("utf8")
          .split("\n")
          .map((line) => sanitizeColored(line))
          .join("\n")
      : bytes;
  return new Promise((resolve) => process.stdout.write(content, () => resolve()));
}
