/**
 * For file systems that deliver no events (Docker Desktop's mounts, network drives).
 *
 * Bun's watcher knows nothing but the kernel's events: it has no polling of its own. So this looks
 * at the files' times and sizes, and where one has changed it opens that file for writing and closes
 * it again, without writing. The change came from outside, but the closing happens in here, and the
 * kernel tells the watcher about it.
 */

import { close, open, type Stats } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const openFile = promisify(open);
const closeFile = promisify(close);

type Marks = Map<string, string>;

const markOf = ({ mtimeMs, size, ino }: Stats): string => `${mtimeMs}:${size}:${ino}`;

async function look(roots: readonly string[]): Promise<Marks> {
  const marks: Marks = new Map();
  const visit = async (path: string): Promise<void> => {
    // Editors replace files: one that is gone for a moment is not an error.
    const stats = await stat(path).catch(() => null);
    if (stats === null) return;
    if (stats.isDirectory()) {
      const names = await readdir(path).catch(() => []);
      await Promise.all(names.map((name) => visit(join(path, name))));
    } else if (stats.isFile()) {
      marks.set(path, markOf(stats));
    }
  };
  await Promise.all(roots.map(visit));
  return marks;
}

async function poke(path: string): Promise<void> {
  const descriptor = await openFile(path, "r+").catch(() => null);
  if (descriptor !== null) await closeFile(descriptor);
}

/** Starts to look; the returned function stops it. */
export function startPolling(roots: readonly string[], intervalMs = 400): () => void {
  let stopped = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let before: Marks | null = null;

  const tick = async () => {
    const now = await look(roots);
    if (stopped) return;
    if (before !== null) {
      const changed = [...now].filter(([path, mark]) => before?.get(path) !== mark);
      await Promise.all(changed.map(([path]) => poke(path)));
    }
    before = now;
    if (!stopped) timer = setTimeout(() => void tick(), intervalMs);
  };

  void tick();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
