/**
 * One writer at a time for a file that is replaced by renaming: a lock file
 * beside it. The system drops the lock with its process, so a crash leaves at
 * most an empty file that stops nobody.
 */

/** How to wait for another writer. */
export interface LockOptions {
  /** Give up after this long. */
  readonly timeoutMs: number;
}

const RETRY_MS = 25;

/** Another process kept the lock for the whole time-out. */
export class LockTimeoutError extends Error {
  override readonly name = "LockTimeoutError";
}

/**
 * Runs `work` while no other process (or other caller in this one) holds the
 * lock of `path`.
 * @throws LockTimeoutError where it stays held.
 */
export async function withFileLock<Result>(
  path: string,
  options: LockOptions,
  work: () => Promise<Result>,
): Promise<Result> {
  const lockPath = `${path}.lock`;
  const file = await acquire(lockPath, options);
  try {
    return await work();
  } finally {
    // Removed while still locked: whoever waits for this file notices below.
    await Deno.remove(lockPath).catch(() => {});
    file.close();
  }
}

async function acquire(
  lockPath: string,
  options: LockOptions,
): Promise<Deno.FsFile> {
  const deadline = performance.now() + options.timeoutMs;
  while (true) {
    const file = await Deno.open(lockPath, {
      create: true,
      write: true,
      mode: 0o600,
    });
    if (file.tryLockSync(true) && await isStillAt(file, lockPath)) return file;
    file.close();
    if (performance.now() > deadline) {
      throw new LockTimeoutError(
        `another process is writing it (lock file ${lockPath})`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** Whether the locked file is still the one at its path and not a removed one. */
async function isStillAt(file: Deno.FsFile, path: string): Promise<boolean> {
  try {
    const [held, there] = await Promise.all([file.stat(), Deno.stat(path)]);
    return held.ino === there.ino && held.dev === there.dev;
  } catch {
    return false;
  }
}
