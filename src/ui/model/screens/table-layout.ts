// A table of things of which one is selected, with room below it for what is known of that one.
import {
  type ItemId,
  type ItemList,
  itemList,
  resolveSelection,
  type Selection,
  stickyScroll,
} from "../view/view-state.ts";

/** The table; a screen adds what its rows are called. */
export interface TableLayout<Thing> {
  readonly items: ItemList;
  readonly selection: Selection;
  readonly selected: Thing | null;
  /** The things in sight, from the top. */
  readonly shown: readonly Thing[];
  readonly page: number;
  readonly scroll: number;
}

/** @param tableHeight rows the table may take, at least one; the rest is for the details */
export function layoutTable<Thing>(
  things: readonly Thing[],
  idOf: (thing: Thing) => ItemId,
  selected: Selection,
  tableHeight: number,
  scroll: number,
): TableLayout<Thing> {
  const items = itemList(things, idOf);
  const selection = resolveSelection(selected, items);
  const top = stickyScroll(scroll, selection.index, tableHeight, things.length);
  return {
    items,
    selection,
    selected: things[selection.index] ?? null,
    shown: things.slice(top, top + tableHeight),
    page: Math.max(1, tableHeight - 1),
    scroll: top,
  };
}
