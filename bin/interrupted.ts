// Ends a command on Ctrl-C, SIGTERM and SIGHUP, with the status shells give for each.

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * Runs work with a signal that is aborted when the user or the system wants it ended. Resolves with the work's status, or that of the signal.
 * A second Ctrl-C ends the program at once.
 */
export async function untilInterrupted(
  work: (signal: AbortSignal) => Promise<number>,
  onStop: () => void,
): Promise<number> {
  const abort = new AbortController();
  let status: number | null = null;
  const handlers = Object.entries(SIGNALS).map(([name, code]) => {
    const handler = (): void => {
      if (status !== null) process.exit(code);
      status = code;
      onStop();
      abort.abort(new Error("interrupted"));
    };
    process.on(name, handler);
    return [name, handler] as const;
  });
  try {
    const result = await work(abort.signal);
    return status ?? result;
  } catch (error) {
    if (status !== null) return status;
    throw error;
  } finally {
    for (const [name, handler] of handlers) process.off(name, handler);
  }
}
