// A big result on its way holds up no small one.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath } from "../support/nixpkgs.ts";
import { type Client, createClient } from "./client.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;
const MIB = 1024 * 1024;
const BIG = 300;

describe.skipIf(!usable)("transfers (skipped without root, nix-bin, openssh-server and busybox-static)", () => {
  let fleet: Fleet;
  let client: Client;

  beforeAll(async () => {
    fleet = await startBuilders(1);
    client = await createClient(fleet, { generation: generations[0]! });
  });
  afterAll(async () => {
    await client?.remove();
    await fleet?.stop();
  });

  it(`brings small outputs, and builds on them, while ${BIG} MiB are on their way`, async () => {
    const file = client.write(
      "big.nix",
      `with import <nixpkgs> {};
       let
         big = runCommand "big" {} "head -c ${BIG * MIB} /dev/zero > $out";
         small = number: below: runCommand "small-\${toString number}" { inherit below; } "sleep 0.05; echo \${toString number} > $out";
       in { all = [ big (small 3 (small 2 (small 1 ""))) ]; }`,
    );
    const { result, events } = await client.events(
      ["-f", file, "all", "-j0", "--no-out-link", "--builders", fleet.machines({ maxJobs: 2 })],
      { timeoutMs: 90_000 },
    );
    expect(result.status, result.stderr).toBe(0);
    const order = events.flatMap(({ event }) =>
      event.type === "goalFinished" ? [event.goal.replace(/^.*?-|\.drv$/g, "")] : [],
    );
    expect(order.at(-1)).toBe("big");
    expect(order.slice(-4)).toEqual(["small-1", "small-2", "small-3", "big"]);
    const downloads = events.filter(({ event }) => event.type === "copyStarted" && event.direction === "download");
    expect(downloads).toHaveLength(4);
    const path = await client.instance.output("sh", ["-c", "echo /nix/store/*-big"]);
    expect(await client.instance.output("stat", ["-c", "%s", path])).toBe(`${BIG * MIB}`);
    await client.verify();
  });
});
