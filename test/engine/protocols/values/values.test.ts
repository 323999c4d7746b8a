// Shared values as bytes and back: derivations of every kind with odd bytes, build results, log frames, and plain helpers.
import { describe, expect, it } from "vitest";
import type { BasicDerivation, DerivationOutput } from "../../../../src/engine/derivation/derivation.ts";
import { type ByteString, byteStringOf } from "../../../../src/engine/formats/byte-string.ts";
import { ByteReader } from "../../../../src/engine/formats/wire/reader.ts";
import { ByteWriter } from "../../../../src/engine/formats/wire/writer.ts";
import { stripAnsi } from "../../../../src/engine/protocols/ansi.ts";
import { type LogFrame, readStderr, tryReadStderr, writeLogFrame } from "../../../../src/engine/protocols/log-frame.ts";
import { readBasicDerivation, writeBasicDerivation } from "../../../../src/engine/protocols/values/basic-derivation.ts";
import { readBuildResult, writeBuildResult } from "../../../../src/engine/protocols/values/build-result.ts";
import { parseDerivedPath, printDerivedPath } from "../../../../src/engine/protocols/values/derived-path.ts";
import { parseRealisation, printRealisation } from "../../../../src/engine/protocols/values/realisation.ts";
import { negotiate, nixVersionAtLeast } from "../../../../src/engine/protocols/version.ts";
import { chunksOf, pathOf, resultOf } from "../support.ts";

function readerOf(bytes: Uint8Array, size = 1000): ByteReader {
  return new ByteReader(chunksOf(bytes, size), "test");
}

describe("derivations", () => {
  const outputs: [string, DerivationOutput][] = [
    ["bin", { type: "inputAddressed", path: pathOf("d-bin") }],
    ["dev", { type: "deferred" }],
    ["fix", { type: "fixed", method: "nar", algorithm: "sha256", hash: "ab".repeat(32), path: pathOf("fix") }],
    ["flat", { type: "fixed", method: "flat", algorithm: "sha1", hash: "cd".repeat(20), path: pathOf("flat") }],
    ["float", { type: "floating", method: "nar", algorithm: "sha256" }],
    ["impure", { type: "impure", method: "text", algorithm: "sha256" }],
  ];
  const odd = "a\u0000\u0080\u00ff\n" as ByteString;
  const derivation: BasicDerivation = {
    name: "d",
    outputs: new Map(outputs),
    inputSrcs: new Set([pathOf("src")]),
    platform: "x86_64-linux",
    builder: byteStringOf("/bin/büilder"),
    args: [odd, byteStringOf("")],
    env: new Map([[odd, odd]]),
  };

  it("round-trip with their bytes intact", async () => {
    const writer = new ByteWriter();
    writeBasicDerivation(writer, derivation);
    const bytes = writer.finish();
    expect(Buffer.from(bytes).includes(Buffer.from([0x61, 0x00, 0x80, 0xff, 0x0a]))).toBe(true);
    expect(await readBasicDerivation(readerOf(bytes, 5), pathOf("d.drv"))).toEqual(derivation);
  });

  it("with outputs that make no sense are refused", async () => {
    const writer = new ByteWriter().u64(1).string("out").string("").string("").string("abcd");
    await expect(readBasicDerivation(readerOf(writer.finish()), pathOf("d.drv"))).rejects.toMatchObject({
      code: "WIRE_BAD_VALUE",
    });
  });
});

