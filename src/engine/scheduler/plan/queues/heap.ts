// A binary heap: the first of many, with insertion and removal in logarithmic time.

/**
 * Items ordered by weight, the heaviest first, and among equal weights by `before`. Neither may change while an item is inside (else call `reorder`). The
 * weights are kept beside the items, so that comparing touches no item where they differ.
 */
export class Heap<T> {
  readonly #before: (a: T, b: T) => boolean;
  readonly #weigh: (item: T) => number;
  #items: T[] = [];
  #weights: number[] = [];

  constructor(before: (a: T, b: T) => boolean, weigh: (item: T) => number = () => 0) {
    this.#before = before;
    this.#weigh = weigh;
  }

  get size(): number {
    return this.#items.length;
  }

  /** The first item without taking it out. */
  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    this.#items.push(item);
    this.#weights.push(0);
    this.#rise(this.#items.length - 1, item, this.#weigh(item));
  }

  /** Takes out the first item. */
  pop(): T | undefined {
    const first = this.#items[0];
    const last = this.#items.pop();
    const weight = this.#weights.pop();
    if (first !== undefined && last !== undefined && weight !== undefined && this.#items.length > 0) {
      this.#sink(0, last, weight);
    }
    return first;
  }

  /** Sorts again after the order of items inside has changed, keeping only those wanted. */
  reorder(keep: (item: T) => boolean = () => true): void {
    this.#items = this.#items.filter(keep);
    this.#weights = this.#items.map(this.#weigh);
    for (let index = (this.#items.length >> 1) - 1; index >= 0; index--) {
      this.#sink(index, this.#items[index]!, this.#weights[index]!);
    }
  }

  /** The items in no particular order. */
  items(): readonly T[] {
    return this.#items;
  }

  #rise(index: number, item: T, weight: number): void {
    const items = this.#items;
    const weights = this.#weights;
    let at = index;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = weights[parent]!;
      if (weight < above || (weight === above && !this.#before(item, items[parent]!))) break;
      items[at] = items[parent]!;
      weights[at] = above;
      at = parent;
    }
    items[at] = item;
    weights[at] = weight;
  }

  #sink(index: number, item: T, weight: number): void {
    const items = this.#items;
    const weights = this.#weights;
    const size = items.length;
    let at = index;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      const other = child + 1;
      if (other < size) {
        const left = weights[child]!;
        const right = weights[other]!;
        if (right > left || (right === left && this.#before(items[other]!, items[child]!))) child = other;
      }
      const below = weights[child]!;
      if (below < weight || (below === weight && !this.#before(items[child]!, item))) break;
      items[at] = items[child]!;
      weights[at] = below;
      at = child;
    }
    items[at] = item;
    weights[at] = weight;
  }
}
