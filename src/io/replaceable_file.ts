/** Files that are replaced as a whole: by renaming, so that nobody sees a half. */
import { basename, dirname } from "node:path";
import type { FileContent, ReplaceableFile } from "./ports/replaceable_file.ts";

/** Changes are told when nothing more came for so long. */
const QUIET_MS = 100;
const PERMISSIONS = 0o7777;
/**
 * Between a file's name and the number of the process that replaces it: others
 * may be at it too, where namespaces share a directory (ip-netns(8) gives each
 * its resolv.conf, and all of them one /etc).
 */
const TEMPORARY = ".sluice-new-";
/** Nobody takes so long between writing and renaming. */
const LEFTOVER_MS = 60_000;

/** The file at a path; nothing is opened yet. */
export function replaceableFile(path: string): ReplaceableFile {
  return {
    path,
    look: () => look(path),
    read: () => orMissing(() => Deno.readFileSync(path)),
    put: (content) => put(path, content),
    watch: (onChange) => watch(path, onChange),
  };
}

function look(path: string): FileContent {
  const info = orMissing(() => Deno.lstatSync(path));
  if (info === undefined) return { kind: "missing" };
  if (info.isSymlink) return { kind: "link", target: Deno.readLinkSync(path) };
  if (!info.isFile) return { kind: "other" };
  return {
    kind: "file",
    bytes: Deno.readFileSync(path),
    mode: (info.mode ?? 0o644) & PERMISSIONS,
    ...(info.uid === null ? {} : { userId: info.uid }),
    ...(info.gid === null ? {} : { groupId: info.gid }),
  };
}

function put(
  path: string,
  content: Exclude<FileContent, { readonly kind: "other" }>,
): void {
  removeLeftovers(path);
  const temporary = `${path}${TEMPORARY}${Deno.pid}`;
  orMissing(() => Deno.removeSync(temporary));
  switch (content.kind) {
    case "missing":
      orMissing(() => Deno.removeSync(path));
      break;
    case "link":
      Deno.symlinkSync(content.target, temporary);
      rename(temporary, path);
      break;
    case "file":
      writeWhole(temporary, content);
      try {
        rename(temporary, path);
      } catch (error) {
        if (!isMount(error)) throw error;
        writeOver(path, content.bytes);
      }
      break;
  }
  syncDirectory(dirname(path));
}

function rename(from: string, to: string): void {
  try {
    Deno.renameSync(from, to);
  } catch (error) {
    orMissing(() => Deno.removeSync(from));
    throw error;
  }
}

/** What processes that were killed between writing and renaming have left. */
function removeLeftovers(path: string): void {
  const begin = `${basename(path)}${TEMPORARY}`;
  for (
    const { name } of orMissing(() => [...Deno.readDirSync(dirname(path))]) ??
      []
  ) {
    if (!name.startsWith(begin)) continue;
    const left = `${dirname(path)}/${name}`;
    const written = orMissing(() => Deno.lstatSync(left))?.mtime?.getTime();
    if (written !== undefined && Date.now() - written > LEFTOVER_MS) {
      orMissing(() => Deno.removeSync(left));
    }
  }
}

function writeWhole(
  path: string,
  { bytes, mode, userId, groupId }: FileContent & { kind: "file" },
): void {
  using file = Deno.openSync(path, { write: true, createNew: true, mode });
  writeAll(file, bytes);
  if (
    userId !== undefined && groupId !== undefined &&
    (userId !== Deno.uid() || groupId !== Deno.gid())
  ) Deno.chownSync(path, userId, groupId);
  // The process's mask has taken bits away; so does a change of owner.
  Deno.chmodSync(path, mode);
  file.syncSync();
}

function writeOver(path: string, bytes: Uint8Array): void {
  using file = Deno.openSync(path, { write: true, truncate: true });
  writeAll(file, bytes);
  file.syncSync();
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    at += file.writeSync(bytes.subarray(at));
  }
}

/** A renaming is on disk when its directory is. */
function syncDirectory(path: string): void {
  if (Deno.build.os === "windows") return; // no directory can be opened there
  using directory = Deno.openSync(path, { read: true });
  directory.syncSync();
}

function watch(path: string, onChange: () => void): Disposable {
  const name = basename(path);
  const watcher = Deno.watchFs(dirname(path), { recursive: false });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const run = async () => {
    for await (const { paths } of watcher) {
      if (!paths.some((changed) => basename(changed) === name)) continue;
      clearTimeout(timer);
      timer = setTimeout(onChange, QUIET_MS);
    }
    clearTimeout(timer);
  };
  const running = run();
  running.catch(() => {}); // the directory is gone: there is nothing to tell
  return {
    [Symbol.dispose]() {
      clearTimeout(timer);
      watcher.close();
    },
  };
}

function isMount(error: unknown): boolean {
  return error instanceof Error &&
      (error as { code?: unknown }).code === "EBUSY" ||
    error instanceof Deno.errors.Busy;
}

function orMissing<Value>(act: () => Value): Value | undefined {
  try {
    return act();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
