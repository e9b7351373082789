/**
 * The list as this page knows it: one immutable snapshot, changed only in here, and independent of
 * React. Three rules keep it right while several requests are under way:
 *
 * - what a person does wins: an answer to a background refresh that was asked before a change is
 *   thrown away, and asked again;
 * - an item that has a request under way takes no second one;
 * - an answer for a filter that is no longer shown is thrown away.
 */

import { type ItemsApi, PAGE_LIMIT } from "../api/client.ts";
import { err, type Failure, isGone, ok, type Result } from "../api/failure.ts";
import {
  type Filter,
  type Item,
  type ItemDraft,
  type ItemId,
  type ItemPage,
  type ItemPatch,
  matchesFilter,
} from "../api/items.ts";

export type Phase =
  | { readonly kind: "loading" }
  | { readonly kind: "failed"; readonly failure: Failure }
  | { readonly kind: "ready" };

export type Work = "saving" | "deleting";

export interface Snapshot {
  readonly filter: Filter;
  readonly phase: Phase;
  readonly items: readonly Item[];
  readonly total: number;
  readonly nextCursor: string | null;
  readonly loadingMore: boolean;
  /** Set while what is shown may be out of date, because the last refresh failed. */
  readonly stale: Failure | null;
  readonly pending: ReadonlyMap<ItemId, Work>;
}

export interface Timing {
  /** How often the list is fetched again while the page is visible. */
  readonly intervalMs: number;
  /** The same while there is nothing to show because the server does not answer. */
  readonly retryMs: number;
  /** When to look again after a change: the server marks overdue items a moment later. */
  readonly settleMs: readonly number[];
}

export const DEFAULT_TIMING: Timing = {
  intervalMs: 30_000,
  retryMs: 5_000,
  settleMs: [1_500, 4_000],
};

interface StoreOptions {
  readonly pageSize?: number;
  readonly filter?: Filter;
  readonly timing?: Timing;
}

const emptySnapshot = (filter: Filter): Snapshot => ({
  filter,
  phase: { kind: "loading" },
  items: [],
  total: 0,
  nextCursor: null,
  loadingMore: false,
  stale: null,
  pending: new Map(),
});

const BUSY = err({ kind: "aborted" });

export class ItemsStore {
  readonly #api: ItemsApi;
  readonly #pageSize: number;
  readonly #timing: Timing;
  readonly #listeners = new Set<() => void>();
  readonly #settling = new Set<ReturnType<typeof setTimeout>>();
  #snapshot: Snapshot;
  /** Goes up with every change that a person makes; tells a refresh that it is outdated. */
  #changes = 0;
  /** Aborted when the filter changes or the page goes away. */
  #view = new AbortController();
  #refreshing = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running = false;

  constructor(api: ItemsApi, options: StoreOptions = {}) {
    this.#api = api;
    this.#pageSize = options.pageSize ?? 20;
    this.#timing = options.timing ?? DEFAULT_TIMING;
    this.#snapshot = emptySnapshot(options.filter ?? "all");
  }

