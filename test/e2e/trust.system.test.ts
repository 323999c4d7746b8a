// Accounts with and without trust, here and on the builders: what can be built where, and what is said before the first build.
import { readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Builder, type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import type { Account } from "../support/nix-instance.ts";
import { busyboxPath } from "../support/nixpkgs.ts";
import { type Client, createClient, placesOf } from "./client.ts";
import { CLOSURE, FLOATING } from "./expressions.ts";

const generations = await nixGenerations();
const usable = generations.length > 0 && busyboxPath() !== null;

describe.skipIf(!usable)("trust (skipped without root, nix-bin, openssh-server and busybox-static)", () => {
  let fleet: Fleet;
  let client: Client;
  let files: { closure: string; floating: string; fixed: string };

  beforeAll(async () => {
    fleet = await startBuilders([
      { alias: "as-root" },
      ...generations.map((generation, index) => ({
        generation,
        alias: `trusted-${index}`,
        account: "tsbt-trusted" as const,
      })),
      ...generations.map((generation, index) => ({
        generation,
        alias: `plain-${index}`,
        account: "tsbt-plain" as const,
      })),
      { alias: "serve-only", scheme: "ssh", sshd: { forceCommand: "nix-store --serve --write" } },
    ]);
    client = await createClient(fleet, { generation: generations[0]!, daemon: true });
    files = {
      closure: client.write("closure.nix", CLOSURE),
      floating: client.write("floating.nix", FLOATING),
      fixed: client.write(
        "fixed.nix",
        `{ salt }: with import <nixpkgs> {}; fixedOutput "fixed" (builtins.hashString "sha256" "f \${salt}") "echo -n f \${salt} > $out"`,
      ),
    };
  });
  afterAll(async () => {
    await client?.remove();
    await fleet?.stop();
  });

  const builderOf = (alias: string): Builder => fleet.builders.find((builder) => builder.alias === alias)!;

  /** A machine line and the SSH configuration with a key that the account can read. */
  const reachable = (alias: string, user: Account, features: readonly string[] = []) => {
    const builder = builderOf(alias);
    const key = client.keyOf(builder, user);
    const fields = builder.machineLine({ features }).split(" ");
    fields[2] = key;
    const { host, port } = builder.sshd;
    const config = client.write(
      `${alias}.ssh_config`,
      `Host ${alias}\n  HostName ${host}\n  Port ${port}\n  User ${builder.sshd.user}\n  IdentityFile ${key}\n  IdentitiesOnly yes\n  UserKnownHostsFile /dev/null\n`,
      user,
    );
    return { machine: fields.join(" "), env: { NIX_SSHOPTS: `-F ${config}` } };
  };

  const build = async (
    alias: string,
    user: Account,
    file: string,
    attribute: string,
    salt: string,
    features: string[] = [],
  ) => {
    const { machine, env } = reachable(alias, user, features);
    const words = attribute === "" ? [] : [attribute];
    return client.events(
      ["-f", file, ...words, "--argstr", "salt", salt, "-j0", "--no-out-link", "--builders", machine],
      { user, env },
    );
  };

  it("builds as root and as a trusted user of a root daemon, on every kind of account that is trusted", async () => {
    const aliases = ["as-root", ...generations.map((_, index) => `trusted-${index}`)];
    for (const user of ["root", "tsbt-trusted"] as const) {
      for (const alias of aliases) {
        const { result, events } = await build(alias, user, files.closure, "top", `${user}-${alias}`);
        expect(result.status, `${user} at ${alias}: ${result.stdout.slice(-2000)}`).toBe(0);
        expect(new Set(placesOf(events).values())).toEqual(new Set([alias]));
      }
    }
    await client.verify();
  });

  for (const [index, generation] of generations.entries()) {
    it(`builds content-addressed derivations at an account of Nix ${generation.version} that is not trusted`, async () => {
      const { result, events } = await build(`plain-${index}`, "root", files.fixed, "", `plain-${index}`);
      const identified = events.find(
        ({ event }) => event.type === "machineIdentified" && event.machine !== "local",
      )?.event;
      expect(identified).toMatchObject({ trusted: false });
      // The builder's input, busybox, is a source: content-addressed, so the account may be given it.
      expect(result.status, result.stdout.slice(-2000)).toBe(0);
    });

    it(`has an account of Nix ${generation.version} that is not trusted build from the derivations themselves`, async () => {
      const { result, events } = await build(`plain-${index}`, "root", files.closure, "top", `closure-${index}`);
      expect(result.status, result.stdout.slice(-2000)).toBe(0);
      expect(new Set(placesOf(events).values())).toEqual(new Set([`plain-${index}`]));
      await client.verify();
    });
  }

  it("falls back to the serve protocol where the account allows nothing else", async () => {
    const { result, events } = await build("serve-only", "root", files.closure, "top", "serve");
    expect(result.status, result.stdout.slice(-2000)).toBe(0);
    const identified = events.find(
      ({ event }) => event.type === "machineIdentified" && event.machine === "serve-only",
    )?.event;
    expect(identified?.type === "machineIdentified" ? identified.protocol : "").toMatch(/^serve 2\./);
    await client.verify();
  });

  it("says before the first build that the local daemon does not trust the user, and builds here what it can", async () => {
    const { machine, env } = reachable("as-root", "tsbt-plain");
    const { result, events } = await client.events(
      ["-f", files.closure, "top", "--argstr", "salt", "untrusted", "-j2", "--no-out-link", "--builders", machine],
      { user: "tsbt-plain", env },
    );
    expect(result.status, result.stdout.slice(-2000)).toBe(0);
    const kinds = events.map(({ event }) => (event.type === "noticeRaised" ? event.code : event.type));
    expect(kinds).toContain("STORE_NOT_TRUSTED");
    expect(kinds.indexOf("STORE_NOT_TRUSTED")).toBeLessThan(kinds.indexOf("buildAssigned"));
    const places = placesOf(events);
    for (const name of ["base", "left", "right", "top"]) expect(places.get(name), name).toBe("local");
    await client.verify();
  });

  it("takes content-addressed results of other machines in for a user without trust", async () => {
    const fixed = await build("as-root", "tsbt-plain", files.fixed, "", "untrusted-fixed");
    expect(fixed.result.status, fixed.result.stdout.slice(-2000)).toBe(0);
    expect(placesOf(fixed.events).get("fixed")).toBe("as-root");
    const floating = await build("as-root", "tsbt-plain", files.floating, "outer", "untrusted-ca", ["ca-derivations"]);
    expect(floating.result.status, floating.result.stdout.slice(-2000)).toBe(0);
    await client.verify();
  });

  it("says why nothing can be done when only other machines may build and the user is not trusted", async () => {
    const { machine, env } = reachable("as-root", "tsbt-plain");
    const run = await client.run(
      [
        "-f",
        files.closure,
        "top",
        "--argstr",
        "salt",
        "stuck",
        "-j0",
        "--no-out-link",
        "--ui",
        "plain",
        "--builders",
        machine,
      ],
      { user: "tsbt-plain", env },
    );
    expect(run.status).toBeGreaterThan(0);
    expect(run.stderr).toContain("does not trust");
    expect(run.stderr).toContain("trusted-users");
  });

  it("leaves nothing behind in any store by asking whether it is trusted", () => {
    const stores = [client.instance, ...fleet.builders.map(({ instance }) => instance)];
    const names = stores.flatMap((instance) => readdirSync(instance.hostPath("/nix/store")));
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => name.includes("probe"))).toEqual([]);
  });
});
