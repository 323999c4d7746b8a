import { describe, expect, it } from "vitest";
import { type ByteString, byteStringOf } from "../../../../../../src/engine/formats/byte-string.ts";
import { parseStorePath } from "../../../../../../src/engine/formats/store-path.ts";
import {
  buildIds,
  idsInOrder,
  isNobodys,
} from "../../../../../../src/engine/stores/embedded/executor/process/build-users.ts";
import { probeCapability, type Try } from "../../../../../../src/engine/stores/embedded/executor/sandbox/capability.ts";
import {
  bubblewrapCommand,
  fitsBubblewrap,
} from "../../../../../../src/engine/stores/embedded/executor/sandbox/sandbox-bwrap.ts";
import { chrootCommand } from "../../../../../../src/engine/stores/embedded/executor/sandbox/sandbox-chroot.ts";
import {
  namesShell,
  parseSandboxPath,
} from "../../../../../../src/engine/stores/embedded/executor/sandbox/sandbox-paths.ts";
import {
  namedCommand,
  type SandboxPlan,
} from "../../../../../../src/engine/stores/embedded/executor/sandbox/sandbox-plan.ts";
import {
  isStaticElf,
  parseLibraries,
} from "../../../../../../src/engine/stores/embedded/executor/sandbox/sandbox-shell.ts";
import { startScript } from "../../../../../../src/engine/stores/embedded/executor/sandbox/sandbox-start.ts";
import { unshareCommand } from "../../../../../../src/engine/stores/embedded/executor/sandbox/sandbox-unshare.ts";
import { seccompFilter } from "../../../../../../src/engine/stores/embedded/executor/sandbox/seccomp.ts";

const input = parseStorePath("/nix/store/00000000000000000000000000000000-in");
const plan: SandboxPlan = {
  scratch: { dir: "/b/w", store: "/b/w/store", build: "/b/w/build", tmp: "/b/w/tmp", root: "/b/w/root" },
  etc: "/b/w/etc",
  inputs: [{ path: input, real: `/root/it's${input}` }],
  mounts: [
    { target: "/bin/sh", source: "/usr/bin/busybox", writable: false },
    { target: "/cache", source: "/var/cache", writable: true },
  ],
  network: false,
  variables: new Map([["a" as ByteString, "\xff 'x'" as ByteString]]),
  builder: "/nix/store/x/bin/bash",
  args: ["-e", "it's"],
  busyboxShell: true,
  starter: "/usr/bin/busybox",
  uid: null,
  strayDescriptors: [40],
  logPipe: "/b/w/log",
  shmSize: "50%",
  maxProcesses: 0,
};

const alone: SandboxPlan = { ...plan, starter: null };

function optionsOf(of: SandboxPlan, setsName = false): string[] {
  const { inputs } = bubblewrapCommand({ program: "bwrap", setsName, filter: null }, of);
  return textOf(inputs.at(-1)).split("\0");
}

function textOf(bytes: Uint8Array | null | undefined): string {
  return Buffer.from(bytes ?? []).toString("latin1");
}

