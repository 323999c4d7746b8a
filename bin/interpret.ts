// From the flags that were given to what they mean together: one Invocation, or why they do not fit.
import { EngineError } from "../src/engine/base/errors.ts";
import { type GarbageTask, type InstallableWords, parseAmount } from "../src/engine/index.ts";
import type { UiFlag } from "../src/ui/index.ts";
import type { FlagValues } from "./flags.ts";
import type {
  BuildFlags,
  CommandName,
  CommonFlags,
  EvaluationFlags,
  HooksInvocation,
  Invocation,
  LogFormat,
  ShowFlags,
  WatchInvocation,
} from "./invocation.ts";

/**
 * Interprets the operands and flags of a command.
 * @throws EngineError of family `usage`
 */
export function interpret(command: CommandName, operands: readonly string[], flags: FlagValues): Invocation {
  const common = commonFlags(flags);
  const { switches, values } = flags;
  const json = switches.has("json");
  switch (command) {
    case "build":
    case "check": {
      if (command === "check") switches.add("check");
      return {
        type: "build",
        ...common,
        ...showFlags(flags),
        ...buildFlags(flags),
        installables: installableWords(operands, flags),
        evaluation: evaluationFlags(flags),
        outLink: outLink(flags),
        profile: values.get("profile") ?? null,
      };
    }
    case "realise":
      return { type: "realise", ...common, ...showFlags(flags), ...buildFlags(flags), paths: operands };
    case "builders":
      return { type: "builders", ...common, json };
    case "hooks":
      return {
        type: "hooks",
        ...common,
        json,
        uploadTo: values.get("upload-to") ?? null,
        action: hooksAction(operands, switches.has("all")),
      };
    case "ping-store":
      return { type: "ping-store", ...common, json };
    case "copy":
      return copy(operands, flags);
    case "delete":
      return { type: "delete", ...common, paths: operands, ignoreLiveness: switches.has("ignore-liveness") };
    case "gc":
      return { type: "gc", ...common, task: garbageTask(flags) };
    case "log":
      return {
        type: "log",
        ...common,
        installables: installableWords(operands, flags),
        evaluation: evaluationFlags(flags),
      };
    case "sign-paths": {
      const keyFile = values.get("key-file");
      if (keyFile === undefined)
        throw usage(
          "USAGE_MISSING_FLAG",
          "sign-paths: expected --key-file FILE, found none",
          "make a key with generate-binary-cache-key",
        );
      if (operands.length === 0 && !switches.has("all"))
        throw usage(
          "USAGE_MISSING_OPERAND",
          "sign-paths: expected paths or --all, found none",
          "name the paths to sign",
        );
      return {
        type: "sign-paths",
        ...common,
        keyFile,
        paths: operands,
        all: switches.has("all"),
        recursive: switches.has("recursive"),
      };
    }
    case "generate-binary-cache-key": {
      const [name = "", secretKeyFile = "", publicKeyFile = ""] = operands;
      return { type: "generate-binary-cache-key", ...common, name, secretKeyFile, publicKeyFile };
    }
    case "verify":
      return {
        type: "verify",
        ...common,
        paths: switches.has("all") ? [] : operands,
        recursive: switches.has("recursive"),
        checkContents: !switches.has("no-contents"),
        checkTrust: !switches.has("no-trust"),
        sigsNeeded: wholeNumber("sigs-needed", values.get("sigs-needed")),
      };
    case "serve":
      return { type: "serve", ...common, protocol: serveProtocol(switches) };
    case "replay":
      return {
        type: "replay",
        ...common,
        ...showFlags(flags),
        file: operands[0] ?? "",
        speed: speed(values.get("speed")),
      };
    case "watch":
      return { type: "watch", ...common, ...showFlags(flags), source: watched(operands, flags.behind) };
    case "demo":
      return { type: "demo", ...common, ...showFlags(flags) };
  }
}

function watched(operands: readonly string[], behind: readonly string[] | null): WatchInvocation["source"] {
  const [path] = operands;
  const [program, ...args] = behind ?? [];
  if (path !== undefined && behind !== null)
    throw new EngineError(
      "usage",
      "USAGE_WATCH",
      `expected a file or a command to watch, found both: '${path}' and a command`,
      {
        hint: "watch FILE reads a log; watch -- COMMAND runs a command",
      },
    );
  if (behind !== null && program === undefined)
    throw new EngineError("usage", "USAGE_WATCH", "expected a command behind '--', found none", {
      hint: "for instance: tsbuild-top watch -- nix build .#x",
    });
  if (program !== undefined) return { type: "command", argv: [program, ...args] };
  return path === undefined || path === "-" ? { type: "stdin" } : { type: "file", path };
}

function commonFlags({ settings, verbosity, switches }: FlagValues): CommonFlags {
  return { settingsOverrides: settings, verbosity, color: switches.has("no-color") ? "never" : "auto" };
}

function showFlags({ switches, values, verbosity }: FlagValues): ShowFlags {
  return {
    // The flags' choices were checked when they were read.
    ui: (values.get("ui") as UiFlag | undefined) ?? (verbosity < 0 ? "quiet" : "auto"),
    logFormat: (values.get("log-format") as LogFormat | undefined) ?? null,
    json: switches.has("json"),
    record: values.get("record") ?? null,
    report: values.get("report") ?? null,
    explain: switches.has("explain"),
  };
}

