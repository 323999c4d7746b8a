// The board in a real terminal (tmux) under a real shell: resize, suspend and resume, signals, and what is left behind.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { builtFile } from "../../support/built-ui.ts";
import { collect } from "../../support/processes.ts";
import { removeDirectory, temporaryDirectory } from "../../support/temporary-directory.ts";
import { startTmux, type TmuxSession } from "../../support/tmux.ts";

const present = (await collect("sh", ["-c", "command -v tmux"])).status === 0;
const program = present ? builtFile("test/support/board-program.js") : "";
const directory = temporaryDirectory("board-terminal");
const report = join(directory, "report.jsonl");
afterAll(() => removeDirectory(directory));

/** A shell in which the board is started by typing, as a user does. */
async function shell(columns: number, rows: number): Promise<TmuxSession> {
  const env = { PS1: "ready> ", HISTFILE: "/dev/null" };
  const session = await startTmux(["bash", "--norc", "--noprofile", "-i"], { columns, rows, env });
  await session.waitFor("ready>");
  return session;
}

/** @param shown what is on the board once it is drawn */
async function startBoard(session: TmuxSession, scene: string, shown = "gcc-13.2.0"): Promise<void> {
  await session.type(`${process.execPath} ${program} board --scene ${scene} --report ${report}`);
  await session.sendKeys("Enter");
  await session.waitFor(shown, 20_000);
}

/** An Escape with a key right behind it would be Alt with that key: the board must have come back first. */
async function back(session: TmuxSession): Promise<void> {
  await session.sendKeys("Escape");
  await session.waitFor("q quit");
}

/** The whole frame, once nothing is on its way any more. */
async function wholeFrame(session: TmuxSession): Promise<string> {
  await new Promise((resolve) => setTimeout(resolve, 500));
  return session.waitFor(/^tsbuild-top {2}\[[\s\S]*q quit\s*$/);
}

/** The terminal as the shell wants it: main screen, cursor, echo and line editing. */
async function expectRestored(session: TmuxSession): Promise<void> {
  await session.waitFor(/ready> *\n*$/);
  expect(await session.ask("#{alternate_on}/#{cursor_flag}")).toBe("0/1");
  await session.type("clear; stty -a | grep -o ' -*icanon\\| -*echo '");
  await session.sendKeys("Enter");
  await session.waitFor(/^ icanon\n echo\s*$/m);
}

describe.skipIf(!present)("the board in tmux (skipped without tmux)", () => {
  for (const [columns, rows] of [
    [200, 50],
    [80, 24],
  ] as const)
    it(`shows every view at ${columns} × ${rows} and stops in two steps`, async () => {
      await using session = await shell(columns, rows);
      await startBoard(session, "busy");
      await session.sendKeys("Down", "Enter");
      await session.waitFor("checking for stdlib.h");
      await back(session);
      await session.sendKeys("t");
      await session.waitFor("needed by");
      await back(session);
      await session.sendKeys("a");
      await session.waitFor("builds: all");
      await back(session);
      await session.sendKeys("m");
      await session.waitFor("must require");
      await back(session);
      await session.sendKeys("?");
      await session.waitFor("One row up.");
      await back(session);
      await session.sendKeys("x");
      await session.waitFor("cancel gcc-13.2.0 on itchy?");
      await session.sendKeys("y");
      await session.sendKeys("q");
      await session.waitFor("press again to cancel");
      await session.sendKeys("C-c");
      await expectRestored(session);
      const requests = readFileSync(report, "utf8");
      expect(requests).toContain('"type":"cancelGoal"');
      expect(requests).toContain(
        '{"request":{"type":"stop","how":"drain"}}\n{"request":{"type":"stop","how":"cancel"}}',
      );
    });

  it("is suspended by Ctrl-Z and comes back with fg, also after the window changed meanwhile", async () => {
    await using session = await shell(100, 30);
    await startBoard(session, "busy");
    await session.sendKeys("C-z");
    await session.waitFor("Stopped");
    await expectRestored(session);
    await session.resize(120, 40);
    await session.type("fg");
    await session.sendKeys("Enter");
    const back = await session.waitFor(/^tsbuild-top {2}\[/m);
    expect(back).toContain("q quit");
    await session.sendKeys("Down", "l");
    await session.waitFor("checking for stdlib.h");
    await session.sendKeys("C-c", "C-c");
    await expectRestored(session);
  });

  it("leaves nothing of another size on the screen", async () => {
    await using session = await shell(200, 50);
    await startBoard(session, "busy");
    for (const [columns, rows] of [
      [80, 24],
      [150, 40],
      [60, 12],
      [100, 30],
    ] as const)
      await session.resize(columns, rows);
    const resized = await wholeFrame(session);
    await session.sendKeys("C-l");
    const strip = (text: string): string =>
      text.replace(/\d+:\d\d(:\d\d)?|retry in \S+|[\d.]+ MiB.s/g, "").replace(/[━─]+/g, "");
    expect(strip(await wholeFrame(session))).toBe(strip(resized));
    await session.sendKeys("C-c", "C-c");
    await expectRestored(session);
  });

  it("gives the terminal back when it is terminated", async () => {
    await using session = await shell(100, 30);
    await startBoard(session, "busy");
    await collect("pkill", ["-TERM", "-P", String(session.pid)]);
    await expectRestored(session);
  });

  it("stays after a failure until it is left, and leaves the summary behind", async () => {
    await using session = await shell(120, 30);
    await startBoard(session, "failed", "bar-0.3");
    await session.waitFor("failed (100)");
    await session.sendKeys("q");
    const left = await session.waitFor(/ready> *\n*$/);
    expect(left).toContain("failed with exit code 2");
    expect(left).toContain("failed (exit status 100)");
    expect(await session.ask("#{alternate_on}/#{cursor_flag}")).toBe("0/1");
  });
});
