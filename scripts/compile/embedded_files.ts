/**
 * What an executable made by `deno compile` carries: the list of its embedded
 * file system. It lies behind a mark, after the metadata, as a JSON text with
 * its length before it (u64, little-endian).
 *
 * Source: denoland/deno, cli/lib/standalone/binary.rs and virtual_fs.rs.
 */
import { Buffer } from "node:buffer";

const MARK = "d3n0l4nd";
/** How the metadata begins. */
const METADATA = '{"argv"';
/** How the list begins: folders stand before files. */
const LIST = '[{"Dir":{"n":"';
const LENGTH_BYTES = 8;
/** Where packages from npm lie. */
const PACKAGES = ".deno_compile_node_modules/";

type Entry =
  | { readonly Dir: { readonly n: string; readonly e: readonly Entry[] } }
  | { readonly File: { readonly n: string } }
  | { readonly Symlink: { readonly n: string } };

/** What was found. */
export interface EmbeddedFiles {
  /** Files of the project, relative to it. */
  readonly own: readonly string[];
  /** Names of the packages. */
  readonly packages: readonly string[];
}

/**
 * Reads the list.
 * @throws {SyntaxError} where the bytes are no such executable.
 */
export function readEmbeddedFiles(executable: Uint8Array): EmbeddedFiles {
  const list = findList(executable);
  if (list === undefined) {
    throw new SyntaxError("no file system of deno compile's in it");
  }
  const paths = [...pathsOf(list, "")];
  const packages = new Set<string>();
  for (const path of paths) {
    if (!path.startsWith(PACKAGES)) continue;
    // The registry's host, then a name of one or, with a scope, two parts.
    const [, first, second] = path.slice(PACKAGES.length).split("/");
    if (first === undefined) continue;
    packages.add(first.startsWith("@") ? `${first}/${second}` : first);
  }
  return {
    own: paths.filter((path) => !path.startsWith(PACKAGES)).sort(),
    packages: [...packages].sort(),
  };
}

function findList(executable: Uint8Array): readonly Entry[] | undefined {
  const bytes = Buffer.from(
    executable.buffer,
    executable.byteOffset,
    executable.byteLength,
  );
  for (
    let at = bytes.indexOf(MARK);
    at >= 0;
    at = bytes.indexOf(MARK, at + 1)
  ) {
    const metadata = at + MARK.length + LENGTH_BYTES;
    const begin = bytes.subarray(metadata, metadata + METADATA.length);
    if (begin.toString() !== METADATA) continue;
    const list = bytes.indexOf(LIST, metadata);
    if (list < 0) continue;
    const length = Number(bytes.readBigUInt64LE(list - LENGTH_BYTES));
    return JSON.parse(bytes.subarray(list, list + length).toString());
  }
  return undefined;
}

function* pathsOf(
  entries: readonly Entry[],
  folder: string,
): Generator<string> {
  for (const entry of entries) {
    if ("Dir" in entry) {
      yield* pathsOf(entry.Dir.e, `${folder}${entry.Dir.n}/`);
    } else if ("File" in entry) {
      yield `${folder}${entry.File.n}`;
    }
  }
}
