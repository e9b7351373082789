import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { ItemsApi } from "./api/client.ts";
import { FilterBar } from "./items/filter-bar.tsx";
import { filterFromUrl, writeFilterToUrl } from "./items/filter-in-url.ts";
import { ItemList } from "./items/item-list.tsx";
import { NewItem } from "./items/new-item.tsx";
import { ItemsStore, type Snapshot, type Timing } from "./items/store.ts";
import { Announcer } from "./shell/announcer.tsx";
import { FailureNotice } from "./shell/failure-notice.tsx";
import { Footer } from "./shell/footer.tsx";

interface AppProps {
  readonly api: ItemsApi;
  readonly pageSize?: number;
  readonly timing?: Timing;
}

const countText = ({ phase, total }: Snapshot): string => {
  if (phase.kind !== "ready") return "";
  return total === 1 ? "1 item" : `${total} items`;
};

export function App({ api, ...options }: AppProps) {
  const [store] = useState(
    () => new ItemsStore(api, { ...options, filter: filterFromUrl(window.location.search) }),
  );
  const snapshot = useSyncExternalStore(store.subscribe, store.snapshot);
  const main = useRef<HTMLElement>(null);
  const list = useRef<HTMLElement>(null);

  useEffect(() => store.start(), [store]);
  useEffect(() => writeFilterToUrl(snapshot.filter), [snapshot.filter]);

  const focusNewTitle = useCallback(() => {
    main.current?.querySelector<HTMLElement>("[name=title]")?.focus();
  }, []);

  // The button goes away with the failure, and must not take the focus along.
  const retry = (again: () => void) => () => {
    list.current?.focus();
    again();
  };

  return (
    <Announcer>
      <div className="page">
        <header className="header">
          <h1>Items</h1>
        </header>
        <main ref={main}>
          <NewItem store={store} />
          <section
            ref={list}
            className="list"
            tabIndex={-1}
            aria-label="Items"
            aria-busy={snapshot.phase.kind === "loading"}
          >
            <div className="toolbar">
              <FilterBar value={snapshot.filter} onChange={store.setFilter} />
              <p className="count" role="status" data-testid="count">
                {countText(snapshot)}
              </p>
            </div>
            {snapshot.stale !== null && (
              <FailureNotice failure={snapshot.stale} title="Not up to date" testId="error">
                <Retry onClick={retry(store.refresh)} />
              </FailureNotice>
            )}
            {snapshot.phase.kind === "loading" && <Loading />}
            {snapshot.phase.kind === "failed" && (
              <FailureNotice
                failure={snapshot.phase.failure}
                title="The items could not be loaded"
                testId="error"
              >
                <Retry onClick={retry(store.reload)} />
              </FailureNotice>
            )}
            {snapshot.phase.kind === "ready" && (
              <ItemList store={store} snapshot={snapshot} onEmpty={focusNewTitle} />
            )}
          </section>
        </main>
        <Footer api={api} />
      </div>
    </Announcer>
  );
}

function Retry({ onClick }: { readonly onClick: () => void }) {
  return (
    <button type="button" className="button" onClick={onClick} data-testid="retry">
      Try again
    </button>
  );
}

function Loading() {
  return (
    <div className="loading" role="status" data-testid="loading">
      <span className="visually-hidden">Loading items…</span>
      <div className="skeleton" />
      <div className="skeleton" />
      <div className="skeleton" />
    </div>
  );
}
