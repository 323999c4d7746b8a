import { describe, expect, it, vi } from "vitest";
import type { BuildInvocation, Invocation } from "../../bin/invocation.ts";
import { parseCommandLine } from "../../bin/options.ts";
import { suggest } from "../../bin/suggest.ts";
import { SETTING_ROWS } from "../../src/engine/config/settings.ts";

function parse(...argv: string[]): Invocation {
  return parseCommandLine(argv, "1.2.3");
}

function build(...argv: string[]): BuildInvocation {
  const invocation = parse(...argv);
  if (invocation.type !== "build") throw new Error(`expected a build, found ${invocation.type}`);
  return invocation;
}

function settings(...argv: string[]): Record<string, string> {
  return Object.fromEntries(build(...argv).settingsOverrides);
}

describe("build", () => {
  it("without anything builds what lies here", () => {
    expect(build()).toEqual({
      type: "build",
      settingsOverrides: new Map(),
      verbosity: 0,
      color: "auto",
      ui: "auto",
      logFormat: null,
      json: false,
      record: null,
      report: null,
      explain: false,
      dryRun: false,
      check: "no",
      diffoscope: false,
      uploadTo: null,
      addRoot: null,
      installables: { words: [], file: null, expression: null, attributes: [] },
      evaluation: { arguments: [], lookupPath: [], showTrace: false, flakeFlags: [] },
      outLink: "result",
      profile: null,
    });
    expect(build("build")).toEqual(build());
  });

  it.each([
    [["-A", "x"], { words: [], attributes: ["x"] }],
    [["./x.nix"], { words: ["./x.nix"] }],
    [["build", "./x.nix", "-A", "a", "--attr", "b", "--attr=c"], { words: ["./x.nix"], attributes: ["a", "b", "c"] }],
    [["-j4", "build", "x.nix"], { words: ["x.nix"] }],
    [["-A", "build", "demo.nix"], { words: ["demo.nix"], attributes: ["build"] }],
    [["x.nix", "build"], { words: ["x.nix", "build"] }],
    [["(with import <nixpkgs> {}; hello)"], { words: ["(with import <nixpkgs> {}; hello)"] }],
    [["-f", "x.nix", "hello"], { file: "x.nix", words: ["hello"] }],
    [["-E", "import ./.", "-A", "a"], { expression: "import ./.", attributes: ["a"] }],
    [["--", "-x", "build"], { words: ["-x", "build"] }],
    [["-E", "--weird"], { expression: "--weird" }],
  ])("finds the installables in %j", (argv, expected) => {
    expect(build(...argv).installables).toMatchObject(expected);
  });

  it("takes the manual's own command line", () => {
    const invocation = build(
      "build",
      '(with import <nixpkgs> { system = "x86_64-darwin"; }; runCommand "foo" {} "uname > $out")',
      "--builders",
      "ssh://mac x86_64-darwin",
    );
    expect(invocation.settingsOverrides.get("builders")).toBe("ssh://mac x86_64-darwin");
    expect(invocation.installables.words).toHaveLength(1);
  });

  it.each([
    [["-j4"], { "max-jobs": "4" }],
    [["-j", "auto"], { "max-jobs": "auto" }],
    [["--max-jobs=0"], { "max-jobs": "0" }],
    [["--max-jobs", "0", "--cores", "2"], { "max-jobs": "0", cores: "2" }],
    [["-Kk"], { "keep-failed": "true", "keep-going": "true" }],
    [["-kj4"], { "keep-going": "true", "max-jobs": "4" }],
    [["-L"], { "print-build-logs": "true" }],
    [["-Q"], { "print-build-logs": "false" }],
    [["--option", "cores", "3"], { cores: "3" }],
    [["--option", "sandbox-paths", "/a b=c --x"], { "sandbox-paths": "/a b=c --x" }],
    [
      ["--fallback", "--timeout", "5", "--max-silent-time", "6"],
      { fallback: "true", timeout: "5", "max-silent-time": "6" },
    ],
    [["--store", "./my-nix", "--substituters", "a b"], { store: "./my-nix", substituters: "a b" }],
    [
      ["--repeat", "2", "--rounds-on", "other", "--policy", "nix"],
      { repeat: "2", "rounds-on": "other", policy: "nix" },
    ],
    [["--no-build-hook"], { builders: "" }],
    [["--offline"], { substitute: "false" }],
    [["--builders-use-substitutes", "--no-substitute"], { "builders-use-substitutes": "true", substitute: "false" }],
    [["--relaxed-sandbox"], { sandbox: "relaxed" }],
    [
      ["--post-build-hook", "/h", "--post-build-hook-mode", "queued"],
      { "post-build-hook": "/h", "post-build-hook-mode": "queued" },
    ],
    [["-j", "1", "--option", "max-jobs", "2"], { "max-jobs": "2" }],
    [["--option", "wat", "1"], { wat: "1" }],
  ])("turns %j into settings", (argv, expected) => {
    expect(settings(...argv)).toEqual(expected);
  });

  it("keeps the order in which extra- settings count", () => {
    const order = (...argv: string[]) => [...build(...argv).settingsOverrides];
    expect(order("--extra-substituters", "a", "--extra-substituters", "b")).toEqual([["extra-substituters", "a b"]]);
    expect(order("--option", "extra-substituters", "a", "--substituters", "b")).toEqual([["substituters", "b"]]);
    expect(order("--substituters", "b", "--extra-substituters", "c")).toEqual([
      ["substituters", "b"],
      ["extra-substituters", "c"],
    ]);
    expect(order("--extra-platforms", "a", "--extra-platforms", "b")).toEqual([["extra-platforms", "b"]]);
  });

  it("offers every setting as a flag", () => {
    for (const [name, { kind }] of SETTING_ROWS) {
      if (name === "sandbox" || name === "policy" || name === "rounds-on" || name === "print-build-logs") continue;
      expect(settings(...(kind.isSwitch ? [`--${name}`] : [`--${name}`, "7"])), name).toEqual({
        [name]: kind.isSwitch ? "true" : "7",
      });
    }
  });

  it("passes on what evaluation needs, in order", () => {
    const { evaluation } = build(
      "--arg",
      "a",
      "{ x = 1; }",
      "--argstr",
      "b",
      "--dashes",
      "-I",
      "nixpkgs=/n",
      "-I/p",
      "--show-trace",
      "--impure",
      "--override-input",
      "n",
      "path:/x",
    );
    expect(evaluation).toEqual({
      arguments: [
        { type: "expression", name: "a", value: "{ x = 1; }" },
        { type: "text", name: "b", value: "--dashes" },
      ],
      lookupPath: ["nixpkgs=/n", "/p"],
      showTrace: true,
      flakeFlags: ["--impure", "--override-input", "n", "path:/x"],
    });
  });

  it("knows the flags of a build", () => {
    expect(
      build(
        "--dry-run",
        "--no-out-link",
        "--json",
        "--explain",
        "--record",
        "r",
        "--report",
        "p",
        "--upload-to",
        "s3://b",
        "--add-root",
        "g",
        "--diffoscope",
      ),
    ).toMatchObject({
      dryRun: true,
      outLink: null,
      json: true,
      explain: true,
      record: "r",
      report: "p",
      uploadTo: "s3://b",
      addRoot: "g",
      diffoscope: true,
    });
    expect([build("-o", "out").outLink, build("--out-link=x").outLink, build("--no-link").outLink]).toEqual([
      "out",
      "x",
      null,
    ]);
    expect([
      build("--check").check,
      build("--rebuild").check,
      build("check").check,
      build("check", "--build-missing").check,
    ]).toEqual(["valid", "valid", "valid", "build"]);
  });

  it("counts how much to say", () => {
    expect([
      build("-v").verbosity,
      build("-vv").verbosity,
      build("-v", "--verbose", "-vL").verbosity,
      build("--debug").verbosity,
    ]).toEqual([1, 2, 3, 4]);
    expect([build("--quiet").ui, build("--quiet", "--ui", "plain").ui, build("--ui=json").ui]).toEqual([
      "quiet",
      "plain",
      "json",
    ]);
    expect([build("--no-color").color, build("--log-format", "bar-with-logs").logFormat]).toEqual([
      "never",
      "bar-with-logs",
    ]);
  });
});

