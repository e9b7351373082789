/** The API, as functions that never throw: they answer with a `Result`. */

import * as d from "./decode.ts";
import { DecodeError, type Decoder } from "./decode.ts";
import { err, ok, problemFrom, type Result } from "./failure.ts";
import {
  decodeItem,
  decodePage,
  type Filter,
  type Item,
  type ItemDraft,
  type ItemId,
  type ItemPage,
  type ItemPatch,
} from "./items.ts";

/** The most items that are asked for in one request. */
export const PAGE_LIMIT = 100;

export interface ListQuery {
  readonly filter: Filter;
  readonly limit: number;
  readonly cursor?: string | null;
}

export interface ServerVersion {
  readonly version: string;
  readonly build_id: string | null;
  /** The build of the page that the server would send now. */
  readonly ui_build_id: string | null;
}

export interface ItemsApi {
  list(query: ListQuery, signal?: AbortSignal): Promise<Result<ItemPage>>;
  create(draft: ItemDraft): Promise<Result<Item>>;
  update(id: ItemId, patch: ItemPatch): Promise<Result<Item>>;
  remove(id: ItemId): Promise<Result<null>>;
  version(signal?: AbortSignal): Promise<Result<ServerVersion>>;
}

type Fetch = (input: string, init: RequestInit) => Promise<Response>;

interface ClientOptions {
  readonly fetch?: Fetch;
  readonly baseUrl?: string;
  /** A request that takes longer counts as unreachable. */
  readonly timeoutMs?: number;
}

interface Call<T> {
  readonly path: string;
  readonly decode: Decoder<T>;
  readonly method?: "GET" | "POST" | "PATCH" | "DELETE";
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
}

const decodeVersion: Decoder<ServerVersion> = d.object({
  version: d.string,
  build_id: d.withDefault(d.nullable(d.string), null),
  ui_build_id: d.withDefault(d.nullable(d.string), null),
});

const nothing: Decoder<null> = () => null;

async function bodyOf(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return text === "" ? null : (JSON.parse(text) as unknown);
  } catch {
    return text;
  }
}

export function createClient({
  fetch: send = (input, init) => fetch(input, init),
  baseUrl = "",
  timeoutMs = 15_000,
}: ClientOptions = {}): ItemsApi {
  async function call<T>({
    path,
    decode,
    method = "GET",
    body,
    signal,
  }: Call<T>): Promise<Result<T>> {
    const timeout = AbortSignal.timeout(timeoutMs);
    const headers = new Headers({ accept: "application/json, application/problem+json" });
    if (body !== undefined) headers.set("content-type", "application/json");
    let response: Response;
    let answer: unknown;
    try {
      response = await send(`${baseUrl}${path}`, {
        method,
        headers,
        cache: "no-store",
        signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      answer = await bodyOf(response);
    } catch {
      return err({ kind: signal?.aborted === true ? "aborted" : "unreachable" });
    }
    if (!response.ok) {
      return err(problemFrom(response.status, answer, response.headers.get("x-request-id")));
    }
    try {
      return ok(decode(answer, "answer"));
    } catch (error) {
      if (error instanceof DecodeError) return err({ kind: "malformed", detail: error.message });
      throw error;
    }
  }

  const itemPath = (id: ItemId) => `/api/items/${encodeURIComponent(id)}`;

  return {
    list({ filter, limit, cursor }, signal) {
      const query = new URLSearchParams({ limit: String(limit) });
      if (cursor) query.set("cursor", cursor);
      if (filter !== "all") query.set("done", String(filter === "done"));
      return call({ path: `/api/items?${query}`, decode: decodePage, signal });
    },
    create: (draft) =>
      call({ path: "/api/items", method: "POST", body: draft, decode: decodeItem }),
    update: (id, patch) =>
      call({ path: itemPath(id), method: "PATCH", body: patch, decode: decodeItem }),
    remove: (id) => call({ path: itemPath(id), method: "DELETE", decode: nothing }),
    version: (signal) => call({ path: "/version", decode: decodeVersion, signal }),
  };
}
