// A queue of which only the front is ever looked at: sorted there, a heap behind.
import { Heap } from "./heap.ts";

/** The front is kept sorted up to this many; more makes looking no better and joining dearer. */
const FRONT = 96;

/** Items in the order of `before`, a strict order that does not change while items are inside (else call `reorder`). */
export class ReadyQueue<T> {
  readonly #before: (a: T, b: T) => boolean;
  readonly #rest: Heap<T>;
  /** Sorted; nothing in the heap comes before any of these. */
  #front: T[] = [];

  /** `weigh` must agree with `before`: what is heavier comes first. It only makes comparing cheaper. */
  constructor(before: (a: T, b: T) => boolean, weigh: (item: T) => number = () => 0) {
    this.#before = before;
    this.#rest = new Heap(before, weigh);
  }

  get size(): number {
    return this.#front.length + this.#rest.size;
  }

  /** The item at a place, 0 the first. Meant for the first few dozen. */
  at(place: number): T | undefined {
    while (this.#front.length <= place) {
      const next = this.#rest.pop();
      if (next === undefined) return undefined;
      this.#front.push(next);
    }
    return this.#front[place];
  }

  add(item: T): void {
    const front = this.#front;
    const last = front[front.length - 1];
    if (last === undefined || !this.#before(item, last)) {
      this.#rest.push(item);
      return;
    }
    let low = 0;
    let high = front.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#before(item, front[middle]!)) high = middle;
      else low = middle + 1;
    }
    front.splice(low, 0, item);
    if (front.length > FRONT) this.#rest.push(front.pop()!);
  }

  /** Takes items out of the front that are not to be kept. */
  sift(keep: (item: T) => boolean): void {
    const front = this.#front;
    let kept = 0;
    for (const item of front) if (keep(item)) front[kept++] = item;
    front.length = kept;
  }

  /** Sorts again after the order of items inside has changed, keeping only those wanted. */
  reorder(keep: (item: T) => boolean): void {
    for (const item of this.#front) this.#rest.push(item);
    this.#front = [];
    this.#rest.reorder(keep);
  }

  /** Every item, in no particular order. */
  *items(): Iterable<T> {
    yield* this.#front;
    yield* this.#rest.items();
  }
}
