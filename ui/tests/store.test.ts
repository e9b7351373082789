import "./support/dom.ts";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { ItemsStore, type Snapshot } from "../src/items/store.ts";
import { FakeApi, makeItem, problem, unreachable } from "./support/fake-api.ts";

const quick = { intervalMs: 60_000, retryMs: 60_000, settleMs: [] };
const draft = { title: "New", notes: "", due_on: null };

let stop: () => void = () => undefined;
afterEach(() => stop());

const until = async (store: ItemsStore, condition: (snapshot: Snapshot) => boolean) => {
  for (let tries = 0; tries < 200; tries += 1) {
    if (condition(store.snapshot())) return;
    await Bun.sleep(1);
  }
  throw new Error("the store never got there");
};

async function started(api: FakeApi, options: ConstructorParameters<typeof ItemsStore>[1] = {}) {
  const store = new ItemsStore(api, { timing: quick, pageSize: 3, ...options });
  stop = store.start();
  await until(store, ({ phase }) => phase.kind !== "loading");
  return store;
}

const titles = (store: ItemsStore) => store.snapshot().items.map(({ title }) => title);
const first = (store: ItemsStore) => {
  const [item] = store.snapshot().items;
  if (item === undefined) throw new Error("there is no item");
  return item;
};

let api: FakeApi;
beforeEach(() => {
  api = new FakeApi([5, 4, 3, 2, 1].map((number) => makeItem(number)));
});

describe("paging", () => {
  test("more comes to the end, once, however often it is asked for", async () => {
    const store = await started(api);
    expect(titles(store)).toEqual(["Item 5", "Item 4", "Item 3"]);
    const [result, second] = await Promise.all([store.loadMore(), store.loadMore()]);
    expect(result.ok && result.value.map(({ title }) => title)).toEqual(["Item 2", "Item 1"]);
    expect(second.ok).toBe(false);
    expect(titles(store)).toHaveLength(5);
    expect(store.snapshot()).toMatchObject({ nextCursor: null, total: 5, loadingMore: false });
  });

  test("a refresh keeps every page that was loaded", async () => {
    const store = await started(api);
    await store.loadMore();
    api.items = api.items.map((item) => ({ ...item, overdue: true }));
    await store.refresh();
    expect(store.snapshot().items).toHaveLength(5);
    expect(store.snapshot().items.every(({ overdue }) => overdue)).toBe(true);
  });

  test("a refresh of many items takes as many requests as the server's limit asks for", async () => {
    api.items = Array.from({ length: 250 }, (_, index) => makeItem(250 - index));
    const store = await started(api, { pageSize: 230 });
    const before = api.countOf("list");
    await store.refresh();
    expect(store.snapshot().items).toHaveLength(230);
    expect(api.countOf("list") - before).toBe(3);
  });

  test("a failure leaves what was there, and the next try works", async () => {
    const store = await started(api);
    api.fail("list", unreachable);
    expect(await store.loadMore()).toEqual({ ok: false, failure: unreachable });
    api.heal("list");
    await store.loadMore();
    expect(titles(store)).toHaveLength(5);
  });
});

describe("changes and refreshes that overlap", () => {
  test("an answer from before a deletion does not bring the item back", async () => {
    const store = await started(api);
    const open = api.hold("list");
    const refreshed = store.refresh();
    await store.remove(first(store));
    open();
    await refreshed;
    expect(titles(store)).toEqual(["Item 4", "Item 3"]);
  });

  test("an answer for another filter is thrown away", async () => {
    api.items = [makeItem(2, { done: true }), makeItem(1)];
    const store = await started(api);
    const open = api.hold("list");
    store.setFilter("done");
    store.setFilter("open");
    open();
    await until(store, ({ phase }) => phase.kind === "ready");
    await Bun.sleep(5);
    expect(titles(store)).toEqual(["Item 1"]);
    expect(store.snapshot().filter).toBe("open");
  });

  test("an item under way takes no second request", async () => {
    const store = await started(api);
    const open = api.hold("remove");
    const item = first(store);
    const removed = store.remove(item);
    expect(await store.remove(item)).toEqual({ ok: false, failure: { kind: "aborted" } });
    expect(await store.setDone(item, true)).toMatchObject({ ok: false });
    open();
    expect((await removed).ok).toBe(true);
    expect(api.calls.filter((call) => call !== "list")).toEqual(["remove"]);
    expect(store.snapshot().pending.size).toBe(0);
  });
});

