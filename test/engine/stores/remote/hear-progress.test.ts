// The bytes of all copies a daemon makes for us, those that have ended included.
import { expect, it } from "vitest";
import type { LogFrame } from "../../../../src/engine/protocols/log-frame.ts";
import { hearProgress } from "../../../../src/engine/stores/remote/hear-progress.ts";

const PATH = "/nix/store/00000000000000000000000000000000-a";

function start(id: bigint, activity = 100): LogFrame {
  return { type: "start", id, level: 3, activity, text: "", fields: [PATH, "https://cache", ""], parent: 0n };
}
function progress(id: bigint, done: bigint, expected: bigint): LogFrame {
  return { type: "result", id, result: 105, fields: [done, expected, 0n, 0n] };
}

it("adds up copies as they go on, and keeps the bytes of those that ended", () => {
  const sums: [bigint, bigint][] = [];
  const copied: string[] = [];
  const hear = hearProgress(
    ({ doneBytes, expectedBytes }) => sums.push([doneBytes, expectedBytes]),
    (path) => copied.push(path),
  );
  hear([start(1n), progress(1n, 5n, 10n), start(2n), progress(2n, 1n, 4n), progress(1n, 10n, 10n)]);
  hear([
    { type: "stop", id: 1n },
    progress(2n, 4n, 4n),
    start(3n, 101),
    progress(3n, 9n, 9n),
    { type: "stop", id: 2n },
  ]);
  // An id may be used again once its activity has ended.
  hear([progress(1n, 1n, 1n), start(1n), progress(1n, 2n, 3n)]);
  expect(sums).toEqual([
    [5n, 10n],
    [6n, 14n],
    [11n, 14n],
    [14n, 14n],
    [16n, 17n],
  ]);
  expect(copied).toHaveLength(3);
});