describe("build results", () => {
  const all = { times: true, cpu: true, builtOutputs: true };

  it("take a status of the future for a miscellaneous failure", async () => {
    const bytes = new ByteWriter().u64(77).string("what").u64(0).u64(0).u64(0).u64(0).u64(0).u64(0).u64(0).finish();
    expect(await readBuildResult(readerOf(bytes), all)).toEqual(
      resultOf({ status: "MiscFailure", errorMessage: "what", timesBuilt: 0, startTime: 0, stopTime: 0 }),
    );
  });

  it("round-trip", async () => {
    const result = resultOf({
      status: "NotDeterministic",
      errorMessage: "é",
      isNonDeterministic: true,
      cpuUserMicros: 2n ** 62n,
    });
    const writer = new ByteWriter();
    writeBuildResult(writer, all, { ...result, builtOutputs: new Map([["out", pathOf("o")]]) }, "ab".repeat(32));
    expect(await readBuildResult(readerOf(writer.finish(), 3), all)).toEqual({
      ...result,
      builtOutputs: new Map([["out", pathOf("o")]]),
    });
  });
});

describe("log frames", () => {
  const frames: LogFrame[] = [
    { type: "next", text: "warning: é\n" },
    {
      type: "start",
      id: 2n ** 64n - 1n,
      level: 3,
      activity: 105,
      text: "building",
      fields: ["x", 7n],
      parent: 2n ** 33n,
    },
    { type: "result", id: 1n, result: 101, fields: ["a line of the log"] },
    { type: "result", id: 1n, result: 4711, fields: [1n, 2n, "x"] },
    { type: "stop", id: 2n ** 40n },
  ];

  it("read the same at once, piece by piece, and cut anywhere", async () => {
    const writer = new ByteWriter();
    for (const frame of frames) writeLogFrame(writer, frame, 38);
    const bytes = writer.finish();
    for (let size = 1; size <= bytes.length; size++) {
      const reader = readerOf(bytes, size);
      const read: unknown[] = [];
      while (!(await reader.atEnd())) read.push(tryReadStderr(reader) ?? (await readStderr(reader, 38)));
      expect(read, `pieces of ${size}`).toEqual(frames);
    }
  });
});

describe("helpers", () => {
  it("print and parse targets", () => {
    const drvPath = pathOf("x.drv");
    for (const target of [
      { type: "opaque", path: pathOf("x") } as const,
      { type: "built", drvPath, outputs: "all" } as const,
      { type: "built", drvPath, outputs: ["a", "b"] } as const,
    ]) {
      expect(parseDerivedPath(printDerivedPath(target, true), true)).toEqual(target);
      expect(parseDerivedPath(printDerivedPath(target, false), false)).toEqual(target);
    }
    expect(printDerivedPath({ type: "built", drvPath, outputs: "all" }, false)).toBe(drvPath);
    for (const text of ["", "/etc", `${drvPath}!`, `${drvPath}!a!b`]) expect(parseDerivedPath(text, true)).toBeNull();
  });

  it("print and parse realisations", () => {
    const realisation = { id: `sha256:${"ab".repeat(32)}!out`, path: pathOf("o"), signatures: ["k:s"] };
    expect(parseRealisation(printRealisation(realisation))).toEqual(realisation);
    for (const text of ["", "null", "[]", "{}", '{"id":1,"outPath":2}', '{"id":"a!b","outPath":"../x"}']) {
      expect(parseRealisation(text)).toBeNull();
    }
  });

  it("compare versions of Nix", () => {
    expect(nixVersionAtLeast("2.18.1", 2, 18)).toBe(true);
    expect(nixVersionAtLeast("nix (Lix) 2.19.0pre2023_abc", 2, 18)).toBe(true);
    expect(nixVersionAtLeast("3.0", 2, 18)).toBe(true);
    for (const text of [null, "", "2.8.0", "unknown"]) expect(nixVersionAtLeast(text, 2, 18)).toBe(false);
    expect(negotiate({ major: 1, minor: 38 }, { major: 1, minor: 50 }, 18, "x").minor).toBe(38);
  });

  it("take control sequences out of text", () => {
    expect(
      stripAnsi(
        "\u001b[31;1merror:\u001b[0m \u001b]8;;http://x\u0007link\u001b]8;;\u001b\\ a\tb\r\n\u0007\u001b(B\u001bM",
      ),
    ).toBe("error: link a\tb\r\n");
  });
});
