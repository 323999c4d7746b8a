// What the executor does with builders of all kinds, in each sandbox it can make here, and beside real Nix.
import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdtempSync, readFileSync, readlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  generateSecretKey,
  parseSecretKey,
  printSecretKey,
  publicKeyOf,
  validSignatures,
} from "../../../../../src/engine/formats/signature.ts";
import type { StorePath } from "../../../../../src/engine/formats/store-path.ts";
import type { EmbeddedStore } from "../../../../../src/engine/stores/embedded/embedded-store.ts";
import { parseLibraries } from "../../../../../src/engine/stores/embedded/executor/sandbox/sandbox-shell.ts";
import { removeTree } from "../../../../../src/engine/stores/embedded/files/remove.ts";
import { realPathOf } from "../../../../../src/engine/stores/embedded/layout.ts";
import type { EmbeddedSettings } from "../../../../../src/engine/stores/embedded/settings.ts";
import { processesWith, until } from "../../../../support/processes.ts";
import { buildDrv, Heard, instantiate, openTestStore, SYSTEM, shellDerivation } from "../support.ts";

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

const sandboxes = ["bwrap", "unshare", "chroot"] as const;

describe.skipIf(!nix).each(sandboxes)("built by %s", (sandboxProgram) => {
  it("outputs are registered with their references, and the log is heard and kept", async () => {
    const store = await openStore({ sandboxProgram });
    const lib = shellDerivation("lib", "echo lib > $out");
    const script = `echo out; echo err >&2; echo direct > /dev/stderr; echo "@nix { \\"action\\": \\"setPhase\\", \\"phase\\": \\"one\\" }" >&2; echo \${lib} $out > $out`;
    const heard = new Heard();
    const drv = drvOf(store, `let lib = ${lib}; in ${shellDerivation("app", script)}`);
    const { result, outputs } = await buildDrv(store, drv, { heard });
    expect([result.status, result.errorMessage]).toEqual(["Built", ""]);
    const info = outputs.get("out")!;
    expect(info.references.map((path) => path.slice(44))).toEqual(expect.arrayContaining(["app", "lib"]));
    expect(info.deriver).toBe(drv);
    expect(info.ultimate).toBe(true);
    expect(heard.lines.filter((line) => !line.startsWith("warning"))).toEqual(["out", "err", "direct"]);
    expect(heard.phases).toEqual(["one"]);
    expect(heard.starts).toBe(1);
    const { notices } = heard;
    if (sandboxProgram !== "chroot") expect(notices).toEqual([]);
    const log = execFileSync("nix-store", ["--store", root, "--read-log", drv], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    expect(log).toContain("out\nerr\ndirect\n@nix");
    expect(
      execFileSync("nix-store", ["--store", root, "--verify", "--check-contents"], {
        stdio: ["ignore", "pipe", "ignore"],
      }).toString(),
    ).toBe("");
    expect((await buildDrv(store, drv)).result.status).toBe("AlreadyValid");
  });

  it("cancelling kills everything the builder has started, also what has left its session", async () => {
    const store = await openStore({ sandboxProgram });
    const mark = `tsbt-${process.pid}-${sandboxProgram}`;
    const sleep = `(exec -a sleep /bin/sh 987.${process.pid})`;
    const script = `: ${mark}; (exec -a setsid /bin/sh sleep 987.${process.pid}) & ${sleep} & ${sleep}`;
    const abort = new AbortController();
    const heard = new Heard();
    const building = buildDrv(store, drvOf(store, shellDerivation("sleeper", script)), { heard, signal: abort.signal });
    building.catch(() => undefined);
    await until("the builder to sleep", () => processesWith(`987.${process.pid}`).length >= 2);
    const start = performance.now();
    abort.abort(new Error("cancelled here"));
    await expect(building).rejects.toThrow("cancelled here");
    await until("its processes to be gone", () => processesWith(`987.${process.pid}`).length === 0);
    expect(performance.now() - start).toBeLessThan(2000);
  });

  it("hard links within an output are fine, those to other files are not", async () => {
    const store = await openStore({ sandboxProgram });
    const own = "(exec -a mkdir /bin/sh $out); echo x > $out/a; (exec -a ln /bin/sh $out/a $out/b)";
    expect((await buildDrv(store, drvOf(store, shellDerivation("own", own)))).result.errorMessage).toBe("");
    const lib = shellDerivation("lib", "echo lib > $out");
    const script = `(exec -a ln /bin/sh \${lib} $out) || exit 9`;
    const foreign = drvOf(store, `let lib = ${lib}; in ${shellDerivation("foreign", script)}`);
    const { result } = await buildDrv(store, foreign);
    // Across mounts there are no hard links at all.
    expect(result.errorMessage).toMatch(/invalid ownership on file|exit code 9$/);
    expect((await store.verify({ checkContents: true })).faults).toEqual([]);
  });

  it("it is said once, and loudly, when there is no sandbox", async () => {
    const store = await openStore({ sandboxProgram });
    const said: string[][] = [];
    for (const name of ["one", "two"]) {
      const heard = new Heard();
      await buildDrv(store, drvOf(store, shellDerivation(name, "echo > $out")), { heard });
      said.push(heard.notices);
    }
    const warning = expect.stringMatching(/^warning: .*unsandboxed/);
    expect(said).toEqual(sandboxProgram === "chroot" ? [[warning], []] : [[], []]);
  });

  it("builders begin in /build, whatever shell is there", async () => {
    const libraries = parseLibraries(execFileSync("ldd", ["/usr/bin/dash"], { encoding: "utf8" }));
    const store = await openStore({ sandboxProgram, sandboxPaths: ["/bin/sh=/usr/bin/dash", ...libraries] });
    const more = 'passed = "by file"; passAsFile = [ "passed" ];';
    const drv = drvOf(
      store,
      shellDerivation("place", "pwd -P > $out; read line < $passedPath; echo $line >> $out", more),
    );
    const { result, outputs } = await buildDrv(store, drv);
    expect(result.errorMessage).toBe("");
    expect(read(store, outputs.get("out")!.path)).toBe("/build\nby file\n");
  });

  it("inputs cannot be changed, and nothing else is there", async () => {
    const store = await openStore({ sandboxProgram });
    const lib = shellDerivation("lib", "echo lib > $out");
    const script = `(echo x > \${lib}) 2>/dev/null && echo written; for f in /nix/store/*; do echo $f; done > $out; for f in /*; do echo $f; done >> $out`;
    const { outputs } = await buildDrv(store, drvOf(store, `let lib = ${lib}; in ${shellDerivation("look", script)}`));
    const lines = read(store, outputs.get("out")!.path).split("\n");
    expect(
      lines
        .filter((line) => line.startsWith("/nix/store/"))
        .map((line) => line.slice(44))
        .sort(),
    ).toEqual(["lib", "look"]);
    expect(lines).toEqual(expect.arrayContaining(["/bin", "/build", "/dev", "/etc", "/nix", "/tmp"]));
    expect(lines).not.toContain("/usr");
    expect((await store.verify({ checkContents: true })).faults).toEqual([]);
  });
});

describe.skipIf(!nix)("beside real Nix", () => {
  it("a builder sees the same world, but for what is listed here", async () => {
    const probe = shellDerivation(
      "probe",
      `
      exec > $out; echo "zero=$0 pid=$$ ppid=$PPID"; set; umask; ulimit -a
      for f in /* /nix/store/* /build/* /etc/* /dev/* /tmp/*; do echo $f; done
      for f in /etc/passwd /etc/group /etc/hosts /proc/self/status /proc/self/personality /proc/net/dev /proc/sys/kernel/hostname; do
        while read l; do echo "$f $l"; done < $f; done
      (exec -a stat /bin/sh -c "%n %a %u %g" / /nix /nix/store /build /tmp /dev/shm); (exec -a id /bin/sh)`,
    );
    const kvm = existsSync("/dev/kvm") ? ["kvm"] : [];
    const store = await openStore({ systemFeatures: kvm });
    const { outputs } = await buildDrv(store, drvOf(store, probe), { options: { cores: 0 } });
    const other = join(root, "other");
    const flags = [
      "--store",
      other,
      "--option",
      "sandbox-paths",
      "/bin/sh=/usr/bin/busybox",
      "--option",
      "build-users-group",
      "",
      "--option",
      "cores",
      String(0),
    ];
    const built = execFileSync("nix-build", [...flags, "--no-out-link", "-E", probe], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
    const ours = read(store, outputs.get("out")!.path).split("\n");
    const theirs = readFileSync(join(other, built), "utf8").split("\n");
    const different = /ctxt_switches|Vm[A-Z]|Rss|SigQ|NIX_BUILD_CORES|Speculation|Mems_allowed/;
    const only = (lines: string[], others: string[]): string[] =>
      lines.filter((line) => !others.includes(line) && !different.test(line));
    expect({ ours: only(ours, theirs), theirs: only(theirs, ours) }).toEqual({
      // bubblewrap adds /dev/core, gives up all capabilities for good, and keeps its root directory in memory.
      ours: ["/dev/core", "/proc/self/status CapBnd:\t0000000000000000", "/ 755 1000 100"],
      theirs: [expect.stringContaining("CapBnd:"), "/ 750 1000 100"],
    });
  });

  it("signs what it builds", async () => {
    const key = generateSecretKey("test-1");
    const store = await openStore({ secretKeys: [printSecretKey(key)] });
    const { outputs } = await buildDrv(store, drvOf(store, shellDerivation("signed", "echo x > $out")));
    const info = outputs.get("out")!;
    const keys = new Map([["test-1", publicKeyOf(parseSecretKey(printSecretKey(key)))]]);
    expect([...validSignatures(info, keys)]).toEqual(["test-1"]);
  });

  it("twenty builds at once keep apart", async () => {
    const store = await openStore();
    const drvs = instantiate(
      store,
      `builtins.genList (i: derivation { name = "many-\${toString i}"; system = "${SYSTEM}"; builder = "/bin/sh";
        args = [ "-c" "echo $name > here; read x < here; echo $x > $out; echo said $name" ]; }) 20`,
    );
    const answers = await Promise.all(
      drvs.map(async (drv) => {
        const heard = new Heard();
        const answer = await buildDrv(store, drv, { heard });
        return { ...answer, heard };
      }),
    );
    for (const [index, { result, outputs, heard }] of answers.entries()) {
      expect(result.errorMessage).toBe("");
      expect(read(store, outputs.get("out")!.path)).toBe(`many-${index}\n`);
      expect(heard.lines).toEqual([`said many-${index}`]);
    }
  });

  it("inputs that are files, symlinks and directories are all there", async () => {
    const store = await openStore();
    const expression = `let
      plain = ${shellDerivation("plain", "echo plain > $out")};
      link = ${shellDerivation("link", `(exec -a ln /bin/sh -s \${plain} $out)`)};
      tree = ${shellDerivation("tree", "(exec -a mkdir /bin/sh $out); echo deep > $out/file")};
    in ${shellDerivation("all", `read a < \${plain}; read b < \${link}; read c < \${tree}/file; echo $a $b $c > $out; (exec -a readlink /bin/sh \${link}) >> $out`)}`;
    const { result, outputs } = await buildDrv(store, drvOf(store, expression));
    expect(result.errorMessage).toBe("");
    const out = outputs.get("out")!;
    const [first, second] = read(store, out.path).split("\n");
    expect(first).toBe("plain plain deep");
    expect(second).toMatch(/-plain$/);
    const link = [...(await store.queryAllValidPaths())].find((path) => path.endsWith("-link"))!;
    expect(lstatSync(realPathOf(store.layout, link)).isSymbolicLink()).toBe(true);
    expect(readlinkSync(realPathOf(store.layout, link))).toBe(second);
  });

  it("sandbox-paths open what they name", async () => {
    const shared = join(root, "shared");
    // Builders are nobody's user, so a directory they shall write to is open to them, as with Nix's build users.
    execFileSync("mkdir", ["-m", "0777", shared]);
    const store = await openStore({ sandboxPaths: ["/bin/sh=/usr/bin/busybox", `/shared=${shared}`, "/missing?"] });
    const { result } = await buildDrv(
      store,
      drvOf(store, shellDerivation("sharing", "echo cached > /shared/file; echo > $out")),
    );
    expect(result.errorMessage).toBe("");
    expect(readFileSync(join(shared, "file"), "utf8")).toBe("cached\n");
    const other = await openStore({ sandboxPaths: ["/bin/sh=/nowhere"] });
    const refused = await buildDrv(other, drvOf(store, shellDerivation("refused", "echo > $out")));
    expect(refused.result.errorMessage).toMatch(/'\/nowhere' does not exist/);
  });
});
