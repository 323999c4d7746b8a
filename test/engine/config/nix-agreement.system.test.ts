// What the installed Nix makes of the same files is the oracle: same grammar, same precedence, same defaults.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isForeignSetting } from "../../../src/engine/config/foreign-settings.ts";
import { loadConfig, systemWorld } from "../../../src/engine/config/load.ts";
import { findSetting, SETTING_ROWS, settingKey } from "../../../src/engine/config/settings.ts";
import { hasPrograms } from "../../support/tools.ts";

const usable = hasPrograms("nix", "nix-instantiate");

interface NixSetting {
  readonly value: unknown;
  readonly defaultValue: unknown;
  readonly aliases: readonly string[];
}

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "tsbuild-config-"));
  mkdirSync(join(directory, "conf"));
  mkdirSync(join(directory, "user/nix"), { recursive: true });
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function environment(extra: Record<string, string> = {}): Record<string, string> {
  return {
    PATH: process.env.PATH ?? "",
    HOME: directory,
    NIX_CONF_DIR: join(directory, "conf"),
    XDG_CONFIG_HOME: join(directory, "user"),
    ...extra,
  };
}

function askNix(env: Record<string, string>, flags: readonly string[] = []): Record<string, NixSetting> {
  const args = ["--extra-experimental-features", "nix-command", ...flags, "show-config", "--json"];
  return JSON.parse(execFileSync("nix", args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
}

function askUs(env: Record<string, string>, overrides = new Map<string, string>()): Record<string, unknown> {
  return loadConfig(overrides, { ...systemWorld(), environment: env }).settings;
}

/** Our value as Nix's JSON writes it. */
function asJson(value: unknown): unknown {
  if (value instanceof Set) return [...value].sort();
  if (typeof value === "bigint") return Number(value);
  return value ?? "";
}

function nixJson(value: unknown): unknown {
  return Array.isArray(value) ? [...value].sort() : value;
}

describe.skipIf(!usable)("agreement with the installed Nix (skipped without nix-bin)", () => {
  it("knows every name and alias Nix knows", () => {
    for (const [name, { aliases }] of Object.entries(askNix(environment()))) {
      for (const known of [name, ...aliases])
        expect(findSetting(known) !== null || isForeignSetting(known), known).toBe(true);
      if (SETTING_ROWS.has(name))
        for (const alias of aliases) expect(findSetting(alias), alias).toEqual({ name, append: false });
    }
  });

  it("has Nix's defaults, but for those named here", () => {
    // connect-timeout is 15 s since 2.3x; a lock is tried for every second, Nix: every five; unset cores leave each machine its own; sandbox and levels of x86-64 depend on the release.
    const different = new Set([
      "connect-timeout",
      "build-poll-interval",
      "cores",
      "extra-platforms",
      "sandbox",
      "sandbox-paths",
      "build-users-group",
      "netrc-file",
      "builders",
      "experimental-features",
    ]);
    const ours = askUs(environment());
    let compared = 0;
    for (const [name, { defaultValue }] of Object.entries(askNix(environment()))) {
      if (!SETTING_ROWS.has(name) || different.has(name)) continue;
      const value = ours[settingKey(name)];
      expect(asJson(Array.isArray(value) ? [...value].sort() : value), name).toEqual(nixJson(defaultValue));
      compared += 1;
    }
    expect(compared).toBeGreaterThan(35);
  });

  it("reads files, includes, NIX_CONFIG and flags to the same values", () => {
    writeFileSync(
      join(directory, "conf/nix.conf"),
      "max-jobs = 3 # three\n  timeout = 2048\nsubstituters = https://a   https://b\n!include gone\ninclude more.conf\nbuild-max-silent-time = 7\n",
    );
    writeFileSync(
      join(directory, "conf/more.conf"),
      "log-lines = 20\nextra-substituters = https://c\nkeep-going = yes\n",
    );
    writeFileSync(
      join(directory, "user/nix/nix.conf"),
      "extra-substituters = https://d\nlog-lines = 30\nsandbox = relaxed\nmax-build-log-size = 1048576\n",
    );
    const env = environment({ NIX_CONFIG: "cores = 5\nextra-system-features = gpu\nfallback = true" });
    const nix = askNix(env, ["--option", "fallback", "false", "--option", "extra-trusted-users", "alice"]);
    const ours = askUs(
      env,
      new Map([
        ["fallback", "false"],
        ["extra-trusted-users", "alice"],
      ]),
    );
    const names = [
      "max-jobs",
      "timeout",
      "substituters",
      "max-silent-time",
      "log-lines",
      "keep-going",
      "max-build-log-size",
      "cores",
      "system-features",
      "fallback",
      "trusted-users",
    ];
    for (const name of names)
      expect(asJson(ours[settingKey(name)]), name).toEqual(
        name === "system-features" ? nixJson(nix[name]?.value) : nix[name]?.value,
      );
    expect(ours.sandbox).toBe("relaxed");
  });

  it.each(["cores", "cores=1", "include", "cores = x", "keep-going = perhaps", "max-jobs = many"])(
    "refuses '%s' where Nix does",
    (line) => {
      writeFileSync(join(directory, "conf/nix.conf"), `${line}\n`);
      expect(() => askNix(environment())).toThrow();
      expect(() => askUs(environment())).toThrow(/nix\.conf:1/);
    },
  );
});
