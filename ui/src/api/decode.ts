/**
 * Small combinators that turn `unknown` JSON into typed values, or say where it was not what was
 * expected. Nothing of a server's answer reaches the rest of the program without passing here.
 */

export class DecodeError extends Error {
  override readonly name = "DecodeError";
}

export type Decoder<T> = (value: unknown, path: string) => T;

const fail = (path: string, expected: string, value: unknown): never => {
  const found = value === null ? "null" : Array.isArray(value) ? "a list" : typeof value;
  throw new DecodeError(`${path}: expected ${expected}, found ${found}`);
};

export const string: Decoder<string> = (value, path) =>
  typeof value === "string" ? value : fail(path, "a string", value);

export const number: Decoder<number> = (value, path) =>
  typeof value === "number" && Number.isFinite(value) ? value : fail(path, "a number", value);

export const boolean: Decoder<boolean> = (value, path) =>
  typeof value === "boolean" ? value : fail(path, "true or false", value);

export const nullable =
  <T>(inner: Decoder<T>): Decoder<T | null> =>
  (value, path) =>
    value === null || value === undefined ? null : inner(value, path);

/** Falls back instead of failing: for what is nice to have, such as a problem's detail. */
export const withDefault =
  <T>(inner: Decoder<T>, fallback: T): Decoder<T> =>
  (value, path) => {
    try {
      return inner(value, path);
    } catch (error) {
      if (error instanceof DecodeError) return fallback;
      throw error;
    }
  };

export const map =
  <A, B>(inner: Decoder<A>, transform: (value: A) => B): Decoder<B> =>
  (value, path) =>
    transform(inner(value, path));

export const list =
  <T>(inner: Decoder<T>): Decoder<readonly T[]> =>
  (value, path) =>
    Array.isArray(value)
      ? value.map((entry: unknown, index) => inner(entry, `${path}[${index}]`))
      : fail(path, "a list", value);

type Fields = Readonly<Record<string, Decoder<unknown>>>;
type Decoded<F extends Fields> = { readonly [K in keyof F]: ReturnType<F[K]> };

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Unknown keys are ignored: a newer server may say more than this program knows. */
export const object =
  <F extends Fields>(fields: F): Decoder<Decoded<F>> =>
  (value, path) => {
    if (!isRecord(value)) return fail(path, "an object", value);
    const entries = Object.entries(fields).map(([key, decoder]) => [
      key,
      decoder(value[key], `${path}.${key}`),
    ]);
    // Sound: each key of F was just decoded by F's own decoder for it.
    return Object.fromEntries(entries) as Decoded<F>;
  };
