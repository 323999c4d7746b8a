import { describe, expect, it } from "vitest";
import type { ConfigWorld } from "../../../src/engine/config/load.ts";
import { loadConfig, loadMachines } from "../../../src/engine/config/load.ts";
import { SETTING_ROWS } from "../../../src/engine/config/settings.ts";

type Files = Readonly<Record<string, string | null>>;

/** A machine with these files; null is a file that may not be read. */
function world(files: Files, environment: Record<string, string> = {}): ConfigWorld {
  return {
    environment,
    cwd: "/here",
    host: { platform: "linux", arch: "x64", cpuFlags: new Set(), hasKvm: true, isRoot: false, home: "/home/alice" },
    readFile: (path) => {
      const text = files[path];
      if (text === undefined) return { type: "missing" };
      return text === null ? { type: "unreadable", reason: "EACCES" } : { type: "text", text };
    },
  };
}

function load(files: Files, environment: Record<string, string> = {}, flags: Record<string, string> = {}) {
  return loadConfig(new Map(Object.entries(flags)), world(files, environment));
}

describe("defaults", () => {
  it("are Nix's where nothing is configured", () => {
    const { settings, warnings, origins } = load({});
    expect(settings).toMatchObject({
      builders: "@/etc/nix/machines",
      maxJobs: 1,
      cores: null,
      system: "x86_64-linux",
      store: "auto",
      substituters: ["https://cache.nixos.org/"],
      maxBuildLogSize: 0n,
      enforceDeterminism: true,
      buildUsersGroup: "",
      netrcFile: "/etc/nix/netrc",
      embeddedRoot: "/home/alice/.local/share/tsbuild-top/root",
      daemonSocket: "/nix/var/nix/daemon-socket/socket",
    });
    expect([...settings.systemFeatures]).toEqual(["benchmark", "big-parallel", "kvm", "nixos-test"]);
    expect([...settings.extraPlatforms]).toEqual(["i686-linux"]);
    expect([warnings, origins.size]).toEqual([[], 0]);
  });

  it("take the environment's word", () => {
    const { settings } = load(
      {},
      {
        NIX_REMOTE: "daemon",
        NIX_REMOTE_SYSTEMS: "/a:/b",
        NIX_STATE_DIR: "/s",
        NIX_CONF_DIR: "/conf",
        XDG_DATA_HOME: "/data",
        NIX_STORE_DIR: "/nix/store",
      },
    );
    expect(settings).toMatchObject({
      store: "daemon",
      builders: "@/a\n@/b",
      stateDir: "/s",
      daemonSocket: "/s/daemon-socket/socket",
      netrcFile: "/conf/netrc",
      embeddedRoot: "/data/tsbuild-top/root",
    });
    expect(load({}, { NIX_STORE_DIR: "/elsewhere" }).warnings[0]).toContain("/elsewhere");
  });

  it("every row prints its default so that it reads back the same", () => {
    const { settings } = load({});
    const values: Record<string, unknown> = settings;
    for (const [name, row] of SETTING_ROWS) {
      const key = name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
      const value = values[key];
      expect(value, name).not.toBeUndefined();
      if (value !== null) expect(row.kind.parse(row.kind.print(value)), name).toEqual(value);
      expect(row.doc, name).toMatch(/\.$/);
    }
  });
});

describe("precedence", () => {
  const files = {
    "/etc/nix/nix.conf": "cores = 1\nmax-jobs = 1\ntimeout = 1\nrepeat = 1\nlog-lines = 1\nsubstituters = system",
    "/etc/xdg/nix/nix.conf": "max-jobs = 2\ntimeout = 2\nrepeat = 2\nlog-lines = 2\nextra-substituters = xdg",
    "/home/alice/.config/nix/nix.conf": "timeout = 3\nrepeat = 3\nlog-lines = 3\nextra-substituters = user",
    "/home/alice/.config/tsbuild-top/nix.conf": "rounds-on = other",
  };

  it("rises from the machine's file over the user's and NIX_CONFIG to the command line", () => {
    const { settings, origins, userSettings } = load(
      files,
      { NIX_CONFIG: "repeat = 4\nlog-lines = 4" },
      { "log-lines": "5", "extra-substituters": "flag" },
    );
    expect(settings).toMatchObject({ cores: 1, maxJobs: 2, timeout: 3, repeat: 4, logLines: 5, roundsOn: "other" });
    expect(settings.substituters).toEqual(["system", "xdg", "user", "flag"]);
    expect(origins.get("timeout")).toEqual({ file: "/home/alice/.config/nix/nix.conf", line: 1 });
    expect(origins.get("repeat")?.file).toBe("NIX_CONFIG");
    // What the machine's own file says is not the user's wish.
    expect(userSettings.has("cores")).toBe(false);
    expect(userSettings.get("max-jobs")).toBe("2");
  });

  it("NIX_USER_CONF_FILES replaces the user's files, the first counting most", () => {
    const { settings } = load(
      { ...files, "/one": "max-jobs = 11", "/two": "max-jobs = 22\ntimeout = 22" },
      { NIX_USER_CONF_FILES: "/one:/two" },
    );
    expect(settings).toMatchObject({ maxJobs: 11, timeout: 22, logLines: 1 });
  });

  it("an assignment replaces what extra- appended before it, and old names mean the new setting", () => {
    const { settings } = load({
      "/etc/nix/nix.conf":
        "extra-trusted-users = a\ntrusted-users = b\nextra-trusted-users = c\nbuild-max-jobs = auto\nbinary-caches = z",
    });
    expect(settings).toMatchObject({ trustedUsers: ["b", "c"], maxJobs: "auto", substituters: ["z"] });
  });

  it("extra-platforms is a setting of its own, and extra-extra-platforms appends to it", () => {
    const { settings } = load({ "/etc/nix/nix.conf": "extra-platforms = a\nextra-extra-platforms = b" });
    expect([...settings.extraPlatforms]).toEqual(["a", "b"]);
  });
});

