import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type DevServer, isHealthy, optionsFrom, startDevServer, UsageError } from "../server.ts";

// A bundle takes seconds on a machine that does something else too.
setDefaultTimeout(60_000);

const root = join(import.meta.dir, "..");
const local = { host: "127.0.0.1", port: 0, polling: false };

let tick: () => void = () => undefined;

const upstream = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  async fetch(request) {
    const url = new URL(request.url);
    switch (url.pathname) {
      case "/api/echo":
        return Response.json({
          method: request.method,
          search: url.search,
          headers: Object.fromEntries(request.headers),
          body: await request.text(),
        });
      case "/api/stream": {
        const more = new Promise<void>((resolve) => {
          tick = resolve;
        });
        return new Response(
          new ReadableStream({
            async start(controller) {
              controller.enqueue(new TextEncoder().encode("first"));
              await more;
              controller.enqueue(new TextEncoder().encode("second"));
              controller.close();
            },
          }),
        );
      }
      case "/api/gzip":
        return new Response(gzipSync("hello"), { headers: { "content-encoding": "gzip" } });
      case "/api/elsewhere":
        return Response.redirect("/api/echo", 303);
      case "/version":
        return Response.json({ version: "1" });
      default:
        return new Response(null, { status: 204 });
    }
  },
});

let server: DevServer;
const at = (path: string) => new URL(path, server.url);

beforeAll(async () => {
  server = await startDevServer({ ...local, apiUrl: upstream.url.origin });
});
afterAll(async () => {
  await server.stop();
  await upstream.stop(true);
});

describe("the page", () => {
  test("is served with its script, which compiles", async () => {
    const html = await (await fetch(server.url)).text();
    const script = /src="([^"]+\.js)"/.exec(html)?.[1];
    expect(html).toContain("<title>Items</title>");
    const code = await (await fetch(at(script ?? ""))).text();
    expect(code).toContain("load-more");
  });

  test("health is answered, and what is unknown is not the page", async () => {
    expect((await fetch(at("/healthz"))).status).toBe(200);
    expect((await fetch(at("/nothing"))).status).toBe(404);
  });
});

describe("the proxy", () => {
  test("hands on method, query, body and headers, and says for whom", async () => {
    const response = await fetch(at("/api/echo?a=1&b=%20"), {
      method: "PATCH",
      body: '{"x": 1}',
      headers: { "content-type": "application/json", te: "trailers", "x-request-id": "r-9" },
    });
    const seen = await response.json();
    expect(seen).toMatchObject({ method: "PATCH", search: "?a=1&b=%20", body: '{"x": 1}' });
    expect(seen.headers).toMatchObject({
      "content-type": "application/json",
      "x-request-id": "r-9",
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-host": server.url.host,
      "x-forwarded-proto": "http",
      host: upstream.url.host,
    });
    expect(seen.headers.te).toBeUndefined();
  });

  test("hands on what has arrived before the rest has", async () => {
    const response = await fetch(at("/api/stream"));
    const reader = response.body?.getReader();
    const decode = (chunk: { value?: Uint8Array | undefined } | undefined) =>
      new TextDecoder().decode(chunk?.value);
    expect(decode(await reader?.read())).toBe("first");
    tick();
    expect(decode(await reader?.read())).toBe("second");
  });

  test("leaves compressed bodies, redirects and empty answers as they are", async () => {
    const raw = await fetch(at("/api/gzip"), { decompress: false });
    expect(raw.headers.get("content-encoding")).toBe("gzip");
    expect(new Uint8Array(await raw.arrayBuffer())).toEqual(new Uint8Array(gzipSync("hello")));
    const redirect = await fetch(at("/api/elsewhere"), { redirect: "manual" });
    expect(redirect.status).toBe(303);
    expect(redirect.headers.get("location")).toBe("/api/echo");
    expect((await fetch(at("/api/items/1"), { method: "DELETE" })).status).toBe(204);
    expect(await (await fetch(at("/version"))).json()).toEqual({ version: "1" });
  });

  test("an API that is not there is a problem that says so", async () => {
    const gone = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
    const apiUrl = gone.url.origin;
    await gone.stop(true);
    const lonely = await startDevServer({ ...local, apiUrl });
    const response = await fetch(new URL("/api/items", lonely.url), {
      method: "POST",
      body: "{}",
      headers: { "x-request-id": "r-8" },
    });
    expect(response.status).toBe(502);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    const problem = await response.json();
    expect(problem).toMatchObject({ status: 502, request_id: "r-8" });
    expect(problem.detail).toContain(apiUrl);
    await lonely.stop();
  });
});

describe("the options", () => {
  test("have defaults, also for variables that are set to nothing", () => {
    const defaults = {
      host: "127.0.0.1",
      port: 5173,
      apiUrl: "http://127.0.0.1:8080",
      polling: false,
    };
    expect(optionsFrom({})).toEqual(defaults);
    expect(optionsFrom({ HOST: "", PORT: "", API_URL: "", UI_POLLING: "" })).toEqual(defaults);
    expect(optionsFrom({ HOST: "::", PORT: "80", UI_POLLING: "1" })).toMatchObject({
      host: "::",
      port: 80,
      polling: true,
    });
  });

  test.each([
    ["PORT", "http"],
    ["PORT", "70000"],
    ["API_URL", "api:8080"],
    ["API_URL", "nonsense"],
  ])("%s=%s is refused", (name, value) => {
    expect(() => optionsFrom({ [name]: value })).toThrow(UsageError);
  });
});

describe("the process", () => {
  const start = (...args: string[]) =>
    Bun.spawn([process.execPath, join(root, "server.ts"), ...args], {
      env: { ...process.env, PORT: String(port), API_URL: upstream.url.origin },
      stdout: "pipe",
      stderr: "inherit",
    });
  const free = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
  const port = free.port ?? 0;
  beforeAll(() => free.stop(true));

  test("is healthy while it runs, and stops within a second with a request open", async () => {
    const options = { ...local, port, apiUrl: upstream.url.origin };
    expect(await start("--healthcheck").exited).toBe(1);
    const child = start();
    await child.stdout.getReader().read();
    expect(await isHealthy({ ...options, host: "0.0.0.0" })).toBe(true);
    expect(await start("--healthcheck").exited).toBe(0);
    const response = await fetch(`http://127.0.0.1:${port}/api/stream`);
    const told = performance.now();
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    expect(performance.now() - told).toBeLessThan(1000);
    await response.body?.cancel().catch(() => undefined);
  });
});
