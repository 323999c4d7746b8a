// How builds end: failures with Nix's statuses and words, checks, content-addressed outputs, downloads.
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { StorePath } from "../../../../../src/engine/formats/store-path.ts";
import type { EmbeddedStore } from "../../../../../src/engine/stores/embedded/embedded-store.ts";
import { removeTree } from "../../../../../src/engine/stores/embedded/files/remove.ts";
import { realPathOf } from "../../../../../src/engine/stores/embedded/layout.ts";
import type { EmbeddedSettings } from "../../../../../src/engine/stores/embedded/settings.ts";
import { until } from "../../../../support/processes.ts";
import { buildDrv, Heard, instantiate, openTestStore, shellDerivation } from "../support.ts";

const nix = existsSync("/usr/bin/nix-store");
let root: string;
const open: EmbeddedStore[] = [];

async function openStore(settings: Partial<EmbeddedSettings> = {}): Promise<EmbeddedStore> {
  const store = await openTestStore(root, settings);
  open.push(store);
  return store;
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tsbt-executor-"));
});
afterEach(async () => {
  for (const store of open.splice(0)) await store.close();
  await removeTree(root);
});

function drvOf(store: EmbeddedStore, expression: string): StorePath {
  return instantiate(store, expression)[0]!;
}

function read(store: EmbeddedStore, path: StorePath): string {
  return readFileSync(realPathOf(store.layout, path), "utf8");
}

describe.skipIf(!nix)("a build ends", () => {
  const cases: [string, string, string, object, [string, RegExp]][] = [
    [
      "with the builder's status",
      "exit 3",
      "",
      {},
      ["PermanentFailure", /^builder for '.*-case\.drv' failed with exit code 3$/],
    ],
    [
      "without its output",
      ":",
      "",
      {},
      ["OutputRejected", /^builder for '.*' failed to produce output path for output 'out' at '.*-case'$/],
    ],
    [
      "with a writable output",
      "echo > $out; (exec -a chmod /bin/sh 666 $out)",
      "",
      {},
      [
        "OutputRejected",
        /^suspicious ownership or permission on '.*-case' for output 'out'; rejecting this build output$/,
      ],
    ],
    ["with a pipe as output", "(exec -a mkfifo /bin/sh $out)", "", {}, ["OutputRejected", /has an unsupported type$/]],
    ["after too long", "while :; do :; done", "", { timeout: 1 }, ["TimedOut", /timed out after 1 seconds$/]],
    [
      "after silence",
      "(exec -a sleep /bin/sh 60)",
      "",
      { maxSilentTime: 1 },
      ["TimedOut", /timed out after 1 seconds of silence$/],
    ],
    [
      "with too much to say",
      "while :; do echo line; done",
      "",
      { maxLogSize: 5000n },
      ["LogLimitExceeded", /killed after writing more than 5000 bytes of log output$/],
    ],
    [
      "with a forbidden reference",
      "echo $out > $out",
      "allowedReferences = [ ];",
      {},
      ["OutputRejected", /is not allowed to refer to the following paths:\n {2}\/nix\/store\/.*-case$/],
    ],
    [
      "with outputs that need each other",
      "echo $dev > $out; echo $out > $dev",
      'outputs = [ "out" "dev" ];',
      {},
      ["OutputRejected", /^cycle detected in build of/],
    ],
    [
      "before it began, for want of a feature",
      ":",
      'requiredSystemFeatures = [ "moon" ];',
      {},
      ["MiscFailure", /^a 'x86_64-linux' with features {moon} is required to build/],
    ],
    [
      "with a wrong hash",
      "echo x > $out",
      'outputHash = "0000000000000000000000000000000000000000000000000000"; outputHashAlgo = "sha256";',
      {},
      [
        "OutputRejected",
        /^hash mismatch in fixed-output derivation '.*':\n {2}specified: sha256-AAAA.*=\n {5}got: {4}sha256-.*=$/,
      ],
    ],
    [
      "with references in a recursive fixed output whose hash is wrong, as of Nix 2.34",
      "echo $source > $out",
      'source = builtins.toFile "source" "x"; outputHash = "0000000000000000000000000000000000000000000000000000"; outputHashAlgo = "sha256"; outputHashMode = "recursive";',
      {},
      ["OutputRejected", /^hash mismatch in fixed-output derivation/],
    ],
    [
      "with a flat output that refers to paths, whatever its hash",
      "echo $out > $out",
      'outputHash = "0000000000000000000000000000000000000000000000000000"; outputHashAlgo = "sha256";',
      {},
      [
        "OutputRejected",
        /^fixed output derivation 'case' is not allowed to refer to other store paths, but refers to '\/nix\/store\/.*-case'\./,
      ],
    ],
    [
      "with a failed download",
      "exit 1",
      'outputHash = "0000000000000000000000000000000000000000000000000000"; outputHashAlgo = "sha256";',
      {},
      ["TransientFailure", /failed with exit code 1$/],
    ],
  ];
  it.each(cases)("%s", async (_, script, more, options, [status, message]) => {
    const store = await openStore();
    const { result, outputs } = await buildDrv(store, drvOf(store, shellDerivation("case", script, more)), { options });
    expect([result.status, result.errorMessage]).toEqual([status, expect.stringMatching(message)]);
    expect(outputs.size).toBe(0);
    expect(result.stopTime).toBeGreaterThanOrEqual(result.startTime);
    const left = readdirSync(store.layout.storeDir).filter((name) => !name.endsWith(".drv") && !name.startsWith("."));
    // What is left are lock files of paths that did not become valid, and the content-addressed path with the other hash.
    const sources = more.includes("builtins.toFile") ? 1 : 0;
    expect(left.filter((name) => !name.endsWith(".lock")).length).toBe(
      sources + (/hash mismatch|must not reference/.test(String(message)) ? 1 : 0),
    );
    expect((await store.verify({ checkContents: true })).faults).toEqual([]);
  });

  it("leaving its directory where it is wanted", async () => {
    const store = await openStore();
    const heard = new Heard();
    const drv = drvOf(store, shellDerivation("kept", "echo evidence > clue; exit 1"));
    await buildDrv(store, drv, { heard, options: { keepFailed: true } });
    const [note] = heard.notices;
    const kept = /^note: keeping build directory '(.*)'$/.exec(note!)![1]!;
    expect(kept).toMatch(/nix-build-kept\.drv-0$/);
    expect(readFileSync(join(kept, "clue"), "utf8")).toBe("evidence\n");
  });
});

