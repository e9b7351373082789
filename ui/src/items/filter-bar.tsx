import { FILTERS, type Filter } from "../api/items.ts";

interface FilterBarProps {
  readonly value: Filter;
  readonly onChange: (filter: Filter) => void;
}

const LABEL: Readonly<Record<Filter, string>> = { all: "All", open: "Open", done: "Done" };

/** Radio buttons: arrow keys and announcements come with them. */
export function FilterBar({ value, onChange }: FilterBarProps) {
  return (
    <fieldset className="filter">
      <legend className="visually-hidden">Show</legend>
      {FILTERS.map((filter) => (
        <label key={filter}>
          <input
            type="radio"
            name="filter"
            value={filter}
            checked={filter === value}
            onChange={() => onChange(filter)}
            data-testid={`filter-${filter}`}
          />
          <span>{LABEL[filter]}</span>
        </label>
      ))}
    </fieldset>
  );
}
