import { useEffect, useId, useRef, useState } from "react";
import type { Failure } from "../api/failure.ts";
import type { Item } from "../api/items.ts";
import { useAnnounce } from "../shell/announcer.tsx";
import { FailureNotice } from "../shell/failure-notice.tsx";
import { formatDay } from "./dates.ts";
import { EditItem } from "./edit-item.tsx";
import type { ItemsStore, Work } from "./store.ts";

interface ItemRowProps {
  readonly store: ItemsStore;
  readonly item: Item;
  readonly work: Work | undefined;
}

interface RowFailure {
  readonly title: string;
  readonly failure: Failure;
}

const WORK_LABEL: Readonly<Record<Work, string>> = { saving: "Saving…", deleting: "Deleting…" };

export function ItemRow({ store, item, work }: ItemRowProps) {
  const announce = useAnnounce();
  const titleId = useId();
  const editButton = useRef<HTMLButtonElement>(null);
  const [editing, setEditing] = useState(false);
  const [failed, setFailed] = useState<RowFailure | null>(null);
  const wasEditing = useRef(false);

  // The form takes the focus with it when it goes: give it back to the button that opened it.
  useEffect(() => {
    if (wasEditing.current && !editing) editButton.current?.focus();
    wasEditing.current = editing;
  }, [editing]);

  const fail = (title: string, failure: Failure) => {
    if (failure.kind !== "aborted") setFailed({ title, failure });
  };

  const toggle = async () => {
    setFailed(null);
    const done = !item.done;
    const result = await store.setDone(item, done);
    if (result.ok) announce(`“${item.title}” is ${done ? "done" : "open again"}.`);
    else fail("Not changed", result.failure);
  };

  const remove = async () => {
    setFailed(null);
    const result = await store.remove(item);
    if (result.ok) announce(`Deleted “${item.title}”.`);
    else fail("Not deleted", result.failure);
  };

  const startEditing = () => {
    if (work !== undefined) return;
    setFailed(null);
    setEditing(true);
  };

  const saved = (changed: Item | null) => {
    setEditing(false);
    announce(changed === null ? "Nothing changed." : `Saved “${changed.title}”.`);
  };

  return (
    <li
      className="item"
      data-testid="item"
      data-id={item.id}
      data-done={item.done}
      data-overdue={item.overdue}
      data-work={work}
      tabIndex={-1}
      aria-labelledby={titleId}
      aria-busy={work !== undefined}
    >
      {editing ? (
        <>
          <span id={titleId} className="visually-hidden">
            {item.title}
          </span>
          <EditItem store={store} item={item} onSaved={saved} onCancel={() => setEditing(false)} />
        </>
      ) : (
        <>
          <div className="item-row">
            <input
              type="checkbox"
              className="check"
              checked={item.done}
              onChange={() => void toggle()}
              aria-label={`Done: ${item.title}`}
              data-testid="toggle-done"
            />
            <div className="item-text">
              <h3 id={titleId} className="item-title" data-testid="item-title">
                {item.title}
              </h3>
              {item.notes !== "" && <p className="item-notes">{item.notes}</p>}
              {(item.due_on !== null || work !== undefined) && (
                <p className="item-meta">
                  {item.due_on !== null && (
                    <span className={item.overdue ? "badge overdue" : "badge"} data-testid="due">
                      {item.overdue ? "Overdue since " : "Due "}
                      <time dateTime={item.due_on}>{formatDay(item.due_on)}</time>
                    </span>
                  )}
                  {work !== undefined && <span className="working">{WORK_LABEL[work]}</span>}
                </p>
              )}
            </div>
            <div className="item-actions">
              <button
                ref={editButton}
                type="button"
                className="button quiet"
                onClick={startEditing}
                aria-disabled={work !== undefined}
                aria-label={`Edit ${item.title}`}
                data-testid="edit"
              >
                Edit
              </button>
              <button
                type="button"
                className="button quiet danger"
                onClick={() => void remove()}
                aria-disabled={work !== undefined}
                aria-label={`Delete ${item.title}`}
                data-testid="delete"
              >
                Delete
              </button>
            </div>
          </div>
          {failed !== null && (
            <FailureNotice failure={failed.failure} title={failed.title} testId="item-error" />
          )}
        </>
      )}
    </li>
  );
}
