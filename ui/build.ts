/**
 * The production build: `dist/index.html`, `dist/assets/*-<hash>.*`, `dist/build.json`, and the
 * compressed twin of each.
 *
 *   REBAKE_BUILD_ID  what the footer and build.json call this build   dev
 *
 * The same sources and the same id give the same bytes, wherever and whenever they are built.
 */

import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { compressTree } from "./tools/compress.ts";
import { nameByContent } from "./tools/content-names.ts";

export interface BuildOptions {
  /** The folder that holds index.html. */
  readonly root: string;
  /** Emptied first. */
  readonly outdir: string;
  readonly buildId: string;
}

export class BuildError extends Error {
  override readonly name = "BuildError";
}

/** Plain enough to stand in HTML, JSON and JavaScript as it is. */
const BUILD_ID = /^[A-Za-z0-9][A-Za-z0-9._:+/=-]{0,127}$/;

export function buildIdFrom(env: Readonly<Record<string, string | undefined>>): string {
  const id = env["REBAKE_BUILD_ID"] || "dev";
  if (!BUILD_ID.test(id)) {
    throw new BuildError(`REBAKE_BUILD_ID must match ${BUILD_ID.source}, not “${id}”`);
  }
  return id;
}

async function bundle({ root, outdir, buildId }: BuildOptions): Promise<void> {
  const result = await Bun.build({
    entrypoints: [join(root, "index.html")],
    root,
    outdir,
    target: "browser",
    publicPath: "/",
    naming: {
      entry: "[dir]/[name].[ext]",
      chunk: "assets/[name]-[hash].[ext]",
      asset: "assets/[name]-[hash].[ext]",
    },
    minify: true,
    sourcemap: "none",
    // Nothing of the environment reaches the bundle but what is named here.
    env: "disable",
    define: {
      "process.env.NODE_ENV": JSON.stringify("production"),
      __BUILD_ID__: JSON.stringify(buildId),
    },
    jsx: { runtime: "automatic", development: false },
    throw: false,
  });
  for (const log of result.logs) console.error(log);
  if (!result.success) throw new BuildError("the bundle failed; see above");
}

/**
 * The footer must not name a build that this is not. An id that is missing, for instance because
 * the constant was renamed in one place only, would show "dev" and nobody would notice.
 */
async function checkBuildId({ outdir, buildId }: BuildOptions): Promise<void> {
  const assets = join(outdir, "assets");
  const scripts = (await readdir(assets)).filter((name) => name.endsWith(".js"));
  const texts = await Promise.all(scripts.map((name) => Bun.file(join(assets, name)).text()));
  const quoted = [`"${buildId}"`, `'${buildId}'`, `\`${buildId}\``];
  if (!texts.some((text) => quoted.some((literal) => text.includes(literal)))) {
    throw new BuildError(`no script in ${assets} holds the build id ${buildId}`);
  }
  if (texts.some((text) => text.includes("__BUILD_ID__"))) {
    throw new BuildError(`a script in ${assets} still holds the build id's placeholder`);
  }
}

export async function build(options: BuildOptions): Promise<void> {
  const { outdir, buildId } = options;
  // Emptied and not removed: the folder may be a mount.
  await mkdir(outdir, { recursive: true });
  const old = await readdir(outdir);
  await Promise.all(old.map((name) => rm(join(outdir, name), { recursive: true })));
  await bundle(options);
  await nameByContent(outdir, "assets");
  await checkBuildId(options);
  await Bun.write(join(outdir, "build.json"), `${JSON.stringify({ build_id: buildId })}\n`);
  await compressTree(outdir);
}

async function totals(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sum = (extension: RegExp) =>
    files
      .filter(({ name }) => extension.test(name))
      .reduce((bytes, { parentPath, name }) => bytes + Bun.file(join(parentPath, name)).size, 0);
  const kilobytes = (bytes: number) => `${(bytes / 1000).toFixed(1)} kB`;
  const plain = kilobytes(sum(/\.(?!gz$|br$|zst$)\w+$/));
  return `${plain} (gzip ${kilobytes(sum(/\.gz$/))}, br ${kilobytes(sum(/\.br$/))}, zstd ${kilobytes(sum(/\.zst$/))})`;
}

if (import.meta.main) {
  const started = performance.now();
  try {
    const outdir = join(import.meta.dir, "dist");
    const buildId = buildIdFrom(process.env);
    await build({ root: import.meta.dir, outdir, buildId });
    const seconds = ((performance.now() - started) / 1000).toFixed(2);
    console.log(`dist: build ${buildId}, ${await totals(outdir)}, ${seconds} s`);
  } catch (error) {
    console.error(error instanceof BuildError ? error.message : error);
    process.exit(1);
  }
}
