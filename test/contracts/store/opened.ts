// The stores a test opens are closed at its end, whatever became of it.
import { afterEach } from "vitest";
import type { StoreSubject, TakingStore } from "./subject.ts";

export interface Opened<S> {
  readonly open: () => Promise<S>;
  /** Says that the test closes, or has closed, the store itself. */
  readonly closedHere: (store: S) => void;
}

/** Opens stores of the subject for one test each; to be called where tests are declared. */
export function openStores<S extends TakingStore>(subject: StoreSubject<S>): Opened<S> {
  const opened = new Set<S>();
  afterEach(async () => {
    const stores = [...opened];
    opened.clear();
    for (const store of stores) await store.close();
  });
  return {
    open: async () => {
      const store = await subject.open();
      opened.add(store);
      return store;
    },
    closedHere: (store) => void opened.delete(store),
  };
}
