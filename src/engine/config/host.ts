// What kind of machine this is, in Nix's words: its system type, the other systems it can run, and its features.

/** The facts about the machine that everything here follows from. */
export interface HostFacts {
  /** `process.platform`. */
  readonly platform: string;
  /** `process.arch`. */
  readonly arch: string;
  /** Flags of the first processor; empty when the system does not report them. */
  readonly cpuFlags: ReadonlySet<string>;
  /** Whether the user may use /dev/kvm. */
  readonly hasKvm: boolean;
  readonly isRoot: boolean;
  readonly home: string;
}

const CPU_NAMES: Readonly<Record<string, string>> = {
  x64: "x86_64",
  arm64: "aarch64",
  ia32: "i686",
  arm: "armv7l",
  ppc64: "powerpc64le",
  riscv64: "riscv64",
  loong64: "loongarch64",
  s390x: "s390x",
};

/** Nix's name of the machine's system, such as `x86_64-linux` or `aarch64-darwin`. */
export function systemOf({ platform, arch }: HostFacts): string {
  return `${CPU_NAMES[arch] ?? arch}-${platform}`;
}

/** Flags that each level of x86-64 adds (x86-64 psABI), as Linux names them. */
const X86_LEVELS: readonly (readonly string[])[] = [
  ["cmov", "cx8", "fpu", "fxsr", "mmx", "syscall", "sse2"],
  ["cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"],
  ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"],
  ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"],
];

/** Default of `extra-platforms`, as Nix computes it: 32 bits and the x86-64 levels the processor supports. */
export function extraPlatformsOf(host: HostFacts): string[] {
  if (systemOf(host) !== "x86_64-linux") return [];
  const platforms = ["i686-linux"];
  for (const [index, flags] of X86_LEVELS.entries()) {
    if (!flags.every((flag) => host.cpuFlags.has(flag))) break;
    platforms.push(`x86_64-v${index + 1}-linux`);
  }
  return platforms;
}

/** Default of `system-features`. */
export function systemFeaturesOf({ hasKvm }: HostFacts): string[] {
  return ["benchmark", "big-parallel", ...(hasKvm ? ["kvm"] : []), "nixos-test"];
}
