/** Compressed twins of files, so that a server has nothing to compute. */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";

const brotli = promisify(brotliCompress);

const COMPRESSIBLE = /\.(?:html|css|js|json|svg|txt|xml|webmanifest|wasm|map)$/;

type Encoder = (data: Uint8Array<ArrayBuffer>) => Promise<Uint8Array> | Uint8Array;

/** Each at its best. The same bytes in are the same bytes out: no times, no names, no threads. */
const ENCODERS: Readonly<Record<string, Encoder>> = {
  // libdeflate writes neither a time nor the operating system into the header.
  gz: (data) => Bun.gzipSync(data, { library: "libdeflate", level: 12 }),
  br: (data) =>
    brotli(data, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
        [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
        [constants.BROTLI_PARAM_SIZE_HINT]: data.byteLength,
      },
    }),
  zst: (data) => Bun.zstdCompress(data, { level: 22 }),
};

async function compressFile(path: string): Promise<void> {
  const data = new Uint8Array(await Bun.file(path).arrayBuffer());
  await Promise.all(
    Object.entries(ENCODERS).map(async ([extension, encode]) => {
      const encoded = await encode(data);
      if (encoded.byteLength < data.byteLength) await Bun.write(`${path}.${extension}`, encoded);
    }),
  );
}

/** Writes `.gz`, `.br` and `.zst` beside each file below the folder that gets smaller by it. */
export async function compressTree(folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  await Promise.all(
    entries
      .filter((entry) => entry.isFile() && COMPRESSIBLE.test(entry.name))
      .map((entry) => compressFile(join(entry.parentPath, entry.name))),
  );
}