describe("the other commands", () => {
  it.each([
    [["builders", "--json"], { type: "builders", json: true }],
    [["builders", "--builders", "@/m"], { type: "builders", settingsOverrides: new Map([["builders", "@/m"]]) }],
    [
      ["ping-store", "--store", "ssh://mac?ssh-key=/home/alice/my-key"],
      { type: "ping-store", settingsOverrides: new Map([["store", "ssh://mac?ssh-key=/home/alice/my-key"]]) },
    ],
    [["--store", "x", "ping-store"], { type: "ping-store", settingsOverrides: new Map([["store", "x"]]) }],
    [
      ["copy", "--to", "s3://b", "/nix/store/x", "-A", "y"],
      {
        type: "copy",
        from: null,
        to: "s3://b",
        recursive: true,
        checkSignatures: true,
        installables: { words: ["/nix/store/x"], attributes: ["y"] },
      },
    ],
    [
      ["copy", "--from", "a", "--all", "--no-check-sigs", "--no-recursive", "-s"],
      { from: "a", all: true, checkSignatures: false, recursive: false, substituteOnDestination: true },
    ],
    [["realise", "/a", "/b", "--add-root", "r", "-j0"], { type: "realise", paths: ["/a", "/b"], addRoot: "r" }],
    [["realize", "/a"], { type: "realise" }],
    [["delete", "/a", "--ignore-liveness"], { type: "delete", paths: ["/a"], ignoreLiveness: true }],
    [["gc", "--store", "/r"], { type: "gc", task: { type: "delete", maxFreed: null } }],
    [["gc", "--max-freed", "2K"], { task: { type: "delete", maxFreed: 2048n } }],
    [["gc", "--print-roots"], { task: { type: "printRoots" } }],
    [["gc", "--print-live"], { task: { type: "printLive" } }],
    [["gc", "--dry-run"], { task: { type: "printDead" } }],
    [["log", ".#x"], { type: "log", installables: { words: [".#x"] } }],
    [
      ["sign-paths", "--key-file", "/k", "/a", "-r"],
      { type: "sign-paths", keyFile: "/k", paths: ["/a"], recursive: true, all: false },
    ],
    [["generate-binary-cache-key", "n-1", "s", "p"], { name: "n-1", secretKeyFile: "s", publicKeyFile: "p" }],
    [["verify"], { type: "verify", paths: [], checkContents: true, checkTrust: true, sigsNeeded: null }],
    [
      ["verify", "-r", "/a", "--no-contents", "--no-trust", "-n", "2"],
      { paths: ["/a"], recursive: true, checkContents: false, checkTrust: false, sigsNeeded: 2 },
    ],
    [["serve", "--stdio", "--store", "/r"], { type: "serve", protocol: { type: "worker" } }],
    [["serve", "--serve", "--write"], { protocol: { type: "serve", write: true } }],
    [["serve", "--serve"], { protocol: { type: "serve", write: false } }],
    [
      ["replay", "run.jsonl", "--speed", "2.5", "--ui", "board"],
      { type: "replay", file: "run.jsonl", speed: 2.5, ui: "board" },
    ],
    [["replay", "run.jsonl", "--speed", "max"], { speed: Number.POSITIVE_INFINITY }],
    [["demo", "--ui", "plain"], { type: "demo", ui: "plain" }],
  ])("%j", (argv, expected) => {
    expect(parse(...argv)).toMatchObject(expected);
  });
});

