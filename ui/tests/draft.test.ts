import { describe, expect, test } from "bun:test";
import { formatDay } from "../src/items/dates.ts";
import { draftOf, patchFor, toDraft, validate } from "../src/items/draft.ts";
import { filterFromUrl } from "../src/items/filter-in-url.ts";
import { makeItem } from "./support/fake-api.ts";

const draft = { title: "T", notes: "", due_on: null };

describe("validate", () => {
  test("lengths count characters, not UTF-16 units", () => {
    expect(validate({ ...draft, title: "😀".repeat(200), notes: "😀".repeat(2000) })).toEqual({});
    expect(validate({ ...draft, title: "x".repeat(201) }).title).toContain("these are 201");
    expect(validate({ ...draft, notes: "x".repeat(2001) }).notes).toContain("these are 2001");
  });

  test("a title of spaces is none", () => {
    expect(validate(toDraft({ title: "  ", notes: "", due_on: "" }))).toEqual({
      title: "Enter a title.",
    });
  });
});

describe("patchFor", () => {
  const item = makeItem(1, { notes: "N", due_on: "2030-01-31" });

  test("an untouched form changes nothing", () => {
    expect(patchFor(item, toDraft(draftOf(item)))).toEqual({});
  });

  test("only what differs is sent, and a removed date is null", () => {
    const input = { ...draftOf(item), title: " New ", due_on: "" };
    expect(patchFor(item, toDraft(input))).toEqual({ title: "New", due_on: null });
  });
});

test("a day stays the day that it is in every time zone", () => {
  const before = process.env["TZ"];
  try {
    for (const zone of ["Pacific/Kiritimati", "Pacific/Niue", "UTC"]) {
      process.env["TZ"] = zone;
      expect(formatDay("2030-01-31")).toBe("Jan 31, 2030");
    }
  } finally {
    process.env["TZ"] = before ?? "";
  }
  expect(formatDay("soon")).toBe("soon");
});

test("an unknown filter in the address shows all", () => {
  expect(filterFromUrl("?show=done")).toBe("done");
  expect(filterFromUrl("?show=toString")).toBe("all");
  expect(filterFromUrl("")).toBe("all");
});
