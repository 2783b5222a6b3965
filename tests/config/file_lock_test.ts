import assert from "node:assert/strict";
import { join } from "node:path";
import { LockTimeoutError, withFileLock } from "../../src/config/file_lock.ts";

async function withFolder(
  work: (path: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await work(join(folder, "file"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("one at a time, and the lock file goes", async () => {
  await withFolder(async (path) => {
    let inside = 0;
    let most = 0;
    const order: number[] = [];
    await Promise.all(
      Array.from(
        { length: 20 },
        (_, i) =>
          withFileLock(path, { timeoutMs: 30_000 }, async () => {
            most = Math.max(most, ++inside);
            await Deno.writeTextFile(path, String(i));
            order.push(i);
            inside--;
          }),
      ),
    );
    assert.equal(most, 1);
    assert.equal(order.length, 20);
    await assert.rejects(Deno.stat(`${path}.lock`), Deno.errors.NotFound);
  });
});

Deno.test("whoever does not get it is told; an error lets it go", async () => {
  await withFolder(async (path) => {
    await withFileLock(path, { timeoutMs: 0 }, async () => {
      await assert.rejects(
        withFileLock(path, { timeoutMs: 0 }, () => Promise.resolve()),
        LockTimeoutError,
      );
    });
    await assert.rejects(
      withFileLock(
        path,
        { timeoutMs: 0 },
        () => Promise.reject(new RangeError("no")),
      ),
      RangeError,
    );
    await withFileLock(path, { timeoutMs: 0 }, () => Promise.resolve());
  });
});

Deno.test("a lock file that a crash left stops nobody", async () => {
  await withFolder(async (path) => {
    await Deno.writeTextFile(`${path}.lock`, "");
    assert.equal(
      await withFileLock(path, { timeoutMs: 0 }, () => Promise.resolve(7)),
      7,
    );
  });
});
