// The manual's example machines (Nix manual, Remote Builds): which build goes where, and what is said when nobody can take it.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, hostSystem, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath } from "../support/nixpkgs.ts";
import { type Client, createClient, placesOf } from "./client.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;

describe.skipIf(!usable)("itchy, scratchy and poochie (skipped without root, nix-bin, openssh-server, busybox)", () => {
  let fleet: Fleet;
  let client: Client;
  let file: string;
  let list: string;

  beforeAll(async () => {
    const instance = { conf: "system-features = kvm benchmark" };
    fleet = await startBuilders([
      { alias: "scratchy", scheme: "ssh", instance },
      { alias: "itchy", scheme: "ssh", instance },
      { alias: "poochie", scheme: "ssh", instance },
    ]);
    client = await createClient(fleet, { generation: generations[0]! });
    const [scratchy, itchy, poochie] = fleet.builders;
    list = client.write(
      "machines",
      [
        scratchy!.machineLine({ maxJobs: 8, speed: 1, features: ["kvm"] }),
        itchy!.machineLine({ maxJobs: 8, speed: 2 }),
        poochie!.machineLine({ maxJobs: 1, speed: 2, features: ["kvm"], mandatory: ["benchmark"] }),
        "",
      ].join("\n"),
    );
    file = client.write(
      "features.nix",
      `{ salt, features ? [] }: with import <nixpkgs> {};
       let needing = name: needed: runCommand name { inherit salt; requiredSystemFeatures = needed; } "echo $salt > $out";
       in {
         all = [ (needing "plain" []) (needing "kvm" [ "kvm" ]) (needing "bench" [ "benchmark" ]) (needing "both" [ "benchmark" "kvm" ]) ];
         impossible = needing "impossible" [ "teleportation" ];
         many = builtins.genList (n: needing "plain-\${toString n}" []) 6;
       }`,
    );
  });
  afterAll(async () => {
    await client?.remove();
    await fleet?.stop();
  });

  it("sends each build where the manual says", async () => {
    const { result, events } = await client.events([
      ...["-f", file, "all", "--argstr", "salt", "manual", "-j0", "--no-out-link", "--builders", `@${list}`],
    ]);
    expect(result.status, result.stderr).toBe(0);
    expect(Object.fromEntries(placesOf(events))).toEqual({
      plain: "itchy",
      kvm: "scratchy",
      bench: "poochie",
      both: "poochie",
    });
  });

  it("prefers itchy for everything else, as long as it has slots", async () => {
    const { events } = await client.events([
      ...["-f", file, "many", "--argstr", "salt", "many", "-j0", "--no-out-link", "--builders", `@${list}`],
      // Without a history: builds known to be short do not wait for itchy's login.
      ...["--option", "journal-dir", "/homes/root/without-history"],
    ]);
    const places = [...placesOf(events).values()];
    expect(places).toHaveLength(6);
    expect(places[0]).toBe("itchy");
    expect(places).not.toContain("poochie");
  });

  it("fails at once when nobody has a feature, and says what is missing where", async () => {
    const started = performance.now();
    const run = await client.run([
      ...["-f", file, "impossible", "--argstr", "salt", "none", "-j0", "--no-out-link", "--ui", "plain"],
      ...["--builders", `@${list}`],
    ]);
    expect(run.status).toBe(100);
    expect(run.stderr).toContain("no machine has feature 'teleportation'");
    expect(run.stderr).toContain("itchy (none)");
    expect(run.stderr).toMatch(/scratchy \(kvm\)/);
    expect(run.stderr).toMatch(/poochie \((kvm, benchmark|benchmark, kvm)\)/);
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  it("says the same of a system", async () => {
    const foreign = client.write(
      "foreign.nix",
      `derivation { name = "foreign"; system = "riscv64-netbsd"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; }`,
    );
    const run = await client.run(["-f", foreign, "-j0", "--no-out-link", "--ui", "plain", "--builders", `@${list}`]);
    expect(run.status).toBe(100);
    expect(run.stderr).toContain("no machine builds for 'riscv64-netbsd'");
    expect(run.stderr).toContain(`itchy (${hostSystem}`);
  });

  it("names file, line and field of a bad machine line, and uses the others", async () => {
    const bad = client.write("bad-machines", `${fleet.builders[1]!.machineLine()}\nssh://other ${hostSystem} - many\n`);
    const run = await client.run([
      ...[
        "-f",
        file,
        "many",
        "--argstr",
        "salt",
        "bad",
        "-j0",
        "--no-out-link",
        "--ui",
        "plain",
        "--builders",
        `@${bad}`,
      ],
    ]);
    expect(run.status, run.stderr).toBe(0);
    expect(run.stderr).toMatch(/bad-machines:2.*many/);
  });
});
