import { createContext, type ReactNode, useCallback, useContext, useState } from "react";

type Announce = (message: string) => void;

const AnnounceContext = createContext<Announce>(() => undefined);

/** Says something to screen readers, politely: `announce("Deleted “Milk”.")`. */
export const useAnnounce = (): Announce => useContext(AnnounceContext);

export function Announcer({ children }: { readonly children: ReactNode }) {
  const [{ message, count }, setState] = useState({ message: "", count: 0 });
  const announce = useCallback<Announce>(
    (next) => setState((previous) => ({ message: next, count: previous.count + 1 })),
    [],
  );
  return (
    <AnnounceContext value={announce}>
      {children}
      <div className="visually-hidden" role="status" aria-live="polite" data-testid="announcer">
        {/* The key makes the same words, said twice, a change that is read twice. */}
        <span key={count}>{message}</span>
      </div>
    </AnnounceContext>
  );
}
