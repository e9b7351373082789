import { useEffect, useState } from "react";
import type { ItemsApi, ServerVersion } from "../api/client.ts";
import { BUILD_ID } from "./build-id.ts";

/** Ids are long; their beginning tells builds apart, the whole is in the tooltip and the DOM. */
function Id({ label, id }: { readonly label: string; readonly id: string }) {
  return (
    <span>
      {label}{" "}
      <code title={id} data-id={id}>
        {id.length > 16 ? `${id.slice(0, 12)}…` : id}
      </code>
    </span>
  );
}

interface FooterProps {
  readonly api: ItemsApi;
  readonly buildId?: string;
}

export function Footer({ api, buildId = BUILD_ID }: FooterProps) {
  const [server, setServer] = useState<ServerVersion | null>(null);

  useEffect(() => {
    let current = new AbortController();
    const ask = async () => {
      current.abort();
      current = new AbortController();
      const { signal } = current;
      const version = await api.version(signal);
      if (!signal.aborted) setServer(version.ok ? version.value : null);
    };
    void ask();
    // A new server may have been deployed while the page was in the background.
    window.addEventListener("focus", ask);
    return () => {
      current.abort();
      window.removeEventListener("focus", ask);
    };
  }, [api]);

  // The development server serves pages that no build has made, so it has none to compare with.
  const newer = server?.ui_build_id ?? buildId;
  const outdated = newer !== buildId && buildId !== "dev";

  return (
    <footer className="footer" data-testid="footer">
      <Id label="Build" id={buildId} />
      {server !== null && (
        <span data-testid="server-version">
          Server {server.version}
          {server.build_id !== null && (
            <>
              {" · "}
              <Id label="build" id={server.build_id} />
            </>
          )}
        </span>
      )}
      <span role="status" data-testid="outdated">
        {outdated && (
          <>
            There is a newer version of this page.{" "}
            <button type="button" className="link" onClick={() => window.location.reload()}>
              Reload
            </button>
          </>
        )}
      </span>
    </footer>
  );
}
