// Damages a JSON value in one place, seeded: a field left out, or something else in its place.

/** What a field may hold after a disk, an editor or somebody ill-meaning had it. */
const ODD: readonly unknown[] = [
  ...[null, true, "", "x", "__proto__", "constructor", -1, 0, 1.5, 1e308, 99_999_999_999, 999_999_999_999],
  ...[[], {}, [null], [[]], { type: "x" }, { type: "toString" }, { type: null }, "9".repeat(400)],
];

/** @param random 0 ≤ x < 1 */
export function mutateJson(value: unknown, random: () => number): unknown {
  const copy: unknown = structuredClone(value);
  const places: (readonly [Record<string, unknown>, string])[] = [];
  const walk = (at: unknown): void => {
    if (typeof at !== "object" || at === null) return;
    for (const name of Object.keys(at)) {
      places.push([at as Record<string, unknown>, name]);
      walk((at as Record<string, unknown>)[name]);
    }
  };
  walk(copy);
  const place = places[Math.floor(random() * places.length)];
  if (place === undefined) return copy;
  const [holder, name] = place;
  const kind = Math.floor(random() * (ODD.length + 2));
  if (kind === ODD.length) delete holder[name];
  else if (kind === ODD.length + 1) holder[name] = holder;
  else holder[name] = structuredClone(ODD[kind]);
  return kind === ODD.length + 1 ? nested(copy, holder, name) : copy;
}

/** Instead of a circle, which is no JSON: a depth no reader should follow. */
function nested(copy: unknown, holder: Record<string, unknown>, name: string): unknown {
  let deep: unknown = 1;
  for (let level = 0; level < 200; level++) deep = [deep];
  holder[name] = deep;
  return copy;
}

/** A small generator of numbers from 0 to 1 (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
