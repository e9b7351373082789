/** Hands requests on to the API, as they are and while they are still arriving. */

/** Headers about one connection, not about the message: RFC 9110, section 7.6.1. */
const HOP_BY_HOP = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

function endToEnd(headers: Headers): Headers {
  const kept = new Headers(headers);
  const named = headers.get("connection")?.split(",") ?? [];
  for (const name of [...HOP_BY_HOP, ...named]) {
    const trimmed = name.trim();
    if (trimmed !== "") kept.delete(trimmed);
  }
  return kept;
}

function problem(status: number, title: string, detail: string, requestId: string): Response {
  return Response.json(
    { type: "about:blank", title, status, detail, request_id: requestId },
    {
      status,
      headers: {
        "content-type": "application/problem+json",
        "cache-control": "no-store",
        "x-request-id": requestId,
      },
    },
  );
}

const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const code = (error as Error & { readonly code?: unknown }).code;
  return typeof code === "string" ? code : error.message;
};

export interface ProxyOptions {
  readonly apiUrl: string;
  /** The address of the client, for `X-Forwarded-For`. */
  readonly clientOf?: (request: Request) => string | null;
}

export function createProxy({ apiUrl, clientOf }: ProxyOptions) {
  const upstream = new URL(apiUrl);
  const base = upstream.pathname.replace(/\/$/, "");

  return async function proxy(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const target = new URL(`${base}${url.pathname}${url.search}`, upstream);
    const headers = endToEnd(request.headers);
    const requestId = headers.get("x-request-id") ?? crypto.randomUUID();
    headers.set("x-request-id", requestId);
    headers.set("x-forwarded-host", request.headers.get("host") ?? url.host);
    headers.set("x-forwarded-proto", url.protocol.slice(0, -1));
    const client = clientOf?.(request);
    if (client) headers.append("x-forwarded-for", client);
    headers.delete("host");

    try {
      const answer = await fetch(target, {
        method: request.method,
        headers,
        body: request.body,
        redirect: "manual",
        // What is compressed stays so, or the headers would lie about the body.
        decompress: false,
        signal: request.signal,
      });
      return new Response(answer.body, {
        status: answer.status,
        statusText: answer.statusText,
        headers: endToEnd(answer.headers),
      });
    } catch (error) {
      if (request.signal.aborted) return new Response(null, { status: 499 });
      return problem(
        502,
        "The API does not answer",
        `No answer from ${upstream.origin} (${reasonOf(error)}). It may still be starting.`,
        requestId,
      );
    }
  };
}