describe.skipIf(!nix)("checking", () => {
  const unstable =
    "read a b < /proc/uptime; echo $a > $out; echo $a > $dev; echo same > $doc; (exec -a sleep /bin/sh 0.02)";

  it("finds every output that differs, keeps it, and leaves the store as it was", async () => {
    const store = await openStore();
    const drv = drvOf(store, shellDerivation("unstable", unstable, 'outputs = [ "out" "dev" "doc" ];'));
    await expect(buildDrv(store, drv, { mode: "check" })).resolves.toMatchObject({
      result: {
        status: "MiscFailure",
        errorMessage: `some outputs of '${drv}' are not valid, so checking is not possible`,
      },
    });
    const first = await buildDrv(store, drv);
    const { result } = await buildDrv(store, drv, { mode: "check", options: { keepCheck: true } });
    expect([result.status, result.isNonDeterministic]).toEqual(["NotDeterministic", true]);
    const lines = result.errorMessage.split("\n");
    expect(lines).toHaveLength(2);
    for (const line of lines) {
      const [, named, output, check] =
        /^derivation '(.*)' may not be deterministic: output '(.*)' differs from '(.*)'$/.exec(line)!;
      expect(named).toBe(drv);
      expect(check).toBe(`${output}.check`);
      expect(readFileSync(check!, "utf8")).not.toBe(readFileSync(output!, "utf8"));
    }
    expect(await store.queryPathInfos(first.result.builtOutputs.values())).toEqual(
      new Map([...first.outputs.values()].map((info) => [info.path, info])),
    );
    const plain = await buildDrv(store, drv, { mode: "check" });
    expect(plain.result.errorMessage).toMatch(/differs$/m);
    expect((await store.verify({ checkContents: true })).faults).toEqual([]);
  });

  it("is content with the same again", async () => {
    const store = await openStore();
    const drv = drvOf(store, shellDerivation("stable", "echo same > $out"));
    const first = await buildDrv(store, drv);
    const again = await buildDrv(store, drv, { mode: "check" });
    expect(again.result.status).toBe("Built");
    expect(again.outputs).toEqual(first.outputs);
  });

  it("repairs what was damaged", async () => {
    const store = await openStore();
    const drv = drvOf(store, shellDerivation("damaged", "echo right > $out"));
    const { outputs } = await buildDrv(store, drv);
    const real = realPathOf(store.layout, outputs.get("out")!.path);
    await removeTree(real);
    writeFileSync(real, "wrong");
    const repaired = await buildDrv(store, drv, { mode: "repair" });
    expect(repaired.result.status).toBe("Built");
    expect(readFileSync(real, "utf8")).toBe("right\n");
    expect((await store.verify({ checkContents: true })).faults).toEqual([]);
    expect((await buildDrv(store, drv, { mode: "repair" })).result.status).toBe("AlreadyValid");
  });
});

