// A third of the time Ink takes to load is one import: it asks for `throttle` from the whole of es-toolkit/compat, three hundred files.
// While Ink is loaded, that import finds the one file it needs.
import { existsSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";

const WHOLE = "es-toolkit/compat";
const NEEDED = "./function/throttle.mjs";

/** Runs `load`; where the file is not where it is expected, nothing is different. */
export async function withQuickStart<T>(load: () => Promise<T>): Promise<T> {
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      const whole = next(specifier, context);
      if (specifier !== WHOLE || context.parentURL?.includes("/ink/") !== true) return whole;
      const needed = new URL(NEEDED, whole.url);
      return existsSync(fileURLToPath(needed)) ? { ...whole, url: needed.href } : whole;
    },
  });
  try {
    return await load();
  } finally {
    hooks.deregister();
  }
}