describe("help", () => {
  it("is text, wherever it is asked for", () => {
    expect(parse("--version")).toEqual({ type: "help", text: "tsbuild-top 1.2.3" });
    for (const argv of [["--help"], ["-h"], ["help"], ["help", "nonsense"]]) {
      const { text } = parse(...argv) as { text: string };
      expect(text).toMatch(/^Usage: tsbuild-top \[build\] \[installables\.\.\.\]/);
      for (const command of ["build", "check", "builders", "ping-store", "demo"])
        expect(text).toContain(`\n  ${command} `);
      expect(text).not.toMatch(/gateway/);
    }
    for (const argv of [
      ["build", "--help"],
      ["help", "build"],
      ["-j4", "build", "x", "-h"],
    ]) {
      const { text } = parse(...argv) as { text: string };
      expect(text).toMatch(/^Usage: tsbuild-top build \[installables\.\.\.\] \[flags\]/);
      expect(text).toMatch(/-j, --max-jobs <number>/);
      expect(text).toMatch(/--arg <name> <expression>/);
      expect(text).toMatch(/--option <name> <value>/);
      expect(text).not.toContain("--narinfo-cache");
    }
  });

  it("is no flag behind '--'", () => {
    expect(build("--", "--help").installables.words).toEqual(["--help"]);
  });
});

