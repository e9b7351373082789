/** What may be sent, checked here first so that most mistakes cost no request. */

import { FIELDS, type Field, type FieldErrors } from "../api/failure.ts";
import type { Item, ItemDraft, ItemPatch } from "../api/items.ts";

export const TITLE_MAX = 200;
export const NOTES_MAX = 2000;

/** A form's fields as the browser holds them. */
export interface DraftInput {
  readonly title: string;
  readonly notes: string;
  /** `YYYY-MM-DD` or empty, as `<input type="date">` gives it. */
  readonly due_on: string;
}

export const EMPTY_DRAFT: DraftInput = { title: "", notes: "", due_on: "" };

export const draftOf = (item: Item): DraftInput => ({
  title: item.title,
  notes: item.notes,
  due_on: item.due_on ?? "",
});

export const toDraft = (input: DraftInput): ItemDraft => ({
  title: input.title.trim(),
  // Not trimmed: an indented first line may be meant.
  notes: input.notes,
  due_on: input.due_on === "" ? null : input.due_on,
});

/** Only what differs, so that an edit here does not undo one made elsewhere. */
export function patchFor(item: Item, draft: ItemDraft): ItemPatch {
  return {
    ...(draft.title === item.title ? {} : { title: draft.title }),
    ...(draft.notes === item.notes ? {} : { notes: draft.notes }),
    ...(draft.due_on === item.due_on ? {} : { due_on: draft.due_on }),
  };
}

/** Counted as the server counts: in code points, not in UTF-16 units. */
const lengthOf = (text: string): number => [...text].length;

export function validate(draft: ItemDraft): FieldErrors {
  const title = lengthOf(draft.title);
  const notes = lengthOf(draft.notes);
  return {
    ...(title === 0 ? { title: "Enter a title." } : {}),
    ...(title > TITLE_MAX
      ? { title: `Use at most ${TITLE_MAX} characters; these are ${title}.` }
      : {}),
    ...(notes > NOTES_MAX
      ? { notes: `Use at most ${NOTES_MAX} characters; these are ${notes}.` }
      : {}),
  };
}

export const firstInvalid = (errors: FieldErrors): Field | undefined =>
  FIELDS.find((field) => errors[field] !== undefined);
