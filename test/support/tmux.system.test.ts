// The harness itself: a program in tmux gets keys and sizes, and its screen and end can be read.
import { describe, expect, it } from "vitest";
import { collect } from "./processes.ts";
import { startTmux } from "./tmux.ts";

const present = (await collect("sh", ["-c", "command -v tmux"])).status === 0;

describe.skipIf(!present)("tmux (skipped without tmux)", () => {
  it("types, reads, resizes, and tells the exit status", async () => {
    const script = `stty size; while read -r line; do echo "got <$line>"; stty size; [ "$line" != bye ] || exit 7; done`;
    await using session = await startTmux(["bash", "-c", script], { columns: 80, rows: 24, env: { PS1: "" } });
    await session.waitFor("24 80");
    await session.type("Enter");
    await session.sendKeys("Enter");
    await session.waitFor("got <Enter>");
    await session.resize(100, 30);
    expect(await session.ask("#{pane_width}x#{pane_height} #{alternate_on}")).toBe("100x30 0");
    await session.sendKeys("b", "y", "e", "Enter");
    expect(await session.exited()).toBe(7);
    expect(await session.capture()).toMatch(/got <bye>\n30 100/);
  });
});
