import type { ReactNode } from "react";
import { describe, type Failure, requestIdOf } from "../api/failure.ts";

interface FailureNoticeProps {
  readonly failure: Failure;
  readonly title?: string;
  readonly testId?: string;
  readonly children?: ReactNode;
}

/** An alert: read out when it appears, with the id that finds the request in the server's log. */
export function FailureNotice({ failure, title, testId, children }: FailureNoticeProps) {
  const requestId = requestIdOf(failure);
  return (
    <div className="notice" role="alert" data-testid={testId}>
      <div className="notice-text">
        {title !== undefined && <strong>{title}</strong>}
        <p>{describe(failure)}</p>
        {requestId !== null && (
          <p className="notice-id">
            Request <code>{requestId}</code>
          </p>
        )}
      </div>
      {children}
    </div>
  );
}
