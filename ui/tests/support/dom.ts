/**
 * A document in the global scope, and the testing library that was loaded after it: both React and
 * the library look for a document when they are loaded, so tests take the library from here.
 *
 * What concerns requests stays Bun's own: the tests of the servers may share the global scope.
 */

import { afterEach } from "bun:test";
import { GlobalRegistrator } from "@happy-dom/global-registrator";

const BUNS_OWN = [
  "AbortController",
  "AbortSignal",
  "Blob",
  "fetch",
  "File",
  "FormData",
  "Headers",
  "ReadableStream",
  "Request",
  "Response",
  "TransformStream",
  "URL",
  "URLSearchParams",
  "WritableStream",
];
const bunsOwn = Object.fromEntries(BUNS_OWN.map((name) => [name, Reflect.get(globalThis, name)]));

GlobalRegistrator.register({ url: "http://localhost/", width: 1024, height: 768 });
Object.assign(globalThis, bunsOwn, { IS_REACT_ACT_ENVIRONMENT: true });

const library = await import("@testing-library/react");
export const { act, fireEvent, render, screen, waitFor, within } = library;
// Bun prints where a test failed; the whole document beside it takes seconds and hides that.
library.configure({ getElementError: (message) => new Error(message ?? "") });
export const { userEvent } = await import("@testing-library/user-event");

afterEach(() => {
  library.cleanup();
  window.history.replaceState(null, "", "/");
});
