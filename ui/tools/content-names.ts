/**
 * Names files after what is in them, and nothing else.
 *
 * The bundler's own hashes take the sources' place on the disk in: the same bytes have another name
 * in another folder, and with it the page that refers to them. A name that follows from the bytes
 * alone makes a build repeatable, and lets a browser keep the file for good.
 */

import { createHash } from "node:crypto";
import { readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

const PAGE = "index.html";
const BUNDLERS_HASH = /-[a-z0-9]{8}(?=\.\w+$)/;
const hashOf = (data: Uint8Array): string =>
  createHash("sha256").update(data).digest("hex").slice(0, 16);

const replaceNames = (text: Buffer, names: ReadonlyMap<string, string>): Buffer => {
  let result = text.toString("latin1");
  for (const [from, to] of names) result = result.replaceAll(from, to);
  // Latin-1 both ways: every byte stays what it was, also in what is no text.
  return Buffer.from(result, "latin1");
};

/** Renames `outdir/folder/*-<bundler's hash>.*` and what refers to them, also among themselves. */
export async function nameByContent(outdir: string, folder: string): Promise<void> {
  const directory = join(outdir, folder);
  const left = new Map<string, Buffer>();
  for (const name of (await readdir(directory)).sort()) {
    left.set(name, await readFile(join(directory, name)));
  }
  const names = new Map<string, string>();
  while (left.size > 0) {
    // One that refers only to files whose names are final.
    const ready = [...left].find(([name, data]) =>
      [...left.keys()].every((other) => other === name || !data.includes(other)),
    );
    if (ready === undefined) {
      throw new Error(
        `these files refer to each other in a circle: ${[...left.keys()].join(", ")}`,
      );
    }
    const [name, data] = ready;
    const final = replaceNames(data, names);
    const finalName = name.replace(BUNDLERS_HASH, `-${hashOf(final)}`);
    await writeFile(join(directory, name), final);
    await rename(join(directory, name), join(directory, finalName));
    names.set(name, finalName);
    left.delete(name);
  }
  const page = join(outdir, PAGE);
  await writeFile(page, replaceNames(await readFile(page), names));
}
