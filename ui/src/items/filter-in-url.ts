import { FILTERS, type Filter } from "../api/items.ts";

const PARAMETER = "show";

/** The filter is in the address, so that a reload or a bookmark shows the same. */
export function filterFromUrl(search: string): Filter {
  const value = new URLSearchParams(search).get(PARAMETER);
  return FILTERS.find((filter) => filter === value) ?? "all";
}

export function writeFilterToUrl(filter: Filter): void {
  const url = new URL(window.location.href);
  if (filter === "all") url.searchParams.delete(PARAMETER);
  else url.searchParams.set(PARAMETER, filter);
  if (url.href !== window.location.href) window.history.replaceState(null, "", url);
}
