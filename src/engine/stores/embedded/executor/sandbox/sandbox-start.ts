// The last step before the builder, inside the sandbox: a script for a static busybox, which gives the builder its descriptors, its umask and
// its variables. Programs of the host never see the builder's variables, nor the log once the builder runs; pure.
import type { ByteString } from "../../../../formats/byte-string.ts";
import { BUILD_DIR } from "../environment.ts";
import { hasPlainNames, programName, type SandboxPlan } from "./sandbox-plan.ts";

/** Descriptors of the starting script, which is itself on standard input: the log, and the future standard input of the builder. */
export const LOG_DESCRIPTOR = 8;
export const NULL_DESCRIPTOR = 9;
/** Where the starter is inside when `/bin/sh` is another shell. */
export const STARTER = "/.start/sh";

/** The program that reads the script, as named inside. */
export function starterOf(plan: SandboxPlan): string {
  return plan.busyboxShell ? "/bin/sh" : STARTER;
}

/**
 * The script. It is one compound command, so that all of it has been read before standard input changes.
 * @param enter whether to change to the build directory, if the sandbox's program cannot
 */
export function startScript(plan: SandboxPlan, enter: boolean): Uint8Array {
  const closed = new Set([...[3, 4, 5, 6, 7, LOG_DESCRIPTOR, NULL_DESCRIPTOR], ...plan.strayDescriptors]);
  const command = [plan.builder, ...plan.args].map(quote).join(" ");
  const variables = [...plan.variables].map(([name, value]) => quoteBytes(`${name}=${value}` as ByteString)).join(" ");
  const lines = [
    "{",
    ...(enter ? [`cd ${BUILD_DIR}`] : []),
    "umask 022",
    // Counted for the builder's own user or its own namespace: other processes of the account do not count.
    ...(plan.maxProcesses > 0 ? [`ulimit -u ${plan.maxProcesses} || exit 1`] : []),
    `exec 0<&${NULL_DESCRIPTOR} 1>&${LOG_DESCRIPTOR} 2>&${LOG_DESCRIPTOR}`,
    `exec ${[...closed].map((descriptor) => `${descriptor}>&-`).join(" ")}`,
    ...(hasPlainNames(plan.variables) && programName(plan.builder) !== ""
      ? ["unset SHLVL OLDPWD", `export ${variables}`, `exec -a ${quote(programName(plan.builder))} ${command}`]
      : // The shell cannot have these as variables, its `env` can; the builder's name is then its path.
        [`exec -a env "$0" -i ${variables} ${command}`]),
    "}",
  ];
  return Buffer.from(`${lines.join("\n")}\n`, "latin1");
}

/** A text as one word of a shell script, as bytes. */
export function quote(text: string): ByteString {
  return quoteBytes(Buffer.from(text, "utf8").toString("latin1") as ByteString);
}

/** Bytes as one word of a shell script. */
export function quoteBytes(text: ByteString): ByteString {
  return `'${text.replaceAll("'", "'\\''")}'` as ByteString;
}