describe("done", () => {
  test("is shown before the server has answered, and put back if it refuses", async () => {
    const store = await started(api);
    api.fail("update", problem(500, "No."));
    const open = api.hold("update");
    const changed = store.setDone(first(store), true);
    expect(first(store).done).toBe(true);
    open();
    expect((await changed).ok).toBe(false);
    expect(first(store).done).toBe(false);
  });

  test("takes the item out of a list of open ones, and out of the total", async () => {
    const store = await started(api, { filter: "open" });
    await store.setDone(first(store), true);
    expect(titles(store)).toEqual(["Item 4", "Item 3"]);
    expect(store.snapshot().total).toBe(4);
  });
});

describe("creating", () => {
  test("puts the item on top", async () => {
    const store = await started(api);
    await store.create(draft);
    expect(titles(store)[0]).toBe("New");
    expect(store.snapshot().total).toBe(6);
  });

  test("leaves a filter that would hide the item", async () => {
    const store = await started(api, { filter: "done" });
    await store.create(draft);
    await until(store, ({ phase, filter }) => phase.kind === "ready" && filter === "all");
    expect(titles(store)[0]).toBe("New");
  });
});

describe("what somebody else deleted", () => {
  test("is gone for a deletion as well, which then is no failure", async () => {
    const store = await started(api);
    api.fail("remove", problem(404, "There is no such item."));
    expect((await store.remove(first(store))).ok).toBe(true);
    expect(titles(store)).toEqual(["Item 4", "Item 3"]);
  });

  test("goes when it cannot be changed any more", async () => {
    const store = await started(api);
    api.items = api.items.slice(1);
    expect((await store.setDone(first(store), true)).ok).toBe(false);
    expect(titles(store)).toEqual(["Item 4", "Item 3"]);
  });
});

describe("staying fresh", () => {
  test("a failed refresh keeps the items and says so until one succeeds", async () => {
    const store = await started(api);
    api.fail("list", unreachable);
    await store.refresh();
    expect(store.snapshot()).toMatchObject({ phase: { kind: "ready" }, stale: unreachable });
    expect(titles(store)).toHaveLength(3);
    api.heal("list");
    await store.refresh();
    expect(store.snapshot().stale).toBeNull();
  });

  test("a first load that failed is tried again by itself", async () => {
    api.fail("list", unreachable);
    const store = await started(api, { timing: { ...quick, retryMs: 10 } });
    expect(store.snapshot().phase).toEqual({ kind: "failed", failure: unreachable });
    api.heal("list");
    await until(store, ({ phase }) => phase.kind === "ready");
  });

  test("it looks at intervals, on focus, and a moment after a change", async () => {
    const store = await started(api, { timing: { ...quick, intervalMs: 15 } });
    const mark = () => {
      api.items = api.items.map((item) => ({ ...item, overdue: !item.overdue }));
    };
    mark();
    await until(store, () => first(store).overdue);
    stop();

    const calm = await started(api, { timing: { ...quick, settleMs: [10] } });
    mark();
    window.dispatchEvent(new Event("focus"));
    await until(calm, () => !first(calm).overdue);
    await calm.update(first(calm), { due_on: "2020-01-01" });
    mark();
    await until(calm, () => first(calm).overdue);
  });

  test("it asks nothing once it was stopped", async () => {
    const store = await started(api, { timing: { ...quick, intervalMs: 5 } });
    stop();
    const before = api.calls.length;
    window.dispatchEvent(new Event("focus"));
    await store.refresh();
    await Bun.sleep(20);
    expect(api.calls).toHaveLength(before);
  });
});
