import { describe, expect, it } from "vitest";
import { refusalOf, refusalText, unmatchableMessage } from "../../../../../src/engine/scheduler/plan/queues/match.ts";
import { goal, machine } from "../scenario.ts";

const trusting = { destinationTrusted: true, machineSigns: () => false };
const system = { systems: ["i686-linux"] };
// Nix manual, Remote Builds.
const scratchy = machine("scratchy", { ...system, slots: 8, speedFactor: 1, supportedFeatures: ["kvm"] });
const itchy = machine("itchy", { ...system, slots: 8, speedFactor: 2 });
const poochie = machine("poochie", {
  ...system,
  speedFactor: 2,
  supportedFeatures: ["kvm"],
  mandatoryFeatures: ["benchmark"],
});
const wants = (...requiredFeatures: string[]) => goal("a", [], { system: "i686-linux", requiredFeatures });
const takes = (...features: string[]) =>
  [scratchy, itchy, poochie]
    .filter((each) => refusalOf(wants(...features), each, trusting) === null)
    .map((each) => each.machine);

describe("the manual's machines", () => {
  it.each([
    [[], ["scratchy", "itchy"]],
    [["kvm"], ["scratchy"]],
    [["benchmark"], ["poochie"]],
    [["benchmark", "kvm"], ["poochie"]],
    [["big-parallel"], []],
  ])("%j go to %j", (features, machines) => expect(takes(...features)).toEqual(machines));
});

describe("refusals", () => {
  it("name what is missing", () => {
    expect(refusalOf(goal("a"), itchy, trusting)).toEqual({
      type: "system",
      wanted: "x86_64-linux",
      has: ["i686-linux"],
    });
    expect(refusalOf(wants("kvm", "x"), scratchy, trusting)).toEqual({
      type: "featureMissing",
      features: ["x"],
      has: ["kvm"],
    });
    expect(refusalOf(wants("kvm"), poochie, trusting)).toEqual({
      type: "mandatoryNotRequired",
      features: ["benchmark"],
    });
    expect(refusalOf(goal("a", [], { system: "builtin" }), itchy, trusting)).toBeNull();
  });

  it("keep from untrusting stores what they would not take", () => {
    const options = {
      destinationTrusted: false,
      machineSigns: (spec: { machine: string }) => spec.machine === "signer",
    };
    const refused = { type: "destinationCannotImport" };
    expect(refusalOf(goal("a"), machine("remote"), options)).toEqual(refused);
    expect(refusalOf(goal("a", [], { addressing: "fixed" }), machine("remote"), options)).toBeNull();
    expect(refusalOf(goal("a", [], { addressing: "floating" }), machine("remote"), options)).toBeNull();
    expect(refusalOf(goal("a"), machine("signer"), options)).toBeNull();
    expect(refusalOf(goal("a"), machine("local"), options)).toBeNull();
  });

  it("say for all machines what none of them has", () => {
    const about = (features: string[], ...machines: (typeof itchy)[]) =>
      unmatchableMessage(
        wants(...features),
        machines.map((each) => ({ machine: each.machine, refusal: refusalOf(wants(...features), each, trusting)! })),
      );
    const head = `cannot build '${wants().goal}'`;
    expect(about(["x"], itchy, scratchy)).toBe(`${head}: no machine has feature 'x': itchy (none), scratchy (kvm)`);
    expect(about(["x"], itchy, machine("other"))).toBe(
      `${head}: no machine for i686-linux has feature 'x': itchy (none)`,
    );
    expect(about([], machine("one"), machine("two", { systems: [] }))).toBe(
      `${head}: no machine builds for 'i686-linux': one (x86_64-linux), two (none)`,
    );
    expect(about(["kvm"], itchy, poochie)).toBe(
      `${head}: itchy lacks kvm, has none; poochie builds only what requires benchmark`,
    );
    expect(about([])).toBe(`${head}: there is no machine to build on`);
  });

  it("have words each", () => {
    const texts = [
      refusalText({ type: "noSlots" }),
      refusalText({ type: "destinationCannotImport" }),
      refusalText({ type: "inputNotAllowed", input: "glibc" }),
      refusalText({ type: "rounds", rule: "other" }),
      refusalText({ type: "rounds", rule: "same" }),
      refusalText({ type: "excluded", reason: "kvm is broken" }),
      refusalText({ type: "off", reason: "host key changed" }),
    ];
    expect(new Set(texts).size).toBe(texts.length);
    expect(texts.join()).toContain("host key changed");
  });
});
