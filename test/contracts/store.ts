// What every store must do; run against each implementation, which states in what it is allowed to differ.
import { describe } from "vitest";
import { addingContract } from "./store/adding.ts";
import { endingContract } from "./store/ending.ts";
import { readingContract } from "./store/reading.ts";
import type { StoreSubject } from "./store/subject.ts";

export { buildContract } from "./store/building.ts";
export { keepingContract, type MachineSubject, machineContract } from "./store/keeping.ts";
export type {
  BuildingStore,
  BuildSubject,
  Shortcomings,
  StoreSubject,
  StoreTraits,
  TakingStore,
} from "./store/subject.ts";

/** Declares the suite of a store that gives paths and takes them. */
export function storeContract(subject: StoreSubject): void {
  describe(`${subject.name} as a store`, () => {
    readingContract(subject);
    addingContract(subject);
    endingContract(subject);
  });
}