describe("bubblewrap", () => {
  it("mounts the inputs read-only and passes variables byte by byte, by itself only where there is no starter", () => {
    expect(optionsOf(plan)).not.toContain("--setenv");
    const text = optionsOf(alone).join(" ");
    expect(text).toContain("--unshare-net");
    expect(text).toContain(`--ro-bind /root/it's${input} ${input}`);
    expect(text).toContain("--bind /b/w/store /nix/store");
    expect(text).toContain("--dev-bind /var/cache /cache");
    expect(text).toContain("--setenv a \xff 'x'");
    expect(text).toContain("--die-with-parent");
  });

  it("leaves the network to builders whose output is checked", () => {
    expect(optionsOf({ ...plan, network: true })).not.toContain("--unshare-net");
  });

  it("names the builder as Nix does, by the starter, by itself or through the shell", () => {
    expect(textOf(bubblewrapCommand({ program: "bwrap", setsName: true, filter: null }, plan).start)).toContain(
      "exec -a 'bash' '/nix/store/x/bin/bash' '-e' 'it'\\''s'",
    );
    expect(optionsOf(alone, true)).toContain("--argv0");
    expect(bubblewrapCommand({ program: "bwrap", setsName: true, filter: null }, alone).args).toEqual([
      ...["--args", "3", "--", "/nix/store/x/bin/bash", "-e", "it's"],
    ]);
    expect(namedCommand(plan).slice(3)).toEqual(["bash", "/nix/store/x/bin/bash", "-e", "it's"]);
  });

  it("does without the name where the shell would lose a variable", () => {
    const odd = { ...plan, variables: new Map([["a-b" as ByteString, byteStringOf("1")]]) };
    expect(namedCommand(odd)).toEqual(["/nix/store/x/bin/bash", "-e", "it's"]);
    expect(namedCommand({ ...plan, busyboxShell: false })[0]).toBe("/nix/store/x/bin/bash");
  });

  it("is not asked for more than it takes: many inputs are gathered before", () => {
    const many = { ...plan, inputs: Array.from({ length: 3000 }, () => plan.inputs[0]!) };
    expect([fitsBubblewrap(plan), fitsBubblewrap(many)]).toEqual([true, false]);
    const { program, args, inputs } = bubblewrapCommand({ program: "bwrap", setsName: false, filter: null }, many);
    expect([program, args.slice(0, 3)]).toEqual(["unshare", ["--user", "--map-root-user", "--mount"]]);
    expect(textOf(inputs[0])).toContain(`bindro '/root/it'\\''s${input}' '/b/w/store/${input.slice(11)}'`);
    expect(textOf(inputs[1])).not.toContain(input);
  });

  it("is not asked for more variables than it takes, if nothing else can set them", () => {
    const variables = new Map(
      Array.from({ length: 3000 }, (_, index) => [byteStringOf(`v${index}`), byteStringOf("")]),
    );
    const bubblewrap = { program: "bwrap", setsName: false, filter: null };
    expect(textOf(bubblewrapCommand(bubblewrap, { ...plan, variables }).start)).toContain("'v2999='");
    expect(() => bubblewrapCommand(bubblewrap, { ...alone, variables })).toThrow(/3000 variables/);
  });

  it("runs as the build's user, who sees the host's paths only where they were gathered", () => {
    const { args, inputs } = bubblewrapCommand(
      { program: "bwrap", setsName: false, filter: null },
      { ...plan, uid: 77 },
    );
    expect(args.slice(0, 2)).toEqual(["--mount", "--propagation"]);
    expect(textOf(inputs[0])).toMatch(
      /exec 'setpriv' '--reuid=77' '--regid=77' '--clear-groups' '--no-new-privs' .* 'bwrap' '--args' '4'/,
    );
    expect(textOf(inputs[1])).not.toMatch(/\/b\/w\/|\/root\/it/);
  });
});

describe("the filter of system calls", () => {
  /** Runs a classic BPF program as the kernel does, on (number, architecture, arguments). */
  function verdict(filter: Uint8Array, number: number, architecture: number, args: readonly number[]): number {
    const program = Buffer.from(filter);
    const data = Buffer.alloc(64);
    data.writeUInt32LE(number >>> 0, 0);
    data.writeUInt32LE(architecture >>> 0, 4);
    for (const [index, value] of args.entries()) data.writeUInt32LE(value, 16 + 8 * index);
    let accumulator = 0;
    for (let at = 0; at < program.length / 8; at++) {
      const code = program.readUInt16LE(at * 8);
      const value = program.readUInt32LE(at * 8 + 4);
      const jump = (yes: boolean): number => program.readUInt8(at * 8 + (yes ? 2 : 3));
      if (code === 0x20) accumulator = data.readUInt32LE(value);
      else if (code === 0x54) accumulator = (accumulator & value) >>> 0;
      else if (code === 0x15) at += jump(accumulator === value);
      else if (code === 0x45) at += jump((accumulator & value) !== 0);
      else if (code === 0x06) return value;
      else throw new Error(`instruction ${code}`);
    }
    throw new Error("no verdict");
  }
  const allow = 0x7fff_0000;
  const eperm = 0x0005_0001;
  const enotsup = 0x0005_005f;

  it("forbids setuid bits, extended attributes and keyrings, and nothing else", () => {
    const filter = seccompFilter("x64")!;
    const x64 = (number: number, ...args: number[]): number => verdict(filter, number, 0xc000_003e, args);
    expect([x64(90, 0, 0o755), x64(90, 0, 0o4755), x64(91, 3, 0o2755), x64(268, 0, 0, 0o6755)]).toEqual([
      ...[allow, eperm, eperm, eperm],
    ]);
    expect([x64(268, 0, 0o6755, 0o755), x64(452, 0, 0, 0o4000), x64(188), x64(190), x64(1), x64(0)]).toEqual([
      ...[allow, eperm, enotsup, enotsup, allow, allow],
    ]);
    expect([x64(248), x64(249), x64(250), x64(251)]).toEqual([0x0005_0026, 0x0005_0026, 0x0005_0026, allow]);
    expect(x64(90 | 0x4000_0000, 0, 0o4755)).toBe(eperm);
    expect(verdict(filter, 15, 0x4000_0003, [0, 0o4755])).toBe(eperm);
    expect(verdict(filter, 90, 0x4000_0003, [0, 0o4755])).toBe(allow);
    expect(verdict(filter, 90, 0xdead_beef, [0, 0o4755])).toBe(allow);
    const arm = seccompFilter("arm64")!;
    expect(verdict(arm, 53, 0xc000_00b7, [0, 0, 0o4755])).toBe(eperm);
    expect(verdict(arm, 5, 0xc000_00b7, [])).toBe(enotsup);
    expect(seccompFilter("riscv64")).toBeNull();
  });
});