  readonly snapshot = (): Snapshot => this.#snapshot;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Loads, keeps fresh until the returned function is called. */
  readonly start = (): (() => void) => {
    this.#running = true;
    this.#view = new AbortController();
    const onFocus = () => {
      if (!document.hidden) void this.refresh();
    };
    window.addEventListener("focus", onFocus);
    window.addEventListener("online", onFocus);
    document.addEventListener("visibilitychange", onFocus);
    void this.#loadFirst();
    return () => {
      this.#running = false;
      this.#view.abort();
      clearTimeout(this.#timer);
      for (const timer of this.#settling) clearTimeout(timer);
      this.#settling.clear();
      window.removeEventListener("focus", onFocus);
      window.removeEventListener("online", onFocus);
      document.removeEventListener("visibilitychange", onFocus);
    };
  };

  readonly setFilter = (filter: Filter): void => {
    if (filter !== this.#snapshot.filter) this.#show(filter);
  };

  /** Starts over, visibly: what "Try again" does. */
  readonly reload = (): void => this.#show(this.#snapshot.filter);

  #show(filter: Filter): void {
    this.#view.abort();
    this.#view = new AbortController();
    this.#changes += 1;
    this.#set({ ...emptySnapshot(filter), pending: this.#snapshot.pending });
    void this.#loadFirst();
  }

  async #loadFirst(): Promise<void> {
    const { signal } = this.#view;
    const page = await this.#api.list(
      { filter: this.#snapshot.filter, limit: this.#pageSize },
      signal,
    );
    if (signal.aborted) return;
    if (page.ok) this.#showPage(page.value);
    else this.#set({ phase: { kind: "failed", failure: page.failure } });
    this.#schedule();
  }

  /** Fetches again what is on the page, without disturbing it. */
  readonly refresh = async (): Promise<void> => {
    const { phase } = this.#snapshot;
    if (!this.#running || this.#refreshing || phase.kind === "loading") return;
    this.#refreshing = true;
    try {
      await this.#refreshOnce();
    } finally {
      this.#refreshing = false;
      this.#schedule();
    }
  };

  async #refreshOnce(): Promise<void> {
    const { signal } = this.#view;
    const changes = this.#changes;
    const page = await this.#fetchShown(signal);
    if (signal.aborted) return;
    if (changes !== this.#changes || this.#snapshot.pending.size > 0) {
      // Overtaken by a change, which looks again once it has settled.
      return;
    }
    if (page.ok) this.#showPage(page.value);
    else if (this.#snapshot.phase.kind === "ready") this.#set({ stale: page.failure });
    else this.#set({ phase: { kind: "failed", failure: page.failure } });
  }

  /** As many items as are on the page, in as few requests as the server's limit allows. */
  async #fetchShown(signal: AbortSignal): Promise<Result<ItemPage>> {
    const { filter } = this.#snapshot;
    const wanted = Math.max(this.#pageSize, this.#snapshot.items.length);
    const items: Item[] = [];
    let cursor: string | null = null;
    for (;;) {
      const limit = Math.min(PAGE_LIMIT, wanted - items.length);
      const page: Result<ItemPage> = await this.#api.list({ filter, limit, cursor }, signal);
      if (!page.ok) return page;
      items.push(...page.value.items);
      cursor = page.value.next_cursor;
      if (cursor === null || items.length >= wanted) return ok({ ...page.value, items });
    }
  }

  /** Answers with the first of the items that came to the end of the list, if any. */
  readonly loadMore = async (): Promise<Result<readonly Item[]>> => {
    const { nextCursor, loadingMore, filter } = this.#snapshot;
    if (nextCursor === null || loadingMore) return BUSY;
    const { signal } = this.#view;
    this.#changes += 1;
    this.#set({ loadingMore: true });
    const page = await this.#api.list(
      { filter, limit: this.#pageSize, cursor: nextCursor },
      signal,
    );
    if (signal.aborted) return BUSY;
    this.#changes += 1;
    if (!page.ok) {
      this.#set({ loadingMore: false });
      return page;
    }
    const known = new Set(this.#snapshot.items.map((item) => item.id));
    const added = page.value.items.filter((item) => !known.has(item.id));
    this.#set({
      items: [...this.#snapshot.items, ...added],
      total: page.value.total,
      nextCursor: page.value.next_cursor,
      loadingMore: false,
    });
    return ok(added);
  };

  readonly create = async (draft: ItemDraft): Promise<Result<Item>> => {
    const created = await this.#api.create(draft);
    if (!created.ok) return created;
    const item = created.value;
    this.#changes += 1;
    if (!matchesFilter(item, this.#snapshot.filter)) {
      // A new item that nobody sees would look like a failure.
      this.#show("all");
    } else if (this.#snapshot.phase.kind !== "ready") {
      this.reload();
    } else if (!this.#snapshot.items.some(({ id }) => id === item.id)) {
      this.#set({ items: [item, ...this.#snapshot.items], total: this.#snapshot.total + 1 });
    }
    this.#settle();
    return created;
  };

  readonly update = (item: Item, patch: ItemPatch): Promise<Result<Item>> =>
    this.#work(item.id, "saving", async () => {
      const updated = await this.#api.update(item.id, patch);
      if (updated.ok) this.#put(updated.value);
      else if (isGone(updated.failure)) this.#drop(item.id);
      return updated;
    });

  /** Shown as done at once, and put back if the server does not agree. */
  readonly setDone = (item: Item, done: boolean): Promise<Result<Item>> =>
    this.#work(item.id, "saving", async () => {
      this.#replace({ ...item, done });
      const updated = await this.#api.update(item.id, { done });
      if (updated.ok) this.#put(updated.value);
      else if (isGone(updated.failure)) this.#drop(item.id);
      else this.#replace(item);
      return updated;
    });

  readonly remove = (item: Item): Promise<Result<null>> =>
    this.#work(item.id, "deleting", async () => {
      const removed = await this.#api.remove(item.id);
      if (!removed.ok && !isGone(removed.failure)) return removed;
      this.#drop(item.id);
      return ok(null);
    });

  async #work<T>(id: ItemId, work: Work, run: () => Promise<Result<T>>): Promise<Result<T>> {
    if (this.#snapshot.pending.has(id)) return BUSY;
    this.#changes += 1;
    this.#set({ pending: new Map(this.#snapshot.pending).set(id, work) });
    try {
      return await run();
    } finally {
      const pending = new Map(this.#snapshot.pending);
      pending.delete(id);
      this.#changes += 1;
      this.#set({ pending });
      this.#settle();
    }
  }

  #replace(item: Item): void {
    this.#set({
      items: this.#snapshot.items.map((other) => (other.id === item.id ? item : other)),
    });
  }

  #put(item: Item): void {
    if (matchesFilter(item, this.#snapshot.filter)) this.#replace(item);
    else this.#drop(item.id);
  }

  #drop(id: ItemId): void {
    const items = this.#snapshot.items.filter((item) => item.id !== id);
    const dropped = this.#snapshot.items.length - items.length;
    if (dropped > 0) this.#set({ items, total: Math.max(0, this.#snapshot.total - dropped) });
  }

  #showPage(page: ItemPage): void {
    this.#set({
      phase: { kind: "ready" },
      items: page.items,
      total: page.total,
      nextCursor: page.next_cursor,
      stale: null,
    });
  }

  #settle(): void {
    for (const delay of this.#running ? this.#timing.settleMs : []) {
      const timer = setTimeout(() => {
        this.#settling.delete(timer);
        void this.refresh();
      }, delay);
      this.#settling.add(timer);
    }
  }

  /** Sets the slow clock anew. A hidden page asks nothing: it looks when it is seen again. */
  #schedule(): void {
    clearTimeout(this.#timer);
    if (!this.#running) return;
    const { phase } = this.#snapshot;
    const delay = phase.kind === "failed" ? this.#timing.retryMs : this.#timing.intervalMs;
    this.#timer = setTimeout(() => {
      if (document.hidden) this.#schedule();
      else void this.refresh();
    }, delay);
  }

  #set(change: Partial<Snapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...change };
    for (const listener of this.#listeners) listener();
  }
}
