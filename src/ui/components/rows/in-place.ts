// Rows and pieces of rows whose identity is their place on the screen.
import { createElement, Fragment, type ReactNode } from "react";

/** Draws the items one after another, told apart by position: what stands in a row next is drawn into the same row. */
export function inPlace<T>(items: readonly T[], draw: (item: T, place: number) => ReactNode): ReactNode {
  return createElement(Fragment, null, ...items.map(draw));
}