describe("unshare", () => {
  it("quotes everything for its script", () => {
    const { args, inputs, start } = unshareCommand(plan);
    expect(args).toContain("--net");
    const script = Buffer.from(inputs[0]!).toString("latin1");
    expect(script).toContain(`bindro '/root/it'\\''s${input}' '.${input}'`);
    expect(script).not.toContain("\xff");
    expect(textOf(start)).toContain("export 'a=\xff '\\''x'\\'''");
    expect(script).toContain("bind '/var/cache' './cache'");
  });

  it("refuses variables that would reach the host's loader, where nothing sets them inside", () => {
    const having = (name: string, value: string): SandboxPlan => ({
      ...plan,
      variables: new Map([[byteStringOf(name), byteStringOf(value)]]),
    });
    for (const [name, value] of [
      ["LD_PRELOAD", "/evil.so"],
      ["GCONV_PATH", "."],
      ["LANGUAGE", "../../evil"],
      ["LC_ALL", "/tmp/evil"],
    ] as const) {
      expect(() => unshareCommand({ ...having(name, value), starter: null }), name).toThrow(name);
      expect(textOf(unshareCommand(having(name, value)).inputs[0]), name).not.toContain(name);
    }
    expect(textOf(unshareCommand({ ...having("LC_ALL", "C.UTF-8"), starter: null }).inputs[0])).toContain("LC_ALL=C");
  });

  it("has the build's user mount nothing and become root of nothing", () => {
    const { args, inputs } = unshareCommand({ ...plan, uid: 77 });
    expect(args).not.toContain("--user");
    expect(textOf(inputs[0])).toMatch(/exec 'setpriv' '--reuid=77' .* 'unshare' '--user' '--map-user=1000'/);
  });
});

describe("the starter", () => {
  it("closes every descriptor but the first three, also those the program was started with", () => {
    const script = textOf(startScript(plan, false));
    expect(script).toContain("exec 0<&9 1>&8 2>&8\nexec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- 40>&-\n");
    expect(script).toContain("umask 022");
  });

  it("sets by env what the shell cannot have as variables", () => {
    const odd = { ...plan, variables: new Map([[byteStringOf("a-b"), byteStringOf("1")]]) };
    expect(textOf(startScript(odd, false))).toContain(`exec -a env "$0" -i 'a-b=1' '/nix/store/x/bin/bash' '-e'`);
  });
});

describe("build users", () => {
  it("are there where this process can become someone else", () => {
    expect(buildIds(false, "0 0 4294967295")).toBeNull();
    expect(buildIds(true, "         0          0 4294967295\n")).toEqual({ first: 889_192_448, count: 4096 });
    expect(buildIds(true, "0 100000 65536\n")).toEqual({ first: 60_706, count: 478 });
    expect(buildIds(true, "0 1000 1\n")).toBeNull();
  });

  it("are tried from a place of its own for each directory of locks, every one of them once", () => {
    const range = { first: 100, count: 50 };
    const here = idsInOrder(range, "25:1");
    expect(here[0]).not.toBe(idsInOrder(range, "26:1")[0]);
    expect([...here].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, index) => 100 + index));
    expect(idsInOrder(range, "25:1")).toEqual(here);
  });

  it("are nobody", () => {
    const passwd = "root:x:0:0:root:/root:/bin/sh\nann:x:60706:1::/:/bin/sh\n";
    expect(isNobodys(60_706, passwd, "")).toBe(false);
    expect(isNobodys(60_707, passwd, "ann:60000:707\n")).toBe(true);
    expect(isNobodys(60_706, "", "ann:60000:707\n")).toBe(false);
  });
});

