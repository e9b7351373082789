import { useLayoutEffect, useRef, useState } from "react";
import type { Failure } from "../api/failure.ts";
import type { ItemId } from "../api/items.ts";
import { useAnnounce } from "../shell/announcer.tsx";
import { FailureNotice } from "../shell/failure-notice.tsx";
import { ItemRow } from "./item-row.tsx";
import type { ItemsStore, Snapshot } from "./store.ts";
import { focusItem, useFocusRescue } from "./use-focus-rescue.ts";

interface ItemListProps {
  readonly store: ItemsStore;
  readonly snapshot: Snapshot;
  /** Where the focus goes when the last row has gone. */
  readonly onEmpty: () => void;
}

const EMPTY_TEXT: Readonly<Record<Snapshot["filter"], string>> = {
  all: "Nothing here yet. Add the first item above.",
  open: "Nothing open. All done!",
  done: "Nothing done yet.",
};

export function ItemList({ store, snapshot, onEmpty }: ItemListProps) {
  const announce = useAnnounce();
  const list = useRef<HTMLUListElement>(null);
  const [moreFailure, setMoreFailure] = useState<Failure | null>(null);
  const [focusOn, setFocusOn] = useState<ItemId | null>(null);
  const rescue = useFocusRescue(list, snapshot.items, onEmpty);

  // The first of the items that "Load more" brought; the button may be gone by now.
  useLayoutEffect(() => {
    if (focusOn !== null) focusItem(list.current, focusOn);
  }, [focusOn]);

  const loadMore = async () => {
    setMoreFailure(null);
    const result = await store.loadMore();
    if (result.ok) {
      announce(`${result.value.length} more ${result.value.length === 1 ? "item" : "items"}.`);
      setFocusOn(result.value[0]?.id ?? null);
    } else if (result.failure.kind !== "aborted") {
      setMoreFailure(result.failure);
    }
  };

  if (snapshot.items.length === 0) {
    return (
      <div className="empty" data-testid="empty">
        <p>{EMPTY_TEXT[snapshot.filter]}</p>
      </div>
    );
  }

  return (
    <>
      <ul ref={list} className="items" onFocus={rescue.onFocus} onBlur={rescue.onBlur}>
        {snapshot.items.map((item) => (
          <ItemRow key={item.id} store={store} item={item} work={snapshot.pending.get(item.id)} />
        ))}
      </ul>
      {moreFailure !== null && (
        <FailureNotice failure={moreFailure} title="No more loaded" testId="more-error" />
      )}
      {snapshot.nextCursor !== null && (
        <div className="more">
          <button
            type="button"
            className="button"
            onClick={() => void loadMore()}
            aria-disabled={snapshot.loadingMore}
            data-testid="load-more"
          >
            {snapshot.loadingMore ? "Loading…" : "Load more"}
          </button>
        </div>
      )}
    </>
  );
}
