// The board in a real terminal over real builds on three generations of Nix: every view, and every key that steers, checked on the builders'
// own processes.
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Builder, type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath, standInNixpkgs } from "../support/nixpkgs.ts";
import { collect, until } from "../support/processes.ts";
import { startTmux, type TmuxSession } from "../support/tmux.ts";
import { type Client, createClient, PROGRAM } from "./client.ts";

const generations = await nixGenerations();
const tmux = (await collect("sh", ["-c", "command -v tmux"])).status === 0;
const usable = generations.length > 0 && busyboxPath() !== null && tmux;

/** Five builds that only end when they are told to; their sleeping is what is looked for on the builders. */
const JOBS = `
{ salt }:
with import <nixpkgs> {};
builtins.listToAttrs (map (i: {
  name = "job-\${i}";
  value = runCommand "job-\${i}" { inherit salt; } "echo working on \${i}; sleep 600.\${salt}\${i}";
}) [ "1" "2" "3" "4" "5" ])
`;

describe.skipIf(!usable)("the board (skipped without root, nix-bin, openssh-server, busybox-static, tmux)", () => {
  let fleet: Fleet;
  let client: Client;
  let file: string;
  let nixpkgs: string;

  beforeAll(async () => {
    nixpkgs = await standInNixpkgs();
    const three = generations.length >= 3 ? generations.slice(0, 3) : [0, 1, 2].map(() => generations[0]!);
    fleet = await startBuilders(three.map((generation) => ({ generation })));
    client = await createClient(fleet, { generation: generations[0]! });
    file = client.write("jobs.nix", JOBS);
  });
  afterAll(async () => {
    await client?.remove();
    await fleet?.stop();
  });

  it.each([
    [200, 50, "71"],
    [80, 24, "72"],
  ])("steers builds at %d × %d", async (columns, rows, salt) => {
    const machines = fleet.builders.map((builder) => builder.machineLine({ maxJobs: 1 })).join(" ; ");
    const [node, script] = PROGRAM;
    // By Nix's order, which never waits for a machine that is busy: this one's load says nothing of the builders.
    const words = ["-f", file, "--argstr", "salt", salt, "-j0", "--no-out-link", "--policy", "nix"];
    words.push("--builders", machines);
    const env = { ...fleet.env, NIX_PATH: `nixpkgs=${nixpkgs}`, TERM: "tmux-256color", LANG: "C.UTF-8" };
    const command = client.instance.argv(node, [script, ...words], { cwd: "/homes/root", env });
    // A shell around it tells its status, and that the terminal was given back.
    const shell = ["sh", "-c", '"$@"; echo "status $?"; read -r line', "sh", ...command] as const;
    await using session = await startTmux([...shell], { columns, rows });
    const sleeping = (builder: Builder): number => sleepersOf(builder, `600.${salt}`);
    const everywhere = (): number => fleet.builders.reduce((sum, builder) => sum + sleeping(builder), 0);
    await session.waitFor(/\[3\/0\/5 built/, 60_000);
    await until("three builds to run", () => everywhere() === 3);

    // Every view, and back.
    for (const [key, text] of [
      ["a", "builds: all 5"],
      ["m", "address"],
      ["f", /nothing has failed|no failures/i],
      ["?", "One row up."],
    ] as const) {
      await session.sendKeys(key);
      await session.waitFor(text);
      await session.sendKeys("Escape");
      await session.waitFor("q quit");
    }
    await select(session, "job-");
    await session.sendKeys("l");
    await session.waitFor(/working on \d/);
    await session.waitFor("whole log: /homes/root");
    await session.sendKeys("Escape");
    await session.waitFor("q quit");
    await session.sendKeys("t");
    await session.waitFor("needed by");
    await session.sendKeys("Escape");
    await session.waitFor("q quit");

    // Cordoned, a builder takes nothing new; cancelled, a build is gone from it.
    const first = fleet.builders[0]!;
    await select(session, first.alias);
    await session.sendKeys("u");
    await session.waitFor(/cordoned/);
    await session.sendKeys("Down", "x");
    await session.waitFor(/\by yes/);
    await session.sendKeys("y");
    await until("the cancelled build to be gone", () => sleeping(first) === 0);
    await session.waitFor(/\[2\/0\/5 built/);
    expect(everywhere()).toBe(2);

    // Uncordoned, it takes the next; with a slot more, another one; tried again, what was cancelled waits.
    await select(session, first.alias);
    await session.sendKeys("u");
    await until("the builder to be used again", () => sleeping(first) === 1);
    await session.sendKeys("+");
    await until("the second slot to be used", () => sleeping(first) === 2);
    await session.sendKeys("p");
    await session.waitFor("dispatch paused");
    await session.sendKeys("p");
    await session.waitFor(/^(?![\s\S]*dispatch paused)/);
    await session.sendKeys("a");
    await session.waitFor("1 cancelled");
    await select(session, "✖|cancelled", "G");
    await session.sendKeys("r");
    await session.waitFor(/1 waiting/);
    await session.sendKeys("Escape");
    await session.waitFor("q quit");

    // The first Ctrl-C lets what runs go on, the second ends it everywhere.
    await session.sendKeys("C-c");
    await session.waitFor("finishing what runs");
    expect(everywhere()).toBe(4);
    await session.sendKeys("C-c");
    await session.waitFor("status 130", 20_000);
    await until("nothing to be left on the builders", () => everywhere() === 0);
    expect(await session.ask("#{alternate_on}")).toBe("0");
    await client.verify();
  });
});

/** How many of the builds' sleeps run on a builder. */
function sleepersOf(builder: Builder, text: string): number {
  return builder.instance.processes().filter((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
      return words.at(-2)?.startsWith(text) === true && words.some((word) => word.endsWith("sleep"));
    } catch {
      return false;
    }
  }).length;
}

/** Moves the selection from the top down (or, by "G", from the end up) to the first row that holds the text. */
async function select(session: TmuxSession, text: string, from: "g" | "G" = "g"): Promise<void> {
  const wanted = new RegExp(`^❯ .*(?:${text})`, "m");
  await session.sendKeys(from);
  for (let step = 0; step < 30; step++) {
    await new Promise((resolve) => setTimeout(resolve, 150));
    if (wanted.test(await session.capture())) return;
    await session.sendKeys(from === "g" ? "Down" : "Up");
  }
  throw new Error(`no row with ${text}; it shows:\n${await session.capture()}`);
}
