/**
 * Whether others than root can change what a path leads to: the file, a folder
 * above it, or a link on the way. Source: path_resolution(7), inode(7).
 */
import { dirname, resolve } from "node:path";

/** What is known of a file, a folder or a link. */
export interface FileEntry {
  readonly uid: number | null;
  readonly gid: number | null;
  readonly mode: number | null;
  readonly isSymlink: boolean;
}

/** What a test puts in the system's place. */
export interface FileTree {
  /** Undefined where there is nothing, or nothing that we may see. */
  entry(path: string): FileEntry | undefined;
  readLink(path: string): string;
}

const ROOT = 0;
const GROUP_WRITES = 0o020;
const OTHERS_WRITE = 0o002;
/** In such a folder nobody removes or renames what is another's. */
const STICKY = 0o1000;
const FOLDER = 0o040000;
const TYPE = 0o170000;
/** As many as the kernel follows. */
const LINKS = 40;

/** @returns the first of them that others may change; undefined where they may none. */
export function writableByOthers(
  path: string,
  tree: FileTree = SYSTEM,
): string | undefined {
  let wanted = resolve(path);
  for (let links = 0; links <= LINKS; links++) {
    let next: string | undefined;
    for (const place of placesOf(wanted)) {
      const entry = tree.entry(place);
      if (entry === undefined) return undefined;
      if (isOpen(entry)) return place;
      if (!entry.isSymlink) continue;
      const target = resolve(dirname(place), tree.readLink(place));
      next = resolve(target, `.${wanted.slice(place.length)}`);
      break;
    }
    if (next === undefined) return undefined;
    wanted = next;
  }
  return undefined;
}

/** `/`, `/opt`, `/opt/sluice`. */
function placesOf(path: string): string[] {
  const folder = dirname(path);
  return folder === path ? [path] : [...placesOf(folder), path];
}

function isOpen({ uid, gid, mode, isSymlink }: FileEntry): boolean {
  if (uid !== ROOT) return true;
  if (isSymlink || mode === null) return false;
  if ((mode & TYPE) === FOLDER && (mode & STICKY) !== 0) return false;
  return (mode & OTHERS_WRITE) !== 0 ||
    (mode & GROUP_WRITES) !== 0 && gid !== ROOT;
}

const SYSTEM: FileTree = {
  entry(path) {
    try {
      return Deno.lstatSync(path);
    } catch (error) {
      const { NotFound, PermissionDenied } = Deno.errors;
      if (error instanceof NotFound || error instanceof PermissionDenied) {
        return undefined;
      }
      throw error;
    }
  },
  readLink: (path) => Deno.readLinkSync(path),
};
