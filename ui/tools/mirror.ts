/**
 * For file systems that deliver no events (Docker Desktop's mounts, network drives).
 *
 * Bun's watcher knows nothing but the kernel's events: it has no polling of its own. So the dev
 * server can serve a copy of the sources in a folder that does deliver them, and this keeps the copy
 * like the sources by looking at their times and sizes. The sources themselves are only read.
 */

import { constants, type Stats } from "node:fs";
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export interface Mirror {
  /** The folder that holds the copy. */
  readonly root: string;
  stop(): Promise<void>;
}

export interface MirrorOptions {
  readonly from: string;
  /** The files and folders to copy, by their names in `from`. */
  readonly names: readonly string[];
  readonly intervalMs?: number;
}

/** Paths relative to `from`, with what changes when a file does. */
type Marks = ReadonlyMap<string, string>;

const markOf = ({ mtimeMs, size, ino }: Stats): string => `${mtimeMs}:${size}:${ino}`;

async function look(from: string, names: readonly string[]): Promise<Marks> {
  const marks = new Map<string, string>();
  const visit = async (name: string): Promise<void> => {
    // Editors replace files: one that is gone for a moment is not an error.
    const stats = await stat(join(from, name)).catch(() => null);
    if (stats?.isDirectory()) {
      const children = await readdir(join(from, name)).catch(() => []);
      await Promise.all(children.map((child) => visit(join(name, child))));
    } else if (stats?.isFile()) {
      marks.set(name, markOf(stats));
    }
  };
  await Promise.all(names.map(visit));
  return marks;
}

/**
 * Written over, and not replaced as editors do it: in folders outside the project Bun watches the
 * files alone, and would go on to watch the one that is no longer there.
 */
async function overwrite(source: string, target: string): Promise<void> {
  const data = await readFile(source).catch(() => null);
  if (data === null) return;
  await mkdir(dirname(target), { recursive: true });
  const file = await open(target, constants.O_WRONLY | constants.O_CREAT);
  try {
    await file.write(data, 0, data.byteLength, 0);
    await file.truncate(data.byteLength);
  } finally {
    await file.close();
  }
}

export async function startMirror({
  from,
  names,
  intervalMs = 300,
}: MirrorOptions): Promise<Mirror> {
  const root = await mkdtemp(join(tmpdir(), "ui-mirror-"));
  await symlink(join(from, "node_modules"), join(root, "node_modules"), "junction");
  let before: Marks = new Map();

  const sync = async () => {
    const now = await look(from, names);
    const changed = [...now].filter(([name, mark]) => before.get(name) !== mark);
    const gone = [...before.keys()].filter((name) => !now.has(name));
    const copy = ([name]: readonly [string, string]) =>
      overwrite(join(from, name), join(root, name));
    // New files first: a changed one may import them.
    await Promise.all(changed.filter(([name]) => !before.has(name)).map(copy));
    await Promise.all(changed.filter(([name]) => before.has(name)).map(copy));
    await Promise.all(gone.map((name) => rm(join(root, name), { force: true })));
    before = now;
  };

  await sync();
  let stopped = false;
  const loop = (async () => {
    while (!stopped) {
      await Bun.sleep(intervalMs);
      if (!stopped) await sync();
    }
  })();

  return {
    root,
    async stop() {
      stopped = true;
      await loop;
      await rm(root, { recursive: true, force: true });
    },
  };
}
