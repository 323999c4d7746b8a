// The reason in what Nix says of a failed build, without what is shown beside it anyway.

/** Since Nix 2.30 the reason comes second: `Cannot build '….drv'.`, `Reason: …`, `Output paths:` and the paths, a line each. */
const CANNOT_BUILD = /^Cannot build '[^']*'[.;]?\s+Reason: (.*?)\.?\s*(?:\n|Output paths:|$)/s;

/** One line: the reason alone where it is known how to find it, else the first line of the message. */
export function failureReason(message: string): string {
  return reasonLines(message)[0] ?? "";
}

/** The reason alone where it is known how to find it, else all the lines of the message. */
export function reasonLines(message: string): readonly string[] {
  const reason = CANNOT_BUILD.exec(message)?.[1];
  return (reason ?? message).split("\n");
}
