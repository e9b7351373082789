import { beforeEach, describe, expect, test } from "bun:test";
import { App } from "../src/app.tsx";
import { Footer } from "../src/shell/footer.tsx";
import { act, fireEvent, render, screen, userEvent, waitFor, within } from "./support/dom.ts";
import { FakeApi, makeItem, problem, unreachable } from "./support/fake-api.ts";

const timing = { intervalMs: 60_000, retryMs: 60_000, settleMs: [] };

let api: FakeApi;
let user: ReturnType<typeof userEvent.setup>;

beforeEach(() => {
  api = new FakeApi([3, 2, 1].map((number) => makeItem(number)));
  user = userEvent.setup();
});

async function open(): Promise<void> {
  render(<App api={api} pageSize={3} timing={timing} />);
  await waitFor(() => expect(shown("loading")).toBe(false));
}

const rows = () => screen.queryAllByTestId("item");
const titles = () => screen.queryAllByTestId("item-title").map((title) => title.textContent);
const row = (index: number) => {
  const found = rows()[index];
  if (found === undefined) throw new Error(`there is no row ${index}`);
  return within(found);
};
const announced = () => screen.getByTestId("announcer").textContent;

// Booleans and no elements for `expect`: to say what an element is not, Bun walks through the whole
// window behind it, which takes seconds.
const shown = (testId: string) => screen.queryByTestId(testId) !== null;
const hasFocus = (element: Element | undefined) => document.activeElement === element;

/** The message that a screen reader reads with a control. */
const descriptionOf = (control: HTMLElement) =>
  document.getElementById(control.getAttribute("aria-describedby") ?? "")?.textContent;

describe("what is shown", () => {
  test("loading, then the items and how many there are", async () => {
    const show = api.hold("list");
    render(<App api={api} timing={timing} />);
    expect(shown("loading")).toBe(true);
    await act(async () => show());
    expect(titles()).toEqual(["Item 3", "Item 2", "Item 1"]);
    expect(screen.getByTestId("count").textContent).toBe("3 items");
    expect(rows()[0]?.dataset["id"]).toBe("id-0003");
  });

  test("an empty list says what to do", async () => {
    api.items = [];
    await open();
    expect(screen.getByTestId("empty").textContent).toContain("Add the first item");
  });

  test("a failed load says why, and tries again", async () => {
    api.fail("list", problem(503, "The database is down."));
    await open();
    const alert = screen.getByTestId("error");
    expect(alert.getAttribute("role")).toBe("alert");
    expect(alert.textContent).toContain("The database is down.");
    expect(alert.textContent).toContain("req-1");
    api.heal("list");
    await user.click(screen.getByTestId("retry"));
    await waitFor(() => expect(titles()).toHaveLength(3));
    expect(shown("error")).toBe(false);
    expect(document.activeElement?.getAttribute("aria-label")).toBe("Items");
  });

  test("a failed refresh keeps the items on the page", async () => {
    await open();
    api.fail("list", unreachable);
    fireEvent.focus(window);
    await screen.findByTestId("error");
    expect(titles()).toHaveLength(3);
  });

  test("notes and dates are text, an overdue one says so", async () => {
    api.items = [
      makeItem(2, { title: "<b>x</b>", notes: "a\nb", due_on: "2020-01-31", overdue: true }),
      makeItem(1, { due_on: "2030-01-31" }),
    ];
    await open();
    expect(titles()[0]).toBe("<b>x</b>");
    expect(row(0).getByTestId("due").textContent).toBe("Overdue since Jan 31, 2020");
    expect(row(1).getByTestId("due").textContent).toBe("Due Jan 31, 2030");
  });

  test("the footer names this build and the server's", async () => {
    await open();
    const footer = screen.getByTestId("footer");
    expect(footer.textContent).toContain("Build dev");
    await waitFor(() => expect(footer.textContent).toContain("Server 1.2.3 · build abc"));
  });
});

describe("a page that is older than the server's", () => {
  test.each([
    ["one", "two", true],
    ["one", "one", false],
    ["one", null, false],
    ["dev", "two", false],
  ])("built as %s, served as %s: %s", async (mine, served, outdated) => {
    api.uiBuildId = served;
    render(<Footer api={api} buildId={mine} />);
    await screen.findByTestId("server-version");
    expect(screen.getByTestId("outdated").textContent?.includes("newer version")).toBe(outdated);
  });
});

