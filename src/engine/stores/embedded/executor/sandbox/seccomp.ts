// The system calls forbidden to builders: setting setuid and setgid bits fails with EPERM, setting extended attributes with ENOTSUP
// (Nix: `setupSeccomp`), so that a builder itself notices what a store cannot hold; and the kernel's keyrings, which no namespace
// separates, with ENOSYS. As a classic BPF program; pure.

const ALLOW = 0x7fff_0000;
const ERRNO = 0x0005_0000;
const EPERM = 1;
const ENOTSUP = 95;
const ENOSYS = 38;
/** S_ISUID and S_ISGID. */
const SET_ID_BITS = 0o6000;

// struct seccomp_data (linux/seccomp.h): number, architecture, instruction pointer, six arguments of eight bytes.
const NUMBER = 0;
const ARCHITECTURE = 4;
const argument = (index: number): number => 16 + 8 * index;

// Instructions (linux/bpf_common.h).
const LOAD = 0x20;
const AND = 0x54;
const JUMP_EQUAL = 0x15;
const JUMP_SET = 0x45;
const RETURN = 0x06;

/** System call numbers on one architecture (AUDIT_ARCH_*); `mode` is the index of the mode argument. */
interface Calls {
  readonly architecture: number;
  readonly changesMode: readonly { readonly number: number; readonly mode: 1 | 2 }[];
  readonly setsAttribute: readonly number[];
  /** `add_key`, `request_key`, `keyctl`. */
  readonly keys: readonly number[];
}

const FCHMODAT2 = { number: 452, mode: 2 } as const;
const SETXATTRAT = 463;

const X86_64: Calls = {
  architecture: 0xc000_003e,
  changesMode: [{ number: 90, mode: 1 }, { number: 91, mode: 1 }, { number: 268, mode: 2 }, FCHMODAT2],
  setsAttribute: [188, 189, 190, SETXATTRAT],
  keys: [248, 249, 250],
};
const I386: Calls = {
  architecture: 0x4000_0003,
  changesMode: [{ number: 15, mode: 1 }, { number: 94, mode: 1 }, { number: 306, mode: 2 }, FCHMODAT2],
  setsAttribute: [226, 227, 228, SETXATTRAT],
  keys: [286, 287, 288],
};
const AARCH64: Calls = {
  architecture: 0xc000_00b7,
  changesMode: [{ number: 52, mode: 1 }, { number: 53, mode: 2 }, FCHMODAT2],
  setsAttribute: [5, 6, 7, SETXATTRAT],
  keys: [217, 218, 219],
};
const ARM: Calls = {
  architecture: 0x4000_0028,
  changesMode: [{ number: 15, mode: 1 }, { number: 94, mode: 1 }, { number: 333, mode: 2 }, FCHMODAT2],
  setsAttribute: [226, 227, 228, SETXATTRAT],
  keys: [309, 310, 311],
};

const BY_MACHINE: Readonly<Record<string, readonly Calls[]>> = { x64: [X86_64, I386], arm64: [AARCH64, ARM] };

/** The filter for a machine as Node names it (`x64`, `arm64`), as an array of `struct sock_filter`; null for unknown machines. */
export function seccompFilter(machine: string): Uint8Array | null {
  const machines = BY_MACHINE[machine];
  if (machines === undefined) return null;
  const program: Instruction[] = [];
  for (const calls of machines) {
    const body = callsProgram(calls);
    program.push({ code: LOAD, yes: 0, no: 0, value: ARCHITECTURE });
    program.push({ code: JUMP_EQUAL, yes: 0, no: body.length, value: calls.architecture }, ...body);
  }
  program.push(returning(ALLOW));
  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, { code, yes, no, value }] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(yes, index * 8 + 2);
    bytes.writeUInt8(no, index * 8 + 3);
    bytes.writeUInt32LE(value, index * 8 + 4);
  }
  return bytes;
}

/** One instruction; `yes` and `no` are the numbers of instructions to skip. */
interface Instruction {
  readonly code: number;
  readonly yes: number;
  readonly no: number;
  readonly value: number;
}

function returning(value: number): Instruction {
  return { code: RETURN, yes: 0, no: 0, value };
}

/** The decision after the architecture is known; every branch returns. */
function callsProgram({ changesMode, setsAttribute, keys }: Calls): Instruction[] {
  const program: Instruction[] = [
    { code: LOAD, yes: 0, no: 0, value: NUMBER },
    // x32 calls have an extra bit in the number.
    { code: AND, yes: 0, no: 0, value: 0xbfff_ffff },
  ];
  for (const [numbers, error] of [
    [setsAttribute, ENOTSUP],
    [keys, ENOSYS],
  ] as const) {
    for (const number of numbers) {
      program.push({ code: JUMP_EQUAL, yes: 0, no: 1, value: number }, returning(ERRNO | error));
    }
  }
  for (const { number, mode } of changesMode) {
    program.push(
      { code: JUMP_EQUAL, yes: 0, no: 4, value: number },
      { code: LOAD, yes: 0, no: 0, value: argument(mode) },
      { code: JUMP_SET, yes: 0, no: 1, value: SET_ID_BITS },
      returning(ERRNO | EPERM),
      returning(ALLOW),
    );
  }
  program.push(returning(ALLOW));
  return program;
}
