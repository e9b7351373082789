/** What an item is, here and on the wire. */

import * as d from "./decode.ts";

declare const itemId: unique symbol;
/** An item's identity: a string that only the server hands out. */
export type ItemId = string & { readonly [itemId]: true };

export interface Item {
  readonly id: ItemId;
  readonly title: string;
  readonly notes: string;
  /** `YYYY-MM-DD`: a calendar day, in no time zone. */
  readonly due_on: string | null;
  readonly done: boolean;
  /** Set by the server a moment after the fact, not by this program's clock. */
  readonly overdue: boolean;
  readonly created_at: string;
  readonly updated_at: string;
}

export interface ItemPage {
  readonly items: readonly Item[];
  readonly next_cursor: string | null;
  /** How many items match the filter in all. */
  readonly total: number;
}

/** The part of an item that a person writes. */
export interface ItemDraft {
  readonly title: string;
  readonly notes: string;
  readonly due_on: string | null;
}

export type ItemPatch = Partial<ItemDraft & Pick<Item, "done">>;

export const FILTERS = ["all", "open", "done"] as const;
export type Filter = (typeof FILTERS)[number];

export const matchesFilter = (item: Item, filter: Filter): boolean =>
  filter === "all" || item.done === (filter === "done");

export const decodeItem: d.Decoder<Item> = d.object({
  id: d.map(d.string, (id) => id as ItemId),
  title: d.string,
  notes: d.map(d.nullable(d.string), (notes) => notes ?? ""),
  due_on: d.nullable(d.string),
  done: d.boolean,
  overdue: d.boolean,
  created_at: d.string,
  updated_at: d.string,
});

export const decodePage: d.Decoder<ItemPage> = d.object({
  items: d.list(decodeItem),
  next_cursor: d.nullable(d.string),
  total: d.number,
});
