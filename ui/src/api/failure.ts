/** Everything that can go wrong between here and the server, as values. */

import * as d from "./decode.ts";

export type Field = "title" | "notes" | "due_on";
export const FIELDS: readonly Field[] = ["title", "notes", "due_on"];
export type FieldErrors = Readonly<Partial<Record<Field, string>>>;

export type Failure =
  /** No answer at all. */
  | { readonly kind: "unreachable" }
  /** Somebody, mostly this program, no longer wants the answer. */
  | { readonly kind: "aborted" }
  /** The server answered something that is not what was agreed on. */
  | { readonly kind: "malformed"; readonly detail: string }
  /** The server said no, and why. */
  | {
      readonly kind: "problem";
      readonly status: number;
      readonly title: string;
      readonly detail: string;
      readonly requestId: string | null;
      readonly fields: FieldErrors;
      /** Messages about fields that no form here has. */
      readonly others: readonly string[];
    };

export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: Failure };

export const ok = <T>(value: T): Result<T> => ({ ok: true, value });
export const err = (failure: Failure): Result<never> => ({ ok: false, failure });

const decodeProblem = d.object({
  title: d.withDefault(d.string, ""),
  detail: d.withDefault(d.string, ""),
  request_id: d.withDefault(d.nullable(d.string), null),
  errors: d.withDefault(d.list(d.object({ field: d.string, message: d.string })), []),
});

const isField = (name: string): name is Field => (FIELDS as readonly string[]).includes(name);

/** Reads an RFC 9457 problem; `body` may be anything, because proxies answer too. */
export function problemFrom(
  status: number,
  body: unknown,
  requestIdHeader: string | null,
): Failure {
  const known = typeof body === "object" && body !== null && !Array.isArray(body) ? body : {};
  const problem = decodeProblem(known, "problem");
  const fields: Partial<Record<Field, string>> = {};
  const others: string[] = [];
  for (const { field, message } of problem.errors) {
    if (!isField(field)) others.push(`${field}: ${message}`);
    else if (fields[field] === undefined) fields[field] = message;
  }
  return {
    kind: "problem",
    status,
    title: problem.title || `The server answered ${status}`,
    detail: problem.detail,
    requestId: problem.request_id ?? requestIdHeader,
    fields,
    others,
  };
}

export const hasFieldErrors = (failure: Failure): boolean =>
  failure.kind === "problem" && Object.keys(failure.fields).length > 0;

/** One or two sentences for a person. */
export function describe(failure: Failure): string {
  switch (failure.kind) {
    case "unreachable":
      return "The server cannot be reached. Check the connection and try again.";
    case "aborted":
      return "The request was cancelled.";
    case "malformed":
      return "The server sent an answer that this page does not understand.";
    case "problem": {
      const sentence = failure.detail || failure.title;
      return failure.others.length === 0 ? sentence : `${sentence} (${failure.others.join("; ")})`;
    }
  }
}

export const requestIdOf = (failure: Failure): string | null =>
  failure.kind === "problem" ? failure.requestId : null;

/** The item is gone on the server: somebody else deleted it. */
export const isGone = (failure: Failure): boolean =>
  failure.kind === "problem" && (failure.status === 404 || failure.status === 410);
