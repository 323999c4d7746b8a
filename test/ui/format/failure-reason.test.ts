import { expect, it } from "vitest";
import { failureReason } from "../../../src/ui/format/failure-reason.ts";

const drv = "/nix/store/ff76grh8l8cd0rrhnk7ckx1dzjdx1hzx-bad.drv";

it.each([
  [`builder for '${drv}' failed with exit code 1`, `builder for '${drv}' failed with exit code 1`],
  // Nix 2.34, as it comes from a builder.
  [
    `Cannot build '${drv}'.\nReason: builder failed with exit code 1.\nOutput paths:\n  /nix/store/dhmg3nbf2skyvc85zvclv2l4czqvxjak-bad`,
    "builder failed with exit code 1",
  ],
  [`Cannot build '${drv}'.\nReason: 1 dependency failed.`, "1 dependency failed"],
  [`Cannot build '${drv}'.\nReason: something new: with.dots\nand more`, "something new: with.dots"],
  [`Cannot build '${drv}'`, `Cannot build '${drv}'`],
  ["first\nsecond", "first"],
  ["", ""],
])("finds the reason in %j", (message, reason) => {
  expect(failureReason(message)).toBe(reason);
});
