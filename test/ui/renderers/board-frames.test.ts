// Golden frames: what the user sees, read from a terminal emulator that the real Ink draws on. `vitest -u` writes them anew.
import { describe, expect, it } from "vitest";
import { type BoardRig, createBoardRig, type RigOptions } from "../../support/board-rig.ts";
import type { EventScript } from "../../support/event-script.ts";
import { screenSvg } from "../../support/picture-svg.ts";
import { busyScene, doneScene, failedScene, roundsScene, startScene, wideScene } from "../../support/scenes.ts";

interface Frame {
  readonly name: string;
  readonly scene: () => EventScript;
  readonly keys?: readonly string[];
  readonly rig: RigOptions;
}

const frames: readonly Frame[] = [
  { name: "busy-200x50", scene: busyScene, rig: { columns: 200, rows: 50 } },
  { name: "busy-80x24", scene: busyScene, rig: { columns: 80, rows: 24 } },
  { name: "busy-40x16", scene: busyScene, rig: { columns: 40, rows: 16 } },
  { name: "busy-300x30", scene: busyScene, rig: { columns: 300, rows: 30 } },
  { name: "busy-100x100", scene: busyScene, rig: { columns: 100, rows: 100 } },
  { name: "busy-80x1", scene: busyScene, rig: { columns: 80, rows: 1 } },
  { name: "busy-80x2", scene: busyScene, rig: { columns: 80, rows: 2 } },
  { name: "busy-80x5", scene: busyScene, rig: { columns: 80, rows: 5 } },
  { name: "busy-12x8", scene: busyScene, rig: { columns: 12, rows: 8 } },
  { name: "busy-ascii", scene: busyScene, rig: { columns: 120, rows: 30, env: { LANG: "C" } } },
  { name: "busy-spoken", scene: busyScene, rig: { columns: 100, rows: 40, env: { INK_SCREEN_READER: "true" } } },
  { name: "start", scene: startScene, rig: { columns: 80, rows: 12 } },
  { name: "done", scene: doneScene, rig: { columns: 80, rows: 14 } },
  { name: "failed", scene: failedScene, rig: { columns: 120, rows: 30 } },
  { name: "wide-80x24", scene: () => wideScene(), rig: { columns: 80, rows: 24 } },
  { name: "wide-160x50", scene: () => wideScene(), rig: { columns: 160, rows: 50 } },
  { name: "view-log", scene: busyScene, keys: ["down", "return"], rig: { columns: 100, rows: 20 } },
  { name: "view-log-failed", scene: failedScene, keys: ["G", "l"], rig: { columns: 100, rows: 20 } },
  { name: "view-tree", scene: busyScene, keys: ["down", "t"], rig: { columns: 100, rows: 28 } },
  { name: "view-list", scene: busyScene, keys: ["a", "s", "s"], rig: { columns: 100, rows: 28 } },
  { name: "view-list-waiting-group", scene: busyScene, keys: ["tab", "return"], rig: { columns: 100, rows: 20 } },
  { name: "view-builders", scene: busyScene, keys: ["m"], rig: { columns: 120, rows: 28 } },
  { name: "view-failures", scene: busyScene, keys: ["f"], rig: { columns: 100, rows: 24 } },
  { name: "view-rounds", scene: roundsScene, keys: ["d"], rig: { columns: 120, rows: 30 } },
  { name: "view-rounds-80x24", scene: roundsScene, keys: ["d"], rig: { columns: 80, rows: 24 } },
  { name: "view-help", scene: busyScene, keys: ["?"], rig: { columns: 100, rows: 50 } },
  { name: "confirm-cancel", scene: busyScene, keys: ["down", "x"], rig: { columns: 80, rows: 24 } },
  { name: "filter-typing", scene: busyScene, keys: ["/", "g", "i", "t"], rig: { columns: 80, rows: 24 } },
  { name: "disabled-key-says-why", scene: busyScene, keys: ["x"], rig: { columns: 80, rows: 24 } },
  { name: "first-quit", scene: busyScene, keys: ["q"], rig: { columns: 100, rows: 24 } },
];

async function show({ scene, keys, rig }: Frame): Promise<BoardRig> {
  const board = await createBoardRig(rig);
  const script = scene();
  // Event by event at its own time, so that rates and averages are those of the run.
  for (const event of script.take()) {
    board.clock.setWallTime(event.at);
    board.renderer.accept([event]);
  }
  await board.play(script);
  await board.press(...(keys ?? []));
  await board.frame();
  return board;
}

describe("the board as it is seen", () => {
  for (const frame of frames) {
    it(frame.name, async () => {
      const board = await show(frame);
      const text = board.screen.text();
      await board.close();
      await expect(text).toMatchFileSnapshot(`../golden/${frame.name}.txt`);
    });
  }

  it("in its colours", async () => {
    const board = await show({ name: "colours", scene: busyScene, rig: { columns: 100, rows: 24 } });
    const svg = screenSvg(board.screen.cells(), "tsbuild-top");
    await board.close();
    await expect(svg).toMatchFileSnapshot("../golden/busy-colours.svg");
  });

  it("without colour says the same", async () => {
    const plain = await show({ name: "plain", scene: busyScene, rig: { columns: 100, rows: 24 } });
    const colorless = await show({
      name: "colorless",
      scene: busyScene,
      rig: { columns: 100, rows: 24, env: { NO_COLOR: "1" } },
    });
    expect(colorless.screen.text()).toBe(plain.screen.text());
    expect(
      colorless.screen
        .cells()
        .flat()
        .every((cell) => cell.color.mode === "default" && cell.background.mode === "default"),
    ).toBe(true);
    await plain.close();
    await colorless.close();
  });
});
