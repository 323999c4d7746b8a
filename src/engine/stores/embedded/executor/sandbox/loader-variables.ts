// The variables that could make a program of the host load something; they matter only when no static busybox sets the builder's
// variables inside of its sandbox; pure.
import { EngineError } from "../../../../base/errors.ts";
import { type ByteString, textOf } from "../../../../formats/byte-string.ts";

/** Variables that the C libraries read in any program (glibc: ld.so(8), `unsecvars.h`; musl). */
const ALWAYS =
  /^(?:LD_|MALLOC_|GLIBC_|GCONV_|GETCONF_|LOCPATH$|MUSL_|NLSPATH$|TEXTDOMAIN|OUTPUT_CHARSET$|TZDIR$|TZ$|RES_|RESOLV_|HOSTALIASES$|LOCALDOMAIN$|NIS_PATH$)/;
/** These name a locale; with a slash they name a file. */
const WITH_SLASH = /^(?:LC_|LANG)/;

/** Refuses variables that would take effect outside of the sandbox. Throws `EXECUTOR_NEEDS_BUSYBOX`. */
export function refuseLoaderVariables(variables: ReadonlyMap<ByteString, ByteString>): void {
  for (const [name, value] of variables) {
    if (!ALWAYS.test(name) && !(WITH_SLASH.test(name) && value.includes("/"))) continue;
    throw new EngineError(
      "build",
      "EXECUTOR_NEEDS_BUSYBOX",
      `a builder with the variable '${textOf(name)}' cannot be run here without a static busybox`,
      { hint: "Install a static busybox (Debian: busybox-static), or bubblewrap." },
    );
  }
}