describe("includes", () => {
  it("are read in place, relative to the file that names them", () => {
    const { settings, origins } = load({
      "/etc/nix/nix.conf": "cores = 1\ninclude d/a.conf\nmax-jobs = 3\n!include gone.conf",
      "/etc/nix/d/a.conf": "cores = 2\nmax-jobs = 2\ninclude b.conf",
      "/etc/nix/d/b.conf": "timeout = 9",
    });
    expect(settings).toMatchObject({ cores: 2, maxJobs: 3, timeout: 9 });
    expect(origins.get("timeout")).toEqual({ file: "/etc/nix/d/b.conf", line: 1 });
  });

  it("must exist unless written with '!', must not go round in a circle", () => {
    expect(() => load({ "/etc/nix/nix.conf": "\ninclude gone.conf" })).toThrow(
      "/etc/nix/nix.conf:2: included file '/etc/nix/gone.conf' not found",
    );
    expect(() => load({ "/etc/nix/nix.conf": "include a", "/etc/nix/a": "include nix.conf" })).toThrow(
      "/etc/nix/a:1: expected a file that does not include itself",
    );
  });

  it("may be unreadable: silently for '!include', with a warning else", () => {
    const { warnings } = load({
      "/etc/nix/nix.conf": "!include secret\ninclude other",
      "/etc/nix/secret": null,
      "/etc/nix/other": null,
      "/home/alice/.config/nix/nix.conf": null,
    });
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain("/etc/nix/other");
    expect(warnings[1]).toContain("/home/alice/.config/nix/nix.conf");
  });
});

describe("values", () => {
  it("warns of unknown settings in Nix's words, and not of Nix's settings that do not concern us", () => {
    const { warnings } = load({
      "/etc/nix/nix.conf": "wat = 1\nextra-max-jobs = 2\nwarn-dirty = false\nextra-nix-path = a=b\nwat = 2",
    });
    expect(warnings).toEqual(["unknown setting 'wat'", "unknown setting 'extra-max-jobs'"]);
  });

  it.each([
    [
      "cores = many",
      "/etc/nix/nix.conf:2: setting 'cores' has invalid value 'many': expected a whole number, 0 or more",
    ],
    ["max-jobs = -1", "expected 'auto' or a whole number, 0 or more"],
    ["keep-going = maybe", "expected 'true' or 'false'"],
    ["rounds-on = mars", "expected 'any' or 'same' or 'other'"],
    ["diff-hook = ./x", "expected an absolute path"],
    ["max-build-log-size = 1X", "expected a number of bytes"],
  ])("refuses '%s' with place, found and expected", (line, message) => {
    expect(() => load({ "/etc/nix/nix.conf": `\n${line}` })).toThrow(message);
  });

  it("names the command line when the value stands there", () => {
    expect(() => load({}, {}, { cores: "x" })).toThrow("command line: setting 'cores' has invalid value 'x'");
  });

  it("reads units, switches and empty values", () => {
    const { settings } = load({
      "/etc/nix/nix.conf":
        "max-build-log-size = 64M\nkeep-going = yes\nsubstitute = 0\nsubstituters =\npost-build-hook =\nmax-jobs = 2K",
    });
    expect(settings).toMatchObject({
      maxBuildLogSize: 67108864n,
      keepGoing: true,
      substitute: false,
      substituters: [],
      postBuildHook: null,
      maxJobs: 2048,
    });
  });
});

describe("directories that are not absolute", () => {
  it("are ignored with a warning, as the XDG specification has it", () => {
    const config = load({}, { XDG_STATE_HOME: "state", XDG_CACHE_HOME: "/cache", HOME: "home" });
    expect(config.places.stateHome).toMatch(/^\/.*\/\.local\/state$/);
    expect(config.places.cacheHome).toBe("/cache");
    expect(config.settings.journalDir).toMatch(/^\/.*\/\.local\/state\//);
    expect(config.warnings).toEqual([
      "HOME is 'home', which is not absolute: it is ignored",
      "XDG_STATE_HOME is 'state', which is not absolute: it is ignored",
    ]);
  });
});

describe("machines of the configuration", () => {
  it("are read from the default file and named by where they stand", () => {
    const files = { "/etc/nix/machines": "ssh://a\nssh://b - - x" };
    const { machines, problems } = loadMachines(load(files), world(files));
    expect(machines.map((machine) => machine.where)).toEqual([{ file: "/etc/nix/machines", line: 1 }]);
    expect(problems.map(({ error }) => error.message)).toEqual([
      "/etc/nix/machines:2: field 4 (max jobs): expected a whole number, 0 or more, found 'x'",
    ]);
  });

  it("name nix.conf or --builders where the list stands there", () => {
    const files = { "/etc/nix/nix.conf": "\nbuilders = mac - - x ; beastie" };
    const fromFile = loadMachines(load(files), world(files));
    expect(fromFile.problems[0]?.error.message).toMatch(/^\/etc\/nix\/nix\.conf:2: field 4/);
    expect(fromFile.machines).toHaveLength(1);
    const fromFlag = loadMachines(load(files, {}, { builders: "mac - - x" }), world(files));
    expect(fromFlag.problems[0]?.error.message).toMatch(/^--builders:1: field 4/);
    expect(loadMachines(load(files, {}, { builders: "" }), world(files))).toEqual({ machines: [], problems: [] });
  });
});
