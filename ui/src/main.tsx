import { StrictMode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { createClient } from "./api/client.ts";
import { App } from "./app.tsx";

const container = document.getElementById("root");
if (container === null) throw new Error("index.html has no element with the id “root”");

const app = (
  <StrictMode>
    <App api={createClient()} />
  </StrictMode>
);

if (import.meta.hot) {
  // The root outlives a hot update of this module; a second one would not replace the first.
  const data = import.meta.hot.data as { root?: Root };
  data.root ??= createRoot(container);
  data.root.render(app);
} else {
  createRoot(container).render(app);
}
