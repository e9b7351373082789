import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Mirror, startMirror } from "../tools/mirror.ts";

let from: string;
let mirror: Mirror;

const source = (name: string) => join(from, name);
const copyOf = (name: string) => {
  const path = join(mirror.root, name);
  return existsSync(path) ? readFileSync(path, "utf8") : null;
};

async function becomes(name: string, text: string | null): Promise<void> {
  for (let tries = 0; tries < 100 && copyOf(name) !== text; tries += 1) await Bun.sleep(5);
  expect(copyOf(name)).toBe(text);
}

beforeEach(async () => {
  from = await mkdtemp(join(tmpdir(), "ui-mirror-test-"));
  await mkdir(source("src"));
  await writeFile(source("index.html"), "page");
  await writeFile(source("src/a.ts"), "a much longer text");
  await writeFile(source("secret"), "not asked for");
  mirror = await startMirror({ from, names: ["index.html", "src", "missing"], intervalMs: 5 });
});

afterEach(async () => {
  await mirror.stop();
  await rm(from, { recursive: true });
});

test("has what was asked for from the start, and nothing after the end", async () => {
  expect(copyOf("index.html")).toBe("page");
  expect(copyOf("src/a.ts")).toBe("a much longer text");
  expect(copyOf("secret")).toBeNull();
  await mirror.stop();
  expect(existsSync(mirror.root)).toBe(false);
});

test("follows changes, replacements, new files and deletions", async () => {
  await writeFile(source("src/a.ts"), "short");
  await becomes("src/a.ts", "short");
  await writeFile(source("tmp"), "replaced");
  await rename(source("tmp"), source("src/a.ts"));
  await becomes("src/a.ts", "replaced");
  await mkdir(source("src/deep"));
  await writeFile(source("src/deep/b.ts"), "new");
  await becomes("src/deep/b.ts", "new");
  await rm(source("src/deep"), { recursive: true });
  await becomes("src/deep/b.ts", null);
});
