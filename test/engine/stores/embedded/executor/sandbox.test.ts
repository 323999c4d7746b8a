import { describe, expect, it } from "vitest";
import { type ByteString, byteStringOf } from "../../../../../src/engine/formats/byte-string.ts";
import { parseStorePath } from "../../../../../src/engine/formats/store-path.ts";
import { probeCapability, type Try } from "../../../../../src/engine/stores/embedded/executor/capability.ts";
import { bubblewrapCommand, fitsBubblewrap } from "../../../../../src/engine/stores/embedded/executor/sandbox-bwrap.ts";
import { parseSandboxPath } from "../../../../../src/engine/stores/embedded/executor/sandbox-paths.ts";
import { namedCommand, type SandboxPlan } from "../../../../../src/engine/stores/embedded/executor/sandbox-plan.ts";
import { isStaticElf, parseLibraries } from "../../../../../src/engine/stores/embedded/executor/sandbox-shell.ts";
import { unshareCommand } from "../../../../../src/engine/stores/embedded/executor/sandbox-unshare.ts";

const input = parseStorePath("/nix/store/00000000000000000000000000000000-in");
const plan: SandboxPlan = {
  scratch: { dir: "/w", store: "/w/store", build: "/w/build", tmp: "/w/tmp", root: "/w/root" },
  etc: "/w/etc",
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
  shmSize: "50%",
};

function optionsOf(of: SandboxPlan, setsName = false): string[] {
  const { input: bytes } = bubblewrapCommand({ program: "bwrap", setsName }, of);
  return Buffer.from(bytes!).toString("latin1").split("\0");
}

describe("bubblewrap", () => {
  it("mounts the inputs read-only and passes variables byte by byte", () => {
    const text = optionsOf(plan).join(" ");
    expect(text).toContain("--unshare-net");
    expect(text).toContain(`--ro-bind /root/it's${input} ${input}`);
    expect(text).toContain("--bind /w/store /nix/store");
    expect(text).toContain("--dev-bind /var/cache /cache");
    expect(text).toContain("--setenv a \xff 'x'");
    expect(text).toContain("--die-with-parent");
  });

  it("leaves the network to builders whose output is checked", () => {
    expect(optionsOf({ ...plan, network: true })).not.toContain("--unshare-net");
  });

  it("names the builder as Nix does, by itself or through the shell", () => {
    expect(optionsOf(plan, true)).toContain("--argv0");
    expect(bubblewrapCommand({ program: "bwrap", setsName: true }, plan).args).toEqual([
      ...["--args", "3", "--", "/nix/store/x/bin/bash", "-e", "it's"],
    ]);
    expect(namedCommand(plan).slice(3)).toEqual(["bash", "/nix/store/x/bin/bash", "-e", "it's"]);
  });

  it("does without the name where the shell would lose a variable", () => {
    const odd = { ...plan, variables: new Map([["a-b" as ByteString, byteStringOf("1")]]) };
    expect(namedCommand(odd)).toEqual(["/nix/store/x/bin/bash", "-e", "it's"]);
    expect(namedCommand({ ...plan, busyboxShell: false })[0]).toBe("/nix/store/x/bin/bash");
  });

  it("is not asked for more than it takes", () => {
    expect(fitsBubblewrap(plan)).toBe(true);
    expect(fitsBubblewrap({ ...plan, inputs: Array.from({ length: 3000 }, () => plan.inputs[0]!) })).toBe(false);
  });
});

describe("unshare", () => {
  it("quotes everything for its script", () => {
    const { args, input: bytes } = unshareCommand(plan);
    expect(args).toContain("--net");
    const script = Buffer.from(bytes!).toString("latin1");
    expect(script).toContain(`bindro '/root/it'\\''s${input}' '.${input}'`);
    expect(script).toContain("'a=\xff '\\''x'\\'''");
    expect(script).toContain("bind '/var/cache' './cache'");
  });

  it("refuses variables that would reach the host's loader", () => {
    const bad = { ...plan, variables: new Map([["LD_PRELOAD" as ByteString, byteStringOf("/evil.so")]]) };
    expect(() => unshareCommand(bad)).toThrow(/LD_PRELOAD/);
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

describe("the capability", () => {
  const trying =
    (working: Record<string, string>): Try =>
    (program) => ({ ok: program in working, output: working[program] ?? "" });

  it("is the best that works", () => {
    expect(probeCapability("auto", false, trying({ bwrap: "bubblewrap 0.8.0", unshare: "" }))).toEqual({
      type: "bwrap",
      bubblewrap: { program: "bwrap", setsName: false },
      unshare: true,
    });
    expect(probeCapability("auto", false, trying({ bwrap: "bubblewrap 0.11.0" }))).toMatchObject({
      bubblewrap: { setsName: true },
      unshare: false,
    });
    expect(probeCapability("auto", false, trying({ unshare: "" })).type).toBe("unshare");
    expect(probeCapability("auto", true, trying({ chroot: "" })).type).toBe("chroot");
  });

  it("is an error with a way out where nothing works", () => {
    expect(() => probeCapability("auto", false, trying({ chroot: "" }))).toThrow(/nothing can be built here/);
    expect(() => probeCapability("bwrap", true, trying({ chroot: "", unshare: "" }))).toThrow(/'bwrap'/);
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
