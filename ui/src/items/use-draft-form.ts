import { type FormEvent, type RefObject, useCallback, useRef, useState } from "react";
import type { Result } from "../api/failure.ts";
import { type Failure, type Field, type FieldErrors, hasFieldErrors } from "../api/failure.ts";
import type { Item, ItemDraft } from "../api/items.ts";
import { type DraftInput, firstInvalid, toDraft, validate } from "./draft.ts";

export interface DraftForm {
  readonly formRef: RefObject<HTMLFormElement | null>;
  readonly input: DraftInput;
  readonly errors: FieldErrors;
  /** What went wrong and belongs to no field. */
  readonly failure: Failure | null;
  readonly pending: boolean;
  readonly change: (field: Field, value: string) => void;
  readonly submit: (event: FormEvent<HTMLFormElement>) => void;
  readonly reset: () => void;
}

const control = (form: HTMLFormElement | null, field: Field): HTMLElement | null => {
  const element = form?.elements.namedItem(field);
  return element instanceof HTMLElement ? element : null;
};

/** A date that is half typed is empty to scripts; only the browser knows that it is not. */
const halfTypedDate = (form: HTMLFormElement): boolean => {
  const element = control(form, "due_on");
  return element instanceof HTMLInputElement && element.validity.badInput;
};

/**
 * The state of a form that writes an item: at most one request at a time, mistakes shown at their
 * fields whoever found them, and the focus on the first of them.
 */
export function useDraftForm(
  initial: DraftInput,
  send: (draft: ItemDraft) => Promise<Result<Item | null>>,
  onSaved: (item: Item | null) => void,
): DraftForm {
  const formRef = useRef<HTMLFormElement>(null);
  const [input, setInput] = useState(initial);
  const [errors, setErrors] = useState<FieldErrors>({});
  const [failure, setFailure] = useState<Failure | null>(null);
  const [pending, setPending] = useState(false);
  // State arrives with the next render; a second click can come before that.
  const busy = useRef(false);

  const change = useCallback((field: Field, value: string) => {
    setInput((previous) => ({ ...previous, [field]: value }));
    setErrors(({ [field]: _fixed, ...others }) => others);
  }, []);

  const reset = useCallback(() => {
    setInput(initial);
    setErrors({});
    setFailure(null);
  }, [initial]);

  const reject = (found: FieldErrors) => {
    setErrors(found);
    const first = firstInvalid(found);
    if (first !== undefined) control(formRef.current, first)?.focus();
  };

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (busy.current) return;
    const draft = toDraft(input);
    const found: FieldErrors = {
      ...validate(draft),
      ...(halfTypedDate(event.currentTarget) ? { due_on: "Enter the whole date, or none." } : {}),
    };
    setFailure(null);
    if (firstInvalid(found) !== undefined) return reject(found);
    setErrors({});
    busy.current = true;
    setPending(true);
    const result = await send(draft);
    busy.current = false;
    setPending(false);
    if (result.ok) return onSaved(result.value);
    if (result.failure.kind === "aborted") return;
    if (result.failure.kind === "problem" && hasFieldErrors(result.failure)) {
      reject(result.failure.fields);
      if (result.failure.others.length > 0) setFailure(result.failure);
    } else {
      setFailure(result.failure);
    }
  };

  return {
    formRef,
    input,
    errors,
    failure,
    pending,
    change,
    submit: (event) => void submit(event),
    reset,
  };
}
