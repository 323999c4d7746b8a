// Opens the caches a daemon needs our help with, and loads their code only if there are any.

import type { Substituters } from "../binary-cache/substituters.ts";
import type { OpenSubstitutersOptions } from "./open-substituters.ts";

/** The `substituters` that a daemon may be unable to use (S3); null if there are none. */
export async function openOwnCaches(options: OpenSubstitutersOptions): Promise<Substituters | null> {
  const { substitute, substituters } = options.config.settings;
  if (!substitute || !substituters.some((uri) => uri.startsWith("s3:"))) return null;
  const { openS3Substituters } = await import("./open-substituters.ts");
  return openS3Substituters(options);
}
