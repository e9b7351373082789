import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { BuildError, build, buildIdFrom } from "../build.ts";

// A bundle takes seconds on a machine that does something else too.
setDefaultTimeout(60_000);

const root = join(import.meta.dir, "..");
let work: string;
let dist: string;

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();

const digests = (folder: string): Record<string, string> =>
  Object.fromEntries(
    filesIn(folder).map((name) => [
      name,
      createHash("sha256")
        .update(readFileSync(join(folder, name)))
        .digest("hex"),
    ]),
  );

const read = (name: string) => readFileSync(join(dist, name), "utf8");
const onlyFile = (pattern: RegExp): string => {
  const [name, ...others] = filesIn(dist).filter((file) => pattern.test(file));
  if (name === undefined || others.length > 0) throw new Error(`not exactly one file: ${pattern}`);
  return name;
};

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "ui-build-"));
  dist = join(work, "dist");
  await mkdir(dist);
  writeFileSync(join(dist, "left-over.js"), "old");
  await build({ root, outdir: dist, buildId: "id-one" });
});
afterAll(() => rm(work, { recursive: true }));

describe("the output", () => {
  test("is a page, a script, a style, an icon and build.json, and nothing left over", () => {
    const plain = filesIn(dist).filter((name) => !/\.(?:gz|br|zst)$/.test(name));
    expect(plain.map((name) => name.replace(/-[0-9a-f]{16}\./, "-<hash>.")).sort()).toEqual([
      "assets/favicon-<hash>.svg",
      "assets/index-<hash>.css",
      "assets/index-<hash>.js",
      "build.json",
      "index.html",
    ]);
    expect(JSON.parse(read("build.json"))).toEqual({ build_id: "id-one" });
  });

  test("obeys a strict content security policy", () => {
    const html = read("index.html");
    expect(html).not.toMatch(/<script(?![^>]*\bsrc=)/);
    expect(html).not.toMatch(/<style|\sstyle=|\son\w+=|javascript:|data:/);
    expect(html).not.toMatch(/(?:src|href)="(?!\/assets\/)/);
    expect(read(onlyFile(/\.css$/))).not.toMatch(/url\(|@import/);
    expect(read(onlyFile(/\.js$/))).not.toMatch(/\beval\(|new Function\(/);
  });

  test("is a production build that knows nothing of this machine", () => {
    const script = read(onlyFile(/\.js$/));
    expect(script).not.toContain("jsxDEV");
    expect(script).not.toContain("react-dom-client.development");
    expect(script).not.toContain("sourceMappingURL");
    expect(script).not.toContain(root);
  });

  test("has twins that decompress to the same, and are smaller", () => {
    const decoders = { gz: gunzipSync, br: brotliDecompressSync, zst: zstdDecompressSync };
    for (const name of filesIn(dist).filter((file) => /\.(?:html|js|css)$/.test(file))) {
      const plain = readFileSync(join(dist, name));
      for (const [extension, decode] of Object.entries(decoders)) {
        const twin = readFileSync(join(dist, `${name}.${extension}`));
        expect(decode(twin).equals(plain)).toBe(true);
        expect(twin.byteLength).toBeLessThan(plain.byteLength);
      }
    }
  });

  test("has no twin that would be larger", () => {
    expect(filesIn(dist)).not.toContain("build.json.gz");
  });

  test("has no time in its gzip headers", () => {
    const twin = readFileSync(join(dist, `${onlyFile(/\.js$/)}.gz`));
    expect([...twin.subarray(4, 8)]).toEqual([0, 0, 0, 0]);
  });

  test("stays small", () => {
    expect(statSync(join(dist, `${onlyFile(/\.js$/)}.br`)).size).toBeLessThan(80_000);
  });
});

describe("two builds", () => {
  test("are the same bytes, also from another folder", async () => {
    const elsewhere = join(work, "elsewhere");
    await mkdir(elsewhere);
    for (const name of ["index.html", "package.json", "tsconfig.json", "public", "src"]) {
      await cp(join(root, name), join(elsewhere, name), { recursive: true });
    }
    for (const name of ["react", "react-dom", "scheduler"]) {
      const module = join("node_modules", name);
      await cp(join(root, module), join(elsewhere, module), { recursive: true });
    }
    await build({ root: elsewhere, outdir: join(elsewhere, "dist"), buildId: "id-one" });
    expect(digests(join(elsewhere, "dist"))).toEqual(digests(dist));
  });

  test("with different ids share no script name, so no cache can mix them up", async () => {
    const other = join(work, "other");
    await build({ root, outdir: other, buildId: "id-two" });
    const scripts = (folder: string) => filesIn(folder).filter((name) => name.endsWith(".js"));
    expect(scripts(other)).not.toEqual(scripts(dist));
    const [script = ""] = scripts(other);
    expect(readFileSync(join(other, script), "utf8")).toContain("id-two");
    expect(readFileSync(join(other, script), "utf8")).not.toContain("id-one");
    expect(readFileSync(join(other, "index.html"), "utf8")).toContain(script);
  });
});

describe("the build id", () => {
  test("is dev if none is given", () => {
    expect(buildIdFrom({})).toBe("dev");
    expect(buildIdFrom({ REBAKE_BUILD_ID: "" })).toBe("dev");
    expect(buildIdFrom({ REBAKE_BUILD_ID: "sha256:0f" })).toBe("sha256:0f");
  });

  test.each([
    ["a quote", 'a"b'],
    ["a tag", "</script>"],
    ["a space", "a b"],
    ["a dash at the start", "-x"],
    ["too much", "x".repeat(129)],
  ])("with %s is refused", (_what, id) => {
    expect(() => buildIdFrom({ REBAKE_BUILD_ID: id })).toThrow(BuildError);
  });

  test("that does not reach the bundle fails the build", async () => {
    const broken = join(work, "broken");
    await mkdir(broken);
    writeFileSync(
      join(broken, "index.html"),
      '<!doctype html><script type="module" src="./main.ts"></script>',
    );
    writeFileSync(join(broken, "main.ts"), 'document.title = "no id here";');
    const outdir = join(broken, "dist");
    await expect(build({ root: broken, outdir, buildId: "id-one" })).rejects.toThrow(BuildError);
  });
});
