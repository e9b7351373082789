import { type KeyboardEvent, useState } from "react";
import { ok } from "../api/failure.ts";
import type { Item } from "../api/items.ts";
import { FailureNotice } from "../shell/failure-notice.tsx";
import { draftOf, patchFor } from "./draft.ts";
import { DraftFields } from "./draft-fields.tsx";
import type { ItemsStore } from "./store.ts";
import { useDraftForm } from "./use-draft-form.ts";

interface EditItemProps {
  readonly store: ItemsStore;
  readonly item: Item;
  /** Called with the saved item, or with null if there was nothing to save. */
  readonly onSaved: (item: Item | null) => void;
  readonly onCancel: () => void;
}

export function EditItem({ store, item, onSaved, onCancel }: EditItemProps) {
  // The item as it was when editing began: a refresh must neither change what is being typed nor
  // make an untouched field look like an edit.
  const [before] = useState(item);
  const [initial] = useState(() => draftOf(item));
  const form = useDraftForm(
    initial,
    async (draft) => {
      const patch = patchFor(before, draft);
      return Object.keys(patch).length === 0 ? ok(null) : store.update(item, patch);
    },
    onSaved,
  );

  const cancel = () => {
    if (!form.pending) onCancel();
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape" && !event.nativeEvent.isComposing) {
      event.stopPropagation();
      cancel();
    }
  };

  return (
    <form
      ref={form.formRef}
      className="draft"
      noValidate
      onSubmit={form.submit}
      onKeyDown={onKeyDown}
      aria-busy={form.pending}
      aria-label={`Edit ${before.title}`}
    >
      <DraftFields form={form} prefix="edit" focusTitle />
      <div className="actions">
        <button
          type="submit"
          className="button primary"
          aria-disabled={form.pending}
          data-testid="save"
        >
          {form.pending ? "Saving…" : "Save"}
        </button>
        <button
          type="button"
          className="button"
          onClick={cancel}
          aria-disabled={form.pending}
          data-testid="cancel"
        >
          Cancel
        </button>
      </div>
      {form.failure !== null && (
        <FailureNotice failure={form.failure} title="Not saved" testId="item-error" />
      )}
    </form>
  );
}
