/**
 * The development server: the UI with hot module replacement, and the API behind the same origin.
 *
 *   HOST        where to listen           127.0.0.1
 *   PORT                                  5173
 *   API_URL     where the API is          http://127.0.0.1:8080
 *   UI_POLLING  1: look at the files instead of waiting for events (see tools/mirror.ts)
 *
 * `--healthcheck` asks a running server whether it is well: exit code 0 or 1.
 */

import { join } from "node:path";
import { type Mirror, startMirror } from "./tools/mirror.ts";
import { createProxy } from "./tools/proxy.ts";

/** How long requests that are under way may take to finish when the server is told to stop. */
const GRACE_MS = 500;

/** What the page is made of, and the settings that it is compiled with. */
const SOURCES = ["index.html", "public", "src", "package.json", "tsconfig.json"];

export interface DevServerOptions {
  readonly host: string;
  readonly port: number;
  readonly apiUrl: string;
  readonly polling: boolean;
}

export interface DevServer {
  readonly url: URL;
  stop(): Promise<void>;
}

export class UsageError extends Error {
  override readonly name = "UsageError";
}

export function optionsFrom(env: Readonly<Record<string, string | undefined>>): DevServerOptions {
  const { HOST, PORT, API_URL, UI_POLLING } = env;
  const port = Number(PORT || 5173);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new UsageError(`PORT must be a number from 0 to 65535, not “${PORT}”`);
  }
  const apiUrl = API_URL || "http://127.0.0.1:8080";
  const protocol = URL.canParse(apiUrl) ? new URL(apiUrl).protocol : "";
  if (protocol !== "http:" && protocol !== "https:") {
    throw new UsageError(`API_URL must be an http or https address, not “${API_URL}”`);
  }
  return { host: HOST || "127.0.0.1", port, apiUrl, polling: UI_POLLING === "1" };
}

/** Not a static import: a health check needs no page, and the mirror's is at another place. */
async function loadPage(mirror: Mirror | null): Promise<Bun.HTMLBundle> {
  const path = join(mirror?.root ?? import.meta.dir, "index.html");
  const { default: page } = (await import(path)) as { readonly default: Bun.HTMLBundle };
  return page;
}

export async function startDevServer(options: DevServerOptions): Promise<DevServer> {
  const mirror = options.polling
    ? await startMirror({ from: import.meta.dir, names: SOURCES })
    : null;
  const page = await loadPage(mirror);
  const proxy = createProxy({
    apiUrl: options.apiUrl,
    clientOf: (request) => server.requestIP(request)?.address ?? null,
  });
  const server: Bun.Server<undefined> = Bun.serve({
    hostname: options.host,
    port: options.port,
    // Answers may be streams that are silent for a while; the API has timeouts of its own.
    idleTimeout: 0,
    development: { hmr: true, console: true },
    routes: {
      "/": page,
      "/healthz": () => new Response("ok\n"),
      "/api": proxy,
      "/api/*": proxy,
      "/version": proxy,
    },
    fetch: () => new Response("Not found\n", { status: 404 }),
  });
  return {
    url: server.url,
    async stop() {
      await Promise.all([Promise.race([server.stop(), Bun.sleep(GRACE_MS)]), mirror?.stop()]);
      // Browsers hold their hot-reload socket open for good.
      void server.stop(true);
    },
  };
}

/** Whether the server that these options describe is up. */
export async function isHealthy({ host, port }: DevServerOptions): Promise<boolean> {
  const anywhere = host === "0.0.0.0" || host === "::";
  const name = anywhere ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
  try {
    const response = await fetch(`http://${name}:${port}/healthz`, {
      signal: AbortSignal.timeout(2_000),
    });
    return response.ok;
  } catch {
    return false;
  }
}

async function main(args: readonly string[]): Promise<void> {
  const options = optionsFrom(process.env);
  if (args.includes("--healthcheck")) {
    process.exit((await isHealthy(options)) ? 0 : 1);
  }
  const server = await startDevServer(options);
  console.log(`UI at ${server.url}, API at ${options.apiUrl}`);
  const stop = () => void server.stop().then(() => process.exit(0));
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
}

if (import.meta.main) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(error instanceof UsageError ? 2 : 1);
  }
}
