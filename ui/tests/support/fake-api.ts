/** An API in memory, whose every answer a test can delay or replace. */

import type { ItemsApi } from "../../src/api/client.ts";
import { err, type Failure, ok, problemFrom, type Result } from "../../src/api/failure.ts";
import { type Item, type ItemId, matchesFilter } from "../../src/api/items.ts";

export const unreachable: Failure = { kind: "unreachable" };

export const problem = (
  status: number,
  detail: string,
  errors: readonly { readonly field: string; readonly message: string }[] = [],
): Failure => problemFrom(status, { title: "No", detail, request_id: "req-1", errors }, null);

export function makeItem(number: number, change: Partial<Item> = {}): Item {
  return {
    id: `id-${String(number).padStart(4, "0")}` as ItemId,
    title: `Item ${number}`,
    notes: "",
    due_on: null,
    done: false,
    overdue: false,
    created_at: "2030-01-01T00:00:00Z",
    updated_at: "2030-01-01T00:00:00Z",
    ...change,
  };
}

export type Method = Exclude<keyof ItemsApi, "version">;

interface Gate {
  readonly opened: Promise<void>;
  readonly open: () => void;
}

export class FakeApi implements ItemsApi {
  /** Newest first. */
  items: Item[];
  readonly calls: Method[] = [];
  readonly #failures = new Map<Method, Failure>();
  readonly #gates = new Map<Method, Gate>();
  #next = 1000;

  constructor(items: readonly Item[] = []) {
    this.items = [...items];
  }

  /** Every call of the method fails until `heal` is called. */
  fail(method: Method, failure: Failure): void {
    this.#failures.set(method, failure);
  }

  heal(method: Method): void {
    this.#failures.delete(method);
  }

  /** Calls of the method answer only once the returned function was called. */
  hold(method: Method): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gates.set(method, { opened: promise, open: resolve });
    return () => {
      this.#gates.delete(method);
      resolve();
    };
  }

  countOf(method: Method): number {
    return this.calls.filter((call) => call === method).length;
  }

  readonly list: ItemsApi["list"] = ({ filter, limit, cursor }) =>
    this.#answer("list", () => {
      const all = this.items.filter((item) => matchesFilter(item, filter));
      const start = cursor ? all.findIndex((item) => item.id < cursor) : 0;
      const page = start < 0 ? [] : all.slice(start, start + limit);
      const more = start >= 0 && start + limit < all.length;
      return ok({
        items: page,
        next_cursor: more ? (page.at(-1)?.id ?? null) : null,
        total: all.length,
      });
    });

  readonly create: ItemsApi["create"] = (draft) =>
    this.#answer("create", () => {
      this.#next += 1;
      const item = makeItem(this.#next, draft);
      this.items.unshift(item);
      return ok(item);
    });

  readonly update: ItemsApi["update"] = (id, patch) =>
    this.#answer("update", () => {
      const item = this.items.find((other) => other.id === id);
      if (item === undefined) return err(problem(404, "There is no such item."));
      const updated = { ...item, ...patch };
      this.items = this.items.map((other) => (other.id === id ? updated : other));
      return ok(updated);
    });

  readonly remove: ItemsApi["remove"] = (id) =>
    this.#answer("remove", () => {
      this.items = this.items.filter((item) => item.id !== id);
      return ok(null);
    });

  uiBuildId: string | null = null;

  readonly version: ItemsApi["version"] = async () =>
    ok({ version: "1.2.3", build_id: "abc", ui_build_id: this.uiBuildId });

  async #answer<T>(method: Method, run: () => Result<T>): Promise<Result<T>> {
    this.calls.push(method);
    const failure = this.#failures.get(method);
    // What a server answers is settled when the request arrives, not when the answer does.
    const result = failure === undefined ? run() : err(failure);
    await this.#gates.get(method)?.opened;
    return result;
  }
}
