// Bytewise order of names and paths; costs nothing when they are already sorted.

/** The map itself when its keys are sorted, else a sorted copy. Keys are ASCII or byte strings, so comparing code units compares bytes. */
export function sortedMap<K extends string, V>(map: ReadonlyMap<K, V>): ReadonlyMap<K, V> {
  if (isSorted(map.keys())) return map;
  return new Map([...map.keys()].sort().map((key) => [key, map.get(key)!]));
}

/** The set itself when it is sorted, else a sorted copy. */
export function sortedSet<T extends string, S extends ReadonlySet<T>>(set: S & ReadonlySet<T>): S | Set<T> {
  return isSorted(set.values()) ? set : new Set([...set].sort());
}

function isSorted(values: Iterable<string>): boolean {
  let last: string | null = null;
  for (const value of values) {
    if (last !== null && value < last) return false;
    last = value;
  }
  return true;
}
