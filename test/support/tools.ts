// Which programs of the machine a test can count on: what is missing has the test skipped, loudly, and nothing is skipped in CI.
import { accessSync, constants } from "node:fs";
import { join } from "node:path";

/** Where programs for the administrator lie, which are in nobody else's PATH. */
const ADMINISTRATORS = ["/usr/sbin", "/sbin"];

/** Whether all of these programs are there. */
export function hasPrograms(...names: readonly string[]): boolean {
  const places = [...(process.env.PATH ?? "").split(":").filter((place) => place.startsWith("/")), ...ADMINISTRATORS];
  return names.every((name) => places.some((place) => isExecutable(join(place, name))));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