describe("chroot", () => {
  const scriptOf = (of: SandboxPlan, nsenter: boolean): string =>
    textOf(chrootCommand({ ...of, starter: null, uid: 77 }, nsenter).inputs[0]);

  it("is entered by the starter as nobody's user", () => {
    expect(chrootCommand({ ...plan, uid: 77 }, true)).toMatchObject({
      program: "setpriv",
      args: [
        "--no-new-privs",
        "--",
        "nsenter",
        "--root=/b/w/root",
        "--wd=/b/w/root/build",
        "--setgid=77",
        "--setuid=77",
        "--",
        "/bin/sh",
      ],
    });
    const { args, start } = chrootCommand({ ...plan, uid: 77, busyboxShell: false }, false);
    expect(args.slice(2)).toEqual(["chroot", "--userspec=77:77", "--groups=", "/b/w/root", "/.start/sh"]);
    expect(textOf(start)).toMatch(/^\{\ncd \/build\n/);
    expect(() => chrootCommand(plan, true)).toThrow(/needs a user/);
  });

  it("begins in the build directory by nsenter, whatever the shell", () => {
    const script = scriptOf({ ...plan, busyboxShell: false }, true);
    expect(script).toContain(
      "'--root=/b/w/root' '--wd=/b/w/root/build' '--setgid=77' '--setuid=77' '--' '/nix/store/x/bin/bash' '-e' 'it'\\''s'",
    );
    expect(script).toContain("env -i 'a=\xff '\\''x'\\''' ");
  });

  it("begins there without nsenter, too, where busybox can change to it", () => {
    expect(scriptOf(plan, false)).toContain(
      `'/b/w/root' '/bin/sh' '-c' 'cd /build; unset SHLVL OLDPWD; exec "$@"' 'sh' '/nix/store/x/bin/bash'`,
    );
    expect(scriptOf({ ...plan, busyboxShell: false }, false)).toContain(
      "'--groups=' '/b/w/root' '/nix/store/x/bin/bash'",
    );
  });
});

describe("sandbox paths", () => {
  it("are read as Nix reads them", () => {
    expect(parseSandboxPath("/bin/sh=/nix/store/x/bin/sh")).toEqual({
      target: "/bin/sh",
      source: "/nix/store/x/bin/sh",
      optional: false,
    });
    expect(parseSandboxPath("/var/cache?")).toEqual({ target: "/var/cache", source: "/var/cache", optional: true });
    expect(parseSandboxPath("/a=/b=c?")).toEqual({ target: "/a", source: "/b=c", optional: true });
    expect(() => parseSandboxPath("relative")).toThrow(/sandbox-paths/);
  });
});

describe("the default shell", () => {
  it("is there unless the setting names another", () => {
    expect([[], ["/cache"], ["/bin/bash=/x"]].map(namesShell)).toEqual([false, false, false]);
    expect([["/bin/sh=/usr/bin/dash"], ["/cache", "/bin?"]].map(namesShell)).toEqual([true, true]);
  });
});

describe("the capability", () => {
  const trying =
    (working: Record<string, string>): Try =>
    (program) => ({ ok: program in working, output: working[program] ?? "" });

  it("is the best that works", () => {
    expect(probeCapability("auto", null, trying({ bwrap: "bubblewrap 0.8.0" }))).toEqual({
      type: "bwrap",
      bubblewrap: { program: "bwrap", setsName: false, filter: seccompFilter(process.arch) },
    });
    expect(probeCapability("auto", null, trying({ bwrap: "bubblewrap 0.11.0" }))).toMatchObject({
      bubblewrap: { setsName: true },
    });
    expect(probeCapability("auto", null, trying({ unshare: "" })).type).toBe("unshare");
    expect(probeCapability("auto", 77, trying({ setpriv: "" }))).toEqual({ type: "chroot", nsenter: false });
    expect(probeCapability("auto", 77, trying({ setpriv: "", nsenter: "" }))).toEqual({
      type: "chroot",
      nsenter: true,
    });
  });

  it("is an error with a way out where nothing works", () => {
    expect(() => probeCapability("auto", null, trying({ setpriv: "" }))).toThrow(/nothing can be built here/);
    expect(() => probeCapability("bwrap", 77, trying({ setpriv: "", unshare: "" }))).toThrow(/'bwrap'/);
  });
});

describe("the sandbox's shell", () => {
  it("knows its libraries from ldd, glibc's and musl's", () => {
    const listing = [
      "\tlinux-vdso.so.1 (0x00007ffe)",
      "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f7f)",
      "\t/lib64/ld-linux-x86-64.so.2 (0x00007f7e)",
      "\tlibmissing.so => not found",
    ].join("\n");
    expect(parseLibraries(listing)).toEqual(["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
  });

  it("tells a static program by its header", () => {
    const elf = (types: number[]): Buffer => {
      const bytes = Buffer.alloc(64 + types.length * 56);
      bytes.writeUInt32BE(0x7f454c46, 0);
      bytes[4] = 2;
      bytes[5] = 1;
      bytes.writeBigUInt64LE(64n, 32);
      bytes.writeUInt16LE(56, 54);
      bytes.writeUInt16LE(types.length, 56);
      types.forEach((type, index) => void bytes.writeUInt32LE(type, 64 + index * 56));
      return bytes;
    };
    expect(isStaticElf(elf([1, 1, 2]))).toBe(true);
    expect(isStaticElf(elf([6, 3, 1]))).toBe(false);
    expect(isStaticElf(Buffer.from("#!/bin/sh\n"))).toBe(false);
  });
});
