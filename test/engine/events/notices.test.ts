// An error as a notice: code, hint, and what lay behind it.
import { expect, it } from "vitest";
import { EngineError } from "../../../src/engine/base/errors.ts";
import { parseEventLine, printEventLine } from "../../../src/engine/events/json-lines.ts";
import { noticeOf } from "../../../src/engine/events/notices.ts";

it("says its causes, but not what the message says already", () => {
  const deepest = new Error("ECONNRESET");
  const middle = new EngineError("transport", "SSH_LINK_LOST", "the link was lost", { cause: deepest });
  const error = new EngineError("store", "STORE_X", "cannot do it", { hint: "mend it", cause: middle });
  expect(noticeOf(error)).toMatchObject({
    code: "STORE_X",
    hint: "mend it",
    cause: "the link was lost: ECONNRESET",
  });
  expect(noticeOf(new EngineError("store", "X", "no: ECONNRESET", { cause: deepest })).cause).toBeNull();
  const circle = new Error("round");
  circle.cause = circle;
  expect(noticeOf(circle).cause).toBeNull();
  expect(noticeOf("thrown text")).toMatchObject({ message: "thrown text", cause: null });
});

it("is read back from recordings of before causes were told", () => {
  const line = printEventLine({ seq: 1, at: 1, event: noticeOf(new Error("x")) });
  const { cause: _, ...older } = JSON.parse(line) as Record<string, unknown>;
  expect(parseEventLine(JSON.stringify(older), "old:1")).toEqual(parseEventLine(line, "new:1"));
});
