import { describe, expect, it } from "vitest";
import {
  checkDiffersMessage,
  logicalPath,
  parseCheckDifferences,
  roundDiffersMessage,
} from "../../../../src/engine/differences/report/messages.ts";

const drv = "/nix/store/dd0vb645cr10kl8ichw54296m4a0q3cb-two.drv";
const out = "/nix/store/r61dq2xsjdh0wayhi1xbfsysv7x8nncf-two-doc";

describe("Nix's words", () => {
  it("are those of the manual's chapter on reproducibility", () => {
    expect(checkDiffersMessage(drv, out, null)).toBe(
      `derivation '${drv}' may not be deterministic: output '${out}' differs`,
    );
    expect(checkDiffersMessage(drv, out, `${out}.check`)).toBe(
      `derivation '${drv}' may not be deterministic: output '${out}' differs from '${out}.check'`,
    );
    expect(roundDiffersMessage(drv, out, `${out}.check`)).toBe(
      `output '${out}' of '${drv}' differs from '${out}.check' from previous round`,
    );
    expect(roundDiffersMessage(drv, out, null)).toBe(`output '${out}' of '${drv}' differs from previous round`);
  });
});

describe("parseCheckDifferences", () => {
  // As Nix 2.8.0, 2.26.3 and 2.34.8 print them.
  it.each([
    ["2.8", `derivation '${drv}' may not be deterministic: output '${out}' differs`, null, out],
    [
      "2.26, colours",
      `error: derivation '\u001b[35;1m${drv}\u001b[0m' may not be deterministic: output '\u001b[35;1m${out}\u001b[0m' differs from '\u001b[35;1m${out}.check\u001b[0m'\n`,
      `${out}.check`,
      out,
    ],
    [
      "2.34, double quotes",
      `derivation '${drv}' may not be deterministic: output "${out}" differs from "${out}.check"`,
      `${out}.check`,
      out,
    ],
    [
      "a store with a root directory",
      `derivation '${drv}' may not be deterministic: output "/nix/chroot${out}" differs from "/nix/chroot${out}.check"`,
      `/nix/chroot${out}.check`,
      `/nix/chroot${out}`,
    ],
  ])("reads what %s says", (_, message, realOther, realOutput) => {
    expect(parseCheckDifferences(message)).toEqual([{ drvPath: drv, output: out, realOutput, realOther }]);
  });

  it("reads every line where all outputs are told", () => {
    const other = "/nix/store/1j4adkv1gm5biz1w9ljsjyk1mv3gclpb-two";
    const message = [checkDiffersMessage(drv, out, `${out}.check`), checkDiffersMessage(drv, other, null)].join("\n");
    expect(parseCheckDifferences(message).map((difference) => difference.output)).toEqual([out, other]);
  });

  it("takes no other path for a kept result than one beside the output", () => {
    const from = (path: string): string =>
      `derivation '${drv}' may not be deterministic: output '${out}' differs from '${path}'`;
    for (const path of ["/etc/passwd", out, `/tmp${out}.check`, `${out}/../../../etc/passwd`, `${out}.check;reboot`]) {
      expect(parseCheckDifferences(from(path))).toMatchObject([{ output: out, realOther: null }]);
    }
    expect(parseCheckDifferences("builder for '/x' failed with exit code 1")).toEqual([]);
  });
});

describe("logicalPath", () => {
  it("finds the store path in a place on disk", () => {
    expect(logicalPath(`/srv/root${out}.check`)).toBe(`${out}.check`);
    expect(logicalPath("/srv/root/nix/store/short")).toBeNull();
    expect(logicalPath(`/srv/other/store/${out.slice(11)}`)).toBeNull();
    expect(logicalPath(`/srv/..${out}`)).toBeNull();
    expect(logicalPath(`/srv/../x${out}`)).toBeNull();
  });
});
