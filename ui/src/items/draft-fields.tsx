import { type ReactNode, useId } from "react";
import type { Field } from "../api/failure.ts";
import type { DraftForm } from "./use-draft-form.ts";

interface ControlProps {
  readonly id: string;
  readonly name: Field;
  readonly value: string;
  readonly onChange: (event: { readonly target: { readonly value: string } }) => void;
  readonly readOnly: boolean;
  readonly "aria-invalid": boolean;
  readonly "aria-describedby": string | undefined;
  readonly "data-testid": string;
}

interface LabelledProps {
  readonly form: DraftForm;
  readonly field: Field;
  readonly label: string;
  readonly optional?: boolean;
  readonly testId: string;
  readonly children: (props: ControlProps) => ReactNode;
}

/** Servers say "must be a date", to be read after the field's name; this page says whole sentences. */
const sentence = (label: string, message: string): string =>
  /^\p{Ll}/u.test(message) ? `${label} ${message}.` : message;

/** A label, a control, and below it what is wrong with it, tied together for screen readers. */
function Labelled({ form, field, label, optional = false, testId, children }: LabelledProps) {
  const id = useId();
  const error = form.errors[field];
  const errorId = `${id}-error`;
  return (
    <div className={`field field-${field}`}>
      <label htmlFor={id}>
        {label}
        {optional && <span className="optional"> optional</span>}
      </label>
      {children({
        id,
        name: field,
        value: form.input[field],
        onChange: ({ target }) => form.change(field, target.value),
        readOnly: form.pending,
        "aria-invalid": error !== undefined,
        "aria-describedby": error === undefined ? undefined : errorId,
        "data-testid": testId,
      })}
      {error !== undefined && (
        <p className="field-error" id={errorId} data-testid={`${testId}-error`}>
          {sentence(label, error)}
        </p>
      )}
    </div>
  );
}

interface DraftFieldsProps {
  readonly form: DraftForm;
  /** The test ids' first part: `new` gives `new-title`, `new-notes`, `new-due`. */
  readonly prefix: "new" | "edit";
  /** For the form that opens where a person already is. */
  readonly focusTitle?: boolean;
}

export function DraftFields({ form, prefix, focusTitle = false }: DraftFieldsProps) {
  return (
    <>
      <Labelled form={form} field="title" label="Title" testId={`${prefix}-title`}>
        {(props) => (
          <input
            {...props}
            type="text"
            autoComplete="off"
            aria-required="true"
            // biome-ignore lint/a11y/noAutofocus: opened by the person who will type here
            autoFocus={focusTitle}
          />
        )}
      </Labelled>
      <Labelled form={form} field="due_on" label="Due" optional testId={`${prefix}-due`}>
        {(props) => <input {...props} type="date" />}
      </Labelled>
      <Labelled form={form} field="notes" label="Notes" optional testId={`${prefix}-notes`}>
        {(props) => (
          <textarea
            {...props}
            rows={2}
            onKeyDown={(event) => {
              if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
                event.currentTarget.form?.requestSubmit();
              }
            }}
          />
        )}
      </Labelled>
    </>
  );
}
