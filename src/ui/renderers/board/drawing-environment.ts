// The environment Ink and React read while they are loaded; put back at once, so that hooks and builders never inherit it.
import type { Environment } from "../renderer.ts";

/** chalk's level for a colour depth in bits (Node, `tty.WriteStream#getColorDepth`). */
function chalkLevel(depth: number): string {
  if (depth >= 24) return "3";
  return depth >= 8 ? "2" : "1";
}

/**
 * Runs `load` with React in production mode (half the cost of a frame) unless the environment chose another, and chalk told what the stream drawn on can show: it would look
 * at standard output only, and without any level it would drop bold and inverse too, which are no colours.
 */
export async function withDrawingEnvironment<T>(
  stream: Pick<NodeJS.WriteStream, "getColorDepth">,
  env: Environment,
  color: boolean,
  load: () => Promise<T>,
): Promise<T> {
  const before = {
    NODE_ENV: process.env.NODE_ENV,
    FORCE_COLOR: process.env.FORCE_COLOR,
    NO_COLOR: process.env.NO_COLOR,
  };
  const depth = typeof stream.getColorDepth === "function" ? stream.getColorDepth({ ...env }) : 4;
  process.env.NODE_ENV ??= "production";
  // Node prints a warning where both are set.
  delete process.env.NO_COLOR;
  process.env.FORCE_COLOR = color ? chalkLevel(depth) : "1";
  try {
    return await load();
  } finally {
    restore("NODE_ENV", before.NODE_ENV);
    restore("FORCE_COLOR", before.FORCE_COLOR);
    restore("NO_COLOR", before.NO_COLOR);
  }
}

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}