describe("adding", () => {
  test("by keyboard: the form empties, the title has the focus, the item is on top", async () => {
    await open();
    await user.type(screen.getByTestId("new-notes"), "some notes");
    fireEvent.change(screen.getByTestId("new-due"), { target: { value: "2030-01-31" } });
    await user.type(screen.getByTestId("new-title"), "  Milk {Enter}");
    await waitFor(() => expect(titles()[0]).toBe("Milk"));
    expect(api.items[0]).toMatchObject({
      title: "Milk",
      notes: "some notes",
      due_on: "2030-01-31",
    });
    const title = screen.getByTestId<HTMLInputElement>("new-title");
    expect(title.value).toBe("");
    expect(screen.getByTestId<HTMLTextAreaElement>("new-notes").value).toBe("");
    expect(hasFocus(title)).toBe(true);
    expect(announced()).toBe("Added “Milk”.");
  });

  test("two clicks are one request", async () => {
    await open();
    const answer = api.hold("create");
    await user.type(screen.getByTestId("new-title"), "Milk");
    const add = screen.getByTestId("add");
    act(() => {
      add.click();
      add.click();
    });
    await user.click(add);
    expect(add.textContent).toBe("Adding…");
    expect(add.getAttribute("aria-disabled")).toBe("true");
    await act(async () => answer());
    expect(api.countOf("create")).toBe(1);
    expect(add.textContent).toBe("Add item");
  });

  test("a missing title is said at the field, without a request", async () => {
    await open();
    await user.click(screen.getByTestId("add"));
    const title = screen.getByTestId("new-title");
    expect(title.getAttribute("aria-invalid")).toBe("true");
    expect(descriptionOf(title)).toBe("Enter a title.");
    expect(hasFocus(title)).toBe(true);
    expect(api.countOf("create")).toBe(0);
    await user.type(title, "x");
    expect(title.getAttribute("aria-invalid")).toBe("false");
    expect(title.hasAttribute("aria-describedby")).toBe(false);
  });

  test("the server's field errors are said at their fields, and nothing is lost", async () => {
    await open();
    api.fail(
      "create",
      problem(422, "Wrong.", [
        { field: "notes", message: "must not shout" },
        { field: "due_on", message: "must be a date" },
      ]),
    );
    await user.type(screen.getByTestId("new-notes"), "LOUD");
    await user.type(screen.getByTestId("new-title"), "Milk{Enter}");
    await screen.findByTestId("new-notes-error");
    expect(descriptionOf(screen.getByTestId("new-notes"))).toBe("Notes must not shout.");
    expect(descriptionOf(screen.getByTestId("new-due"))).toBe("Due must be a date.");
    expect(hasFocus(screen.getByTestId("new-notes"))).toBe(true);
    expect(screen.getByTestId<HTMLInputElement>("new-title").value).toBe("Milk");
    expect(shown("form-error")).toBe(false);
  });

  test("other failures are said below the form, until it works", async () => {
    await open();
    api.fail("create", unreachable);
    await user.type(screen.getByTestId("new-title"), "Milk{Enter}");
    expect((await screen.findByTestId("form-error")).textContent).toContain("cannot be reached");
    api.heal("create");
    await user.click(screen.getByTestId("add"));
    await waitFor(() => expect(titles()[0]).toBe("Milk"));
    expect(shown("form-error")).toBe(false);
  });
});

describe("editing", () => {
  test("takes the focus, sends what changed, and gives the focus back", async () => {
    await open();
    await user.click(row(1).getByTestId("edit"));
    const title = row(1).getByTestId<HTMLInputElement>("edit-title");
    expect(hasFocus(title)).toBe(true);
    expect(title.value).toBe("Item 2");
    await user.clear(title);
    await user.type(title, "Bread");
    await user.click(row(1).getByTestId("save"));
    await waitFor(() => expect(titles()[1]).toBe("Bread"));
    expect(hasFocus(row(1).getByTestId("edit"))).toBe(true);
    expect(announced()).toBe("Saved “Bread”.");
  });

  test.each(["Escape", "cancel"])("is given up by %s", async (way) => {
    await open();
    await user.click(row(0).getByTestId("edit"));
    await user.type(row(0).getByTestId("edit-title"), "xyz");
    if (way === "Escape") await user.keyboard("{Escape}");
    else await user.click(row(0).getByTestId("cancel"));
    expect(titles()[0]).toBe("Item 3");
    expect(hasFocus(row(0).getByTestId("edit"))).toBe(true);
    expect(api.countOf("update")).toBe(0);
  });

  test("what is being typed survives a refresh", async () => {
    await open();
    await user.click(row(0).getByTestId("edit"));
    await user.type(row(0).getByTestId("edit-title"), "!");
    api.items = api.items.map((item) => ({ ...item, title: "Changed elsewhere", notes: "new" }));
    fireEvent.focus(window);
    await waitFor(() => expect(titles()[0]).toBe("Changed elsewhere"));
    expect(row(0).getByTestId<HTMLInputElement>("edit-title").value).toBe("Item 3!");
    await user.click(row(0).getByTestId("save"));
    await waitFor(() => expect(titles()[0]).toBe("Item 3!"));
    expect(api.items[0]?.notes).toBe("new");
  });

  test("nothing changed is no request", async () => {
    await open();
    await user.click(row(0).getByTestId("edit"));
    await user.click(row(0).getByTestId("save"));
    expect(api.countOf("update")).toBe(0);
    expect(announced()).toBe("Nothing changed.");
  });

  test("Ctrl+Enter in the notes saves", async () => {
    await open();
    await user.click(row(0).getByTestId("edit"));
    await user.type(row(0).getByTestId("edit-notes"), "n{Control>}{Enter}{/Control}");
    await waitFor(() => expect(api.items[0]?.notes).toBe("n"));
  });
});