describe.skipIf(!nix)("content-addressed derivations", () => {
  it("get the paths Nix gives them, also where outputs name themselves and each other", async () => {
    const store = await openStore();
    const more =
      'outputs = [ "out" "dev" ]; __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256";';
    const script = "echo one $out two $out > $out; echo $out $dev > $dev";
    const expression = shellDerivation("floating", script, more);
    const drv = drvOf(store, expression);
    const { result, outputs } = await buildDrv(store, drv);
    expect([result.status, result.errorMessage]).toEqual(["Built", ""]);
    const features = ["--extra-experimental-features", "ca-derivations"];
    const other = join(root, "other");
    const flags = [
      ...features,
      "--store",
      other,
      "--option",
      "sandbox-paths",
      "/bin/sh=/usr/bin/busybox",
      "--option",
      "build-users-group",
      "",
    ];
    execFileSync("nix-instantiate", [...features, "--store", other, "-E", expression], { stdio: "ignore" });
    execFileSync("nix-store", [...flags, "--realise", drv], { stdio: "ignore" });
    for (const [name, info] of outputs) {
      expect(existsSync(join(other, info.path)), `${name}: ${info.path}`).toBe(true);
      expect(readFileSync(realPathOf(store.layout, info.path), "utf8")).toBe(
        readFileSync(join(other, info.path), "utf8"),
      );
      expect(info.contentAddress).toMatch(/^fixed:r:sha256:/);
    }
    expect((await store.verify({ checkContents: true })).faults).toEqual([]);
    expect(
      execFileSync("nix-store", ["--store", root, "--verify", "--check-contents"], {
        stdio: ["ignore", "pipe", "ignore"],
      }).toString(),
    ).toBe("");
  });

  it("of promised contents are kept under their own hash, flat and recursive", async () => {
    const store = await openStore();
    const sha = "a0b0d9c6ecb4e0d3ae0bb1b39bbb7d8ae0e1d6bd"; // of nothing in particular: it must not fit
    const right = execFileSync("sh", ["-c", "echo right | sha1sum"], { encoding: "utf8" }).split(" ")[0]!;
    const flat = (hash: string): string =>
      shellDerivation(
        "flat",
        "echo right > $out; echo $NIX_OUTPUT_CHECKED",
        `outputHash = "${hash}"; outputHashAlgo = "sha1";`,
      );
    const heard = new Heard();
    const { result } = await buildDrv(store, drvOf(store, flat(right)), { heard });
    expect([result.status, heard.lines]).toEqual(["Built", ["1"]]);
    expect((await buildDrv(store, drvOf(store, flat(sha)))).result.status).toBe("OutputRejected");
  });
});

