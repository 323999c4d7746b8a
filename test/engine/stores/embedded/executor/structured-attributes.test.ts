import { describe, expect, it } from "vitest";
import { byteStringOf } from "../../../../../src/engine/formats/byte-string.ts";
import {
  attributesWith,
  printAttributes,
  printShellAttributes,
} from "../../../../../src/engine/stores/embedded/executor/structured-attributes.ts";

const none = new Map<string, string>();
const json = (text: string): string => printAttributes(attributesWith(byteStringOf(text), none));
const shell = (text: string): string => printShellAttributes(attributesWith(byteStringOf(text), none));

describe("structured attributes", () => {
  it("keep numbers digit by digit and sort keys bytewise", () => {
    expect(json('{"b":1.0,"a":12345678901234567890,"Ä":null,"z":[1e3,{"y":-0.5,"x":true}]}')).toBe(
      '{"a":12345678901234567890,"b":1.0,"z":[1e3,{"x":true,"y":-0.5}],"Ä":null}',
    );
  });

  it("take what is put in instead of what was there", () => {
    const attributes = attributesWith(
      byteStringOf('{"outputs":["out"],"x":1}'),
      new Map([["outputs", '{"out":"/o"}']]),
    );
    expect(printAttributes(attributes)).toBe('{"outputs":{"out":"/o"},"x":1}');
  });

  it("become what bash can hold", () => {
    expect(shell(`{"s":"it's","t":true,"f":false,"n":null,"i":7,"g":2.0,"h":2.5,"bad-name":1,"big":4294967299}`)).toBe(
      "declare big=3\ndeclare f=\ndeclare g=2\ndeclare i=7\ndeclare n=''\ndeclare s='it'\\''s'\ndeclare t=1\n",
    );
    expect(shell('{"l":["a",1],"e":[],"o":{"k":"v","b":true},"deep":[["x"]],"mixed":{"a":[]}}')).toBe(
      "declare -a e=()\ndeclare -a l=('a' 1 )\ndeclare -A o=(['b']=1 ['k']='v' )\n",
    );
  });
});
