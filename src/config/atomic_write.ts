/**
 * Writes a whole file or nothing: a temporary file in the same directory,
 * synced, then renamed over the old one.
 */
import { dirname, join } from "node:path";

/** What to do where the file exists. */
export interface WriteOptions {
  /**
   * `replace` keeps the old file's owner; `never` throws
   * Deno.errors.AlreadyExists.
   */
  readonly existing: "replace" | "never";
  /** Closes a file to others, where a mode does not do that: Windows. */
  readonly closeFile?: (path: string) => void;
}

/**
 * Writes a file that only its owner may read (0600), for it holds keys. A
 * symbolic link stays one: its target is replaced.
 * @throws what the system says; nothing is written then.
 */
export async function writePrivateFile(
  path: string,
  text: string,
  options: WriteOptions,
): Promise<void> {
  const target = await Deno.realPath(path).catch(() => path);
  const suffix = crypto.randomUUID().slice(0, 8);
  const temporary = join(dirname(target), `.sluice-${suffix}.tmp`);
  try {
    await writeSynced(temporary, text, options.closeFile);
    if (options.existing === "never") {
      // A link, unlike a rename, fails where the name is taken.
      await Deno.link(temporary, target);
      await Deno.remove(temporary);
    } else {
      await keepOwner(temporary, target);
      await Deno.rename(temporary, target);
    }
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
  await syncDirectory(dirname(target));
}

async function writeSynced(
  path: string,
  text: string,
  closeFile: WriteOptions["closeFile"],
): Promise<void> {
  using file = await Deno.open(path, {
    createNew: true,
    write: true,
    mode: 0o600,
  });
  // Before there is anything in it.
  closeFile?.(path);
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) {
    at += await file.write(bytes.subarray(at));
  }
  await file.sync();
}

/** Root editing somebody's file leaves it theirs; others can't and needn't. */
async function keepOwner(temporary: string, target: string): Promise<void> {
  try {
    const { uid, gid } = await Deno.stat(target);
    if (uid !== null && gid !== null) await Deno.chown(temporary, uid, gid);
  } catch {
    // No old file, or not the owner: the new file is ours.
  }
}

async function syncDirectory(path: string): Promise<void> {
  try {
    using directory = await Deno.open(path, { read: true });
    await directory.sync();
  } catch {
    // Windows opens no directories; there the rename is durable by itself.
  }
}