describe("deleting", () => {
  test("moves the focus to the row that took the place", async () => {
    await open();
    await user.click(row(1).getByTestId("delete"));
    await waitFor(() => expect(titles()).toEqual(["Item 3", "Item 1"]));
    expect(hasFocus(rows()[1])).toBe(true);
    expect(announced()).toBe("Deleted “Item 2”.");
    await user.click(row(1).getByTestId("delete"));
    await waitFor(() => expect(titles()).toEqual(["Item 3"]));
    expect(hasFocus(rows()[0])).toBe(true);
  });

  test("of the last item moves the focus to the new title", async () => {
    api.items = [makeItem(1)];
    await open();
    await user.click(row(0).getByTestId("delete"));
    await screen.findByTestId("empty");
    expect(hasFocus(screen.getByTestId("new-title"))).toBe(true);
  });

  test("does not take the focus from where it went meanwhile", async () => {
    await open();
    const answer = api.hold("remove");
    await user.click(row(0).getByTestId("delete"));
    await user.click(screen.getByTestId("new-title"));
    await act(async () => answer());
    expect(titles()).toHaveLength(2);
    expect(hasFocus(screen.getByTestId("new-title"))).toBe(true);
  });

  test("shows that it is under way, and what went wrong", async () => {
    await open();
    api.fail("remove", unreachable);
    const answer = api.hold("remove");
    await user.click(row(0).getByTestId("delete"));
    expect(rows()[0]?.getAttribute("aria-busy")).toBe("true");
    expect(rows()[0]?.textContent).toContain("Deleting…");
    await user.click(row(0).getByTestId("delete"));
    await user.click(row(0).getByTestId("edit"));
    expect(shown("save")).toBe(false);
    await act(async () => answer());
    expect(row(0).getByTestId("item-error").textContent).toContain("Not deleted");
    expect(api.countOf("remove")).toBe(1);
  });
});

describe("filtering and paging", () => {
  test("the filter asks the server, and stands in the address", async () => {
    api.items = [makeItem(2, { done: true }), makeItem(1)];
    await open();
    await user.click(screen.getByTestId("filter-open"));
    await waitFor(() => expect(titles()).toEqual(["Item 1"]));
    expect(window.location.search).toBe("?show=open");
    expect(screen.getByTestId("count").textContent).toBe("1 item");
  });

  test("an item that is done leaves the open ones, and the focus stays in the list", async () => {
    window.history.replaceState(null, "", "/?show=open");
    await open();
    await user.click(row(0).getByTestId("toggle-done"));
    await waitFor(() => expect(titles()).toEqual(["Item 2", "Item 1"]));
    expect(hasFocus(rows()[0])).toBe(true);
    expect(announced()).toBe("“Item 3” is done.");
  });

  test("a refused change of done is put back and said at the row", async () => {
    await open();
    api.fail("update", problem(500, "No."));
    const box = row(0).getByTestId<HTMLInputElement>("toggle-done");
    await user.click(box);
    await row(0).findByTestId("item-error");
    expect(box.checked).toBe(false);
  });

  test("more comes below, and the focus goes to the first of it", async () => {
    api.items = [5, 4, 3, 2, 1].map((number) => makeItem(number));
    await open();
    await user.click(screen.getByTestId("load-more"));
    await waitFor(() => expect(titles()).toHaveLength(5));
    expect(hasFocus(rows()[3])).toBe(true);
    expect(announced()).toBe("2 more items.");
    expect(shown("load-more")).toBe(false);
  });

  test("a page that does not come can be asked for again", async () => {
    api.items = [5, 4, 3, 2, 1].map((number) => makeItem(number));
    await open();
    api.fail("list", unreachable);
    await user.click(screen.getByTestId("load-more"));
    await screen.findByTestId("more-error");
    api.heal("list");
    await user.click(screen.getByTestId("load-more"));
    await waitFor(() => expect(titles()).toHaveLength(5));
    expect(shown("more-error")).toBe(false);
  });
});