describe.skipIf(!nix)("the network", () => {
  it("takes no file of this machine along, and nothing with a wrong hash", async () => {
    const hash = execFileSync("sh", ["-c", "printf secret | sha256sum"], { encoding: "utf8" }).split(" ")[0]!;
    const opened = join(root, "opened");
    mkdirSync(opened);
    writeFileSync(join(opened, "file"), "secret");
    const fetched = (name: string, url: string, sha256: string): string =>
      `derivation { name = "${name}"; system = "builtin"; builder = "builtin:fetchurl"; url = "${url}"; outputHashMode = "flat"; outputHash = "${sha256}"; outputHashAlgo = "sha256"; }`;
    const server = createServer((request, response) => {
      if (request.url === "/away") response.writeHead(302, { location: `file://${opened}/file` }).end();
      else response.end("wrong");
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      const store = await openStore();
      for (const [name, url, said] of [
        ["closed", `file://${opened}/file`, /fetched only below what 'sandbox-paths' names/],
        ["redirected", `${address}/away`, /expected http:\/\/ or https:\/\/, found 'file:'/],
        ["other", "ftp://127.0.0.1/file", /expected http:\/\/ or https:\/\/, found 'ftp:'/],
      ] as const) {
        const heard = new Heard();
        const { result } = await buildDrv(store, drvOf(store, fetched(name, url, hash)), { heard });
        expect(result.errorMessage, name).toMatch(/failed with exit code 1$/);
        expect(heard.lines.join("\n"), name).toMatch(said);
      }
      const wrong = await buildDrv(store, drvOf(store, fetched("wrong", `${address}/file`, hash)));
      expect(wrong.result.errorMessage).toMatch(/^hash mismatch in fixed-output derivation/);
      expect((await store.queryAllValidPaths()).filter((path) => !path.endsWith(".drv"))).toEqual([]);
      const files = readdirSync(store.layout.storeDir).filter((name) => !/^\.|\.(?:drv|lock)$/.test(name));
      expect(files).toEqual([]);
      const other = await openStore({ sandboxPaths: [`/cache=${opened}`] });
      const allowed = await buildDrv(other, drvOf(other, fetched("allowed", "file:///cache/file", hash)));
      expect([allowed.result.status, allowed.result.errorMessage]).toEqual(["Built", ""]);
    } finally {
      server.close();
    }
  });

  it("gives nobody a descriptor of what is registered", async () => {
    const meeting = join(root, "meeting");
    mkdirSync(meeting);
    chmodSync(meeting, 0o777);
    const store = await openStore({ sandboxPaths: [`/meeting=${meeting}`] });
    const hash = execFileSync("sh", ["-c", "echo right | sha256sum"], { encoding: "utf8" }).split(" ")[0]!;
    const script = `: meeting-${process.pid}; echo right > $out; echo > /meeting/written; until [ -e /meeting/taken ]; do :; done`;
    const drv = drvOf(store, shellDerivation("handed", script, `outputHash = "${hash}"; outputHashAlgo = "sha256";`));
    const building = buildDrv(store, drv);
    await until("the output to be written", () => existsSync(join(meeting, "written")));
    // What a builder hands out through an abstract socket, this test takes by itself.
    const work = join(root, "nix/var/nix/tsbuild-top");
    const output = execFileSync("find", [work, "-type", "f", "-name", "*-handed"], { encoding: "utf8" }).trim();
    const descriptor = openSync(output, "r+");
    try {
      writeFileSync(join(meeting, "taken"), "");
      const { result, outputs } = await building;
      expect([result.status, result.errorMessage]).toEqual(["Built", ""]);
      writeSync(descriptor, "wrong", 0);
      expect(read(store, outputs.get("out")!.path)).toBe("right\n");
      expect((await store.verify({ checkContents: true })).faults).toEqual([]);
    } finally {
      closeSync(descriptor);
    }
  });

  it("is there for fixed outputs and builtin:fetchurl, and for nobody else", async () => {
    const server = createServer((request, response) => {
      if (request.url === "/moved") response.writeHead(302, { location: "/file" }).end();
      else if (request.url === "/file") response.end("contents\n");
      else response.writeHead(404).end();
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const hash = execFileSync("sh", ["-c", "printf 'contents\\n' | sha256sum"], { encoding: "utf8" }).split(" ")[0]!;
    try {
      const store = await openStore();
      const wget = `(exec -a wget /bin/sh -q -O $out ${address}/file) || exit 7`;
      const closed = await buildDrv(store, drvOf(store, shellDerivation("closed", wget)));
      expect(closed.result.errorMessage).toMatch(/exit code 7$/);
      const fixed = `outputHash = "${hash}"; outputHashAlgo = "sha256";`;
      expect((await buildDrv(store, drvOf(store, shellDerivation("open", wget, fixed)))).result.status).toBe("Built");
      const fetched = (path: string, more = ""): string =>
        `derivation { name = "fetched"; system = "builtin"; builder = "builtin:fetchurl"; url = "${address}${path}"; outputHashMode = "flat"; ${fixed} ${more} }`;
      const plain = await buildDrv(store, drvOf(store, fetched("/moved")));
      expect([plain.result.status, plain.result.errorMessage]).toEqual(["Built", ""]);
      expect(read(store, plain.outputs.get("out")!.path)).toBe("contents\n");
      const heard = new Heard();
      const missing = await buildDrv(
        store,
        drvOf(store, fetched("/nothing", 'x = "y";').replace('"fetched"', '"missing"')),
        { heard },
      );
      expect(missing.result.status).toBe("TransientFailure");
      expect(heard.lines).toEqual([`error: unable to download '${address}/nothing': HTTP error 404`]);
    } finally {
      server.close();
    }
  });
});
