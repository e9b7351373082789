import { useId } from "react";
import { useAnnounce } from "../shell/announcer.tsx";
import { FailureNotice } from "../shell/failure-notice.tsx";
import { EMPTY_DRAFT } from "./draft.ts";
import { DraftFields } from "./draft-fields.tsx";
import type { ItemsStore } from "./store.ts";
import { useDraftForm } from "./use-draft-form.ts";

export function NewItem({ store }: { readonly store: ItemsStore }) {
  const announce = useAnnounce();
  const headingId = useId();
  const form = useDraftForm(EMPTY_DRAFT, store.create, (item) => {
    form.reset();
    form.formRef.current?.querySelector("input")?.focus();
    if (item !== null) announce(`Added “${item.title}”.`);
  });

  return (
    <section className="card" aria-labelledby={headingId}>
      <h2 id={headingId} className="visually-hidden">
        New item
      </h2>
      <form
        ref={form.formRef}
        className="draft"
        noValidate
        onSubmit={form.submit}
        aria-busy={form.pending}
        aria-labelledby={headingId}
      >
        <DraftFields form={form} prefix="new" />
        <div className="actions">
          <button
            type="submit"
            className="button primary"
            aria-disabled={form.pending}
            data-testid="add"
          >
            {form.pending ? "Adding…" : "Add item"}
          </button>
        </div>
      </form>
      {form.failure !== null && (
        <FailureNotice failure={form.failure} title="Not added" testId="form-error" />
      )}
    </section>
  );
}
