import { type FocusEvent, type RefObject, useLayoutEffect, useRef } from "react";
import type { Item, ItemId } from "../api/items.ts";

interface FocusRescue {
  readonly onFocus: (event: FocusEvent<HTMLElement>) => void;
  readonly onBlur: (event: FocusEvent<HTMLElement>) => void;
}

const idAt = (element: Element): string | undefined =>
  element.closest<HTMLElement>("[data-id]")?.dataset["id"];

/** Puts the focus on an item's row. */
export const focusItem = (list: HTMLElement | null, id: ItemId): void => {
  const rows = list?.querySelectorAll<HTMLElement>("[data-testid=item]") ?? [];
  for (const row of rows) if (row.dataset["id"] === id) row.focus();
};

/**
 * Whoever works with the keyboard must not be thrown to the top of the page because the row they
 * were in went away: by their own deletion, by a filter that no longer matches, or by somebody
 * else's change. The focus goes to the row that took its place, or to `onEmpty`.
 */
export function useFocusRescue(
  list: RefObject<HTMLElement | null>,
  items: readonly Item[],
  onEmpty: () => void,
): FocusRescue {
  const last = useRef<{ readonly id: string; readonly index: number } | null>(null);

  useLayoutEffect(() => {
    if (last.current === null) return;
    const { id, index } = last.current;
    const now = items.findIndex((item) => item.id === id);
    if (now >= 0) {
      last.current = { id, index: now };
      return;
    }
    last.current = null;
    const { activeElement } = document;
    if (activeElement !== null && activeElement !== document.body) return;
    const neighbour = items[Math.min(index, items.length - 1)];
    if (neighbour === undefined) onEmpty();
    else focusItem(list.current, neighbour.id);
  }, [items, list, onEmpty]);

  return {
    onFocus: ({ target }) => {
      const id = idAt(target);
      const index = items.findIndex((item) => item.id === id);
      last.current = id === undefined || index < 0 ? null : { id, index };
    },
    onBlur: ({ currentTarget, relatedTarget }) => {
      const leaves = relatedTarget !== null && !currentTarget.contains(relatedTarget);
      if (leaves) last.current = null;
    },
  };
}