describe("bad usage", () => {
  it.each([
    [["--kep-going"], "USAGE_UNKNOWN_FLAG", "unrecognised flag '--kep-going'", "did you mean '--keep-going'?"],
    [["--builder=x"], "USAGE_UNKNOWN_FLAG", "unrecognised flag '--builder'", "--builders"],
    [["-Z"], "USAGE_UNKNOWN_FLAG", "unrecognised flag '-Z'", "--help"],
    [["ping-store", "--attr", "x"], "USAGE_UNKNOWN_FLAG", "unrecognised flag '--attr'", "ping-store --help"],
    [["biuld"], "USAGE_UNKNOWN_COMMAND", "'biuld' is not a command", "did you mean 'build'?"],
    [["ping-stor", "--store", "x"], "USAGE_UNKNOWN_COMMAND", "ping-stor", "'ping-store'"],
    [["-j"], "USAGE_MISSING_ARGUMENT", "flag '-j' requires an argument", ""],
    [["--option", "cores"], "USAGE_MISSING_ARGUMENT", "flag '--option' requires 2 arguments", ""],
    [["--argstr"], "USAGE_MISSING_ARGUMENT", "flag '--argstr' requires 2 arguments", ""],
    [
      ["--ui", "bord"],
      "USAGE_BAD_VALUE",
      "expected auto, board, plain, json, internal-json, quiet, found 'bord'",
      "did you mean 'board'?",
    ],
    [["--rounds-on", "mars"], "USAGE_BAD_VALUE", "expected any, same, other", ""],
    [["--build-missing"], "USAGE_NEEDS_FLAG", "--check", ""],
    [["serve"], "USAGE_SERVE_HOW", "found neither", "--stdio"],
    [["serve", "--stdio", "--serve"], "USAGE_SERVE_HOW", "found both", ""],
    [["gc", "--print-dead", "--print-live"], "USAGE_FLAGS_CLASH", "--print-live and --print-dead, found both", ""],
    [["gc", "--print-dead", "--max-freed", "1"], "USAGE_FLAGS_CLASH", "--print-dead and --max-freed", ""],
    [["gc", "--max-freed", "much"], "USAGE_BAD_VALUE", "expected a number of bytes, found 'much'", "10G"],
    [["copy", "x"], "USAGE_MISSING_FLAG", "--to URI", ""],
    [["sign-paths", "/a"], "USAGE_MISSING_FLAG", "--key-file", ""],
    [["sign-paths", "--key-file", "/k"], "USAGE_MISSING_OPERAND", "--all", ""],
    [
      ["generate-binary-cache-key", "a", "b"],
      "USAGE_MISSING_OPERAND",
      "<key-name> <secret-key-file> <public-key-file>",
      "",
    ],
    [["realise"], "USAGE_MISSING_OPERAND", "<paths...>", ""],
    [["replay", "a", "b"], "USAGE_TOO_MANY_OPERANDS", "<file>", ""],
    [["builders", "x"], "USAGE_TOO_MANY_OPERANDS", "expected flags only", ""],
    [["replay", "a", "--speed", "0"], "USAGE_BAD_VALUE", "above 0", ""],
    [["verify", "-n", "few"], "USAGE_BAD_VALUE", "--sigs-needed", ""],
    [["--quiet=yes"], "USAGE_UNKNOWN_FLAG", "--quiet", ""],
  ])("%j says what is wrong and what was meant", (argv, code, message, hint) => {
    expect(() => parse(...argv)).toThrow(
      expect.objectContaining({
        family: "usage",
        code,
        message: expect.stringContaining(message),
        hint: expect.stringContaining(hint),
      }),
    );
  });

  it("never writes and never exits by itself", () => {
    const writes = [vi.spyOn(process.stdout, "write"), vi.spyOn(process.stderr, "write")];
    const exit = vi.spyOn(process, "exit").mockImplementation(() => {
      throw new Error("exited");
    });
    try {
      for (const argv of [["--help"], ["--version"], ["build", "--help"], ["help"]]) parse(...argv);
      for (const argv of [["--nope"], ["biuld"], ["-j"], ["replay"], ["--ui", "x"]])
        expect(() => parse(...argv)).toThrow();
      for (const write of writes) expect(write).not.toHaveBeenCalled();
      expect(exit).not.toHaveBeenCalled();
    } finally {
      vi.restoreAllMocks();
    }
  });
});

describe("suggestions", () => {
  it("are near, or none", () => {
    const words = ["build", "builders", "demo"];
    expect([
      suggest("biuld", words),
      suggest("dmeo", words),
      suggest("builder", words),
      suggest("hello", words),
      suggest("x", words),
    ]).toEqual(["build", "demo", "builders", null, null]);
  });
});
