import { afterAll, describe, expect, test } from "bun:test";
import { createClient } from "../src/api/client.ts";
import { describe as inWords } from "../src/api/failure.ts";
import type { ItemId } from "../src/api/items.ts";
import { makeItem } from "./support/fake-api.ts";

interface Seen {
  readonly method: string;
  readonly target: string;
  readonly body: string;
}

let seen: Seen[] = [];
let respond: (request: Request) => Response | Promise<Response> = () => new Response(null);

const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  async fetch(request) {
    const url = new URL(request.url);
    seen.push({
      method: request.method,
      target: `${url.pathname}${url.search}`,
      body: await request.text(),
    });
    return respond(request);
  },
});
afterAll(() => server.stop(true));

const api = createClient({ baseUrl: server.url.origin });

function answering(respondWith: typeof respond): void {
  seen = [];
  respond = respondWith;
}

const emptyPage = () => Response.json({ items: [], next_cursor: null, total: 0 });

describe("requests", () => {
  test("a list asks for the filter, the limit and the cursor", async () => {
    answering(emptyPage);
    await api.list({ filter: "all", limit: 20 });
    await api.list({ filter: "open", limit: 5, cursor: "a b&c" });
    await api.list({ filter: "done", limit: 5, cursor: null });
    expect(seen.map(({ target }) => target)).toEqual([
      "/api/items?limit=20",
      "/api/items?limit=5&cursor=a+b%26c&done=false",
      "/api/items?limit=5&done=true",
    ]);
  });

  test("changes are sent as JSON to the item's own address", async () => {
    answering(() => Response.json(makeItem(1)));
    const id = "a/b" as ItemId;
    await api.create({ title: "T", notes: "", due_on: "2030-01-31" });
    await api.update(id, { done: true });
    answering(() => new Response(null, { status: 204 }));
    expect(await api.remove(id)).toEqual({ ok: true, value: null });
    expect(seen).toEqual([{ method: "DELETE", target: "/api/items/a%2Fb", body: "" }]);
  });

  test("a created item comes back typed", async () => {
    answering(() => Response.json({ ...makeItem(7), notes: null, extra: 1 }, { status: 201 }));
    const result = await api.create({ title: "T", notes: "", due_on: null });
    expect(result).toEqual({ ok: true, value: makeItem(7) });
    expect(JSON.parse(seen[0]?.body ?? "")).toEqual({ title: "T", notes: "", due_on: null });
  });
});

describe("failures", () => {
  test("a problem keeps its fields, its other messages and its request id", async () => {
    answering(() =>
      Response.json(
        {
          type: "about:blank",
          title: "Unprocessable",
          status: 422,
          detail: "The input is wrong.",
          request_id: "r-1",
          errors: [
            { field: "title", message: "must not be empty" },
            { field: "title", message: "a second one" },
            { field: "colour", message: "is unknown" },
          ],
        },
        { status: 422, headers: { "content-type": "application/problem+json" } },
      ),
    );
    const result = await api.create({ title: "", notes: "", due_on: null });
    if (result.ok) throw new Error("expected a failure");
    expect(result.failure).toEqual({
      kind: "problem",
      status: 422,
      title: "Unprocessable",
      detail: "The input is wrong.",
      requestId: "r-1",
      fields: { title: "must not be empty" },
      others: ["colour: is unknown"],
    });
    expect(inWords(result.failure)).toBe("The input is wrong. (colour: is unknown)");
  });

  test.each([
    ["HTML", "<h1>Bad gateway</h1>"],
    ["nothing", ""],
    ["a list", "[]"],
    ["other types", '{"title": 1, "detail": {}, "errors": "x"}'],
  ])("an error that is %s is still a problem", async (_name, body) => {
    answering(() => new Response(body, { status: 502, headers: { "x-request-id": "r-2" } }));
    const result = await api.list({ filter: "all", limit: 1 });
    expect(result).toEqual({
      ok: false,
      failure: {
        kind: "problem",
        status: 502,
        title: "The server answered 502",
        detail: "",
        requestId: "r-2",
        fields: {},
        others: [],
      },
    });
  });

  test.each([
    ["not JSON", "hello", "answer: expected an object, found string"],
    ["of another shape", '{"items": {}}', "answer.items: expected a list, found object"],
    [
      "wrong deep inside",
      `{"items": [${JSON.stringify({ ...makeItem(1), done: "no" })}]}`,
      "answer.items[0].done: expected true or false, found string",
    ],
  ])("an answer that is %s says where", async (_name, body, detail) => {
    answering(() => new Response(body));
    const result = await api.list({ filter: "all", limit: 1 });
    expect(result).toEqual({ ok: false, failure: { kind: "malformed", detail } });
  });

  test("a server that is not there is unreachable", async () => {
    const gone = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
    await gone.stop(true);
    const result = await createClient({ baseUrl: gone.url.origin }).version();
    expect(result).toEqual({ ok: false, failure: { kind: "unreachable" } });
  });

  test("a server that is too slow is unreachable", async () => {
    answering(async () => {
      await Bun.sleep(300);
      return emptyPage();
    });
    const impatient = createClient({ baseUrl: server.url.origin, timeoutMs: 20 });
    const result = await impatient.list({ filter: "all", limit: 1 });
    expect(result).toEqual({ ok: false, failure: { kind: "unreachable" } });
  });

  test("a request that the caller gave up is aborted", async () => {
    const controller = new AbortController();
    answering(async () => {
      controller.abort();
      await Bun.sleep(50);
      return emptyPage();
    });
    const result = await api.list({ filter: "all", limit: 1 }, controller.signal);
    expect(result).toEqual({ ok: false, failure: { kind: "aborted" } });
  });
});

test("a version needs no build ids", async () => {
  answering(() => Response.json({ version: "1.0.0" }));
  const value = { version: "1.0.0", build_id: null, ui_build_id: null };
  expect(await api.version()).toEqual({ ok: true, value });
});