function buildFlags({ switches, values }: FlagValues): BuildFlags {
  const isCheck = switches.has("check") || switches.has("rebuild");
  if (switches.has("build-missing") && !isCheck) {
    throw usage(
      "USAGE_NEEDS_FLAG",
      "--build-missing: expected --check beside it, found none",
      "without --check everything that is missing is built anyway",
    );
  }
  return {
    dryRun: switches.has("dry-run"),
    check: !isCheck ? "no" : switches.has("build-missing") ? "build" : "valid",
    diffoscope: switches.has("diffoscope"),
    uploadTo: values.get("upload-to") ?? null,
    addRoot: values.get("add-root") ?? null,
  };
}

function outLink({ switches, values }: FlagValues): string | null {
  return switches.has("no-out-link") || switches.has("no-link") ? null : (values.get("out-link") ?? "result");
}

function installableWords(words: readonly string[], { values, attributes }: FlagValues): InstallableWords {
  return { words, file: values.get("file") ?? null, expression: values.get("expr") ?? null, attributes };
}

function evaluationFlags(flags: FlagValues): EvaluationFlags {
  return {
    arguments: flags.arguments,
    lookupPath: flags.lookupPath,
    showTrace: flags.switches.has("show-trace"),
    flakeFlags: flags.flakeFlags,
  };
}

function copy(operands: readonly string[], flags: FlagValues): Invocation {
  const { switches, values } = flags;
  const from = values.get("from") ?? null;
  const to = values.get("to") ?? null;
  if (from === null && to === null) {
    throw usage(
      "USAGE_MISSING_FLAG",
      "copy: expected --from URI or --to URI, found neither",
      "for example: copy --to ssh://mac ./result",
    );
  }
  return {
    type: "copy",
    ...commonFlags(flags),
    ...showFlags(flags),
    from,
    to,
    installables: installableWords(operands, flags),
    evaluation: evaluationFlags(flags),
    all: switches.has("all"),
    recursive: !switches.has("no-recursive"),
    checkSignatures: !switches.has("no-check-sigs"),
    substituteOnDestination: switches.has("substitute-on-destination"),
  };
}

function hooksAction([action = "list", ...names]: readonly string[], isAll: boolean): HooksInvocation["action"] {
  if (action === "list") {
    if (names.length === 0 && !isAll) return { type: "list" };
    throw usage(
      "USAGE_TOO_MANY_OPERANDS",
      "hooks list: expected nothing more, found ids or --all",
      "it lists every one",
    );
  }
  if (action !== "retry" && action !== "drop")
    throw usage(
      "USAGE_BAD_VALUE",
      `hooks: expected list, retry or drop, found '${action}'`,
      "'tsbuild-top hooks' lists them",
    );
  if (isAll === names.length > 0)
    throw usage(
      isAll ? "USAGE_FLAGS_CLASH" : "USAGE_MISSING_OPERAND",
      `hooks ${action}: expected ids or --all, found ${isAll ? "both" : "neither"}`,
      "'tsbuild-top hooks' lists the ids; a derivation names its hooks as well",
    );
  return { type: action, choice: isAll ? { type: "all" } : { type: "named", names } };
}

function garbageTask({ switches, values }: FlagValues): GarbageTask {
  const maxFreed = values.get("max-freed");
  const asked = ["print-roots", "print-live", "print-dead", "dry-run"].filter((name) => switches.has(name));
  const [one, other] = maxFreed === undefined ? asked : [...asked, "max-freed"];
  if (one !== undefined && other !== undefined) {
    throw usage(
      "USAGE_FLAGS_CLASH",
      `gc: expected one of --${one} and --${other}, found both`,
      "each is a task of its own",
    );
  }
  switch (asked[0]) {
    case undefined:
      return { type: "delete", maxFreed: maxFreed === undefined ? null : byteCount("max-freed", maxFreed) };
    case "print-roots":
      return { type: "printRoots" };
    case "print-live":
      return { type: "printLive" };
    default:
      return { type: "printDead" };
  }
}

function byteCount(name: string, text: string): bigint {
  const bytes = parseAmount(text);
  if (bytes === undefined || bytes < 0n || bytes >= 2n ** 64n) {
    throw usage(
      "USAGE_BAD_VALUE",
      `flag '--${name}': expected a number of bytes, found '${text}'`,
      "10G is ten gibibytes",
    );
  }
  return bytes;
}

function serveProtocol(
  switches: ReadonlySet<string>,
): { readonly type: "worker" } | { readonly type: "serve"; readonly write: boolean } {
  const stdio = switches.has("stdio");
  if (stdio === switches.has("serve")) {
    throw usage(
      "USAGE_SERVE_HOW",
      `serve: expected either --stdio or --serve, found ${stdio ? "both" : "neither"}`,
      "for ssh-ng:// it is --stdio, for ssh:// --serve --write",
    );
  }
  return stdio ? { type: "worker" } : { type: "serve", write: switches.has("write") };
}

function speed(text: string | undefined): number {
  if (text === undefined) return 1;
  if (text === "max") return Number.POSITIVE_INFINITY;
  const factor = /^\d*\.?\d+$/.test(text) ? Number(text) : 0;
  if (factor <= 0)
    throw usage(
      "USAGE_BAD_VALUE",
      `flag '--speed': expected a number above 0 or 'max', found '${text}'`,
      "2 is twice as fast as it was",
    );
  return factor;
}

function wholeNumber(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  if (!/^\d{1,9}$/.test(text))
    throw usage("USAGE_BAD_VALUE", `flag '--${name}': expected a whole number, found '${text}'`, "0 or more");
  return Number(text);
}

function usage(code: string, message: string, hint: string): EngineError {
  return new EngineError("usage", code, message, { hint });
}
