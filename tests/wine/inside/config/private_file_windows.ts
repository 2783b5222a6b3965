/**
 * Files with keys are closed to others. Wine shows access lists as modes of the
 * Linux file below, and makes new files as Linux does.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { writePrivateFile } from "../../../../src/config/atomic_write.ts";
import { createServerConfig } from "../../../../src/config/create_server_config.ts";
import { loadServerConfig } from "../../../../src/config/load_server_config.ts";
import { addPeer, removePeer } from "../../../../src/control/peers.ts";
import { closeFile } from "../../../../src/io/platform.ts";
import { openAdvapi32 } from "../../../../ffi/windows/advapi32.ts";
import { wideText } from "../../../../ffi/windows/wide_text.ts";

const DACL_INFORMATION = 4;

/** Whether the access list of a file lets everybody (S-1-1-0) read. */
function isOpen(path: string): boolean {
  const out = new Uint8Array(4096);
  const needed = new Uint32Array(1);
  using advapi32 = openAdvapi32();
  const got = advapi32.call.GetFileSecurityW(
    wideText(path),
    DACL_INFORMATION,
    out,
    out.length,
    needed,
  );
  assert.notEqual(got, 0);
  const everyone = [1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
  const text = out.subarray(0, needed[0]).join(",");
  return text.includes(everyone.join(","));
}

async function withFolder(work: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a file is closed before there is anything in it, and stays so when it is replaced", () =>
  withFolder(async (folder) => {
    const path = join(folder, "a.conf");
    await Deno.writeTextFile(path, "open");
    assert.equal(isOpen(path), true, "as the system makes files");
    for (const text of ["one", "two"]) {
      await writePrivateFile(path, text, { existing: "replace", closeFile });
      assert.equal(isOpen(path), false);
      assert.equal(await Deno.readTextFile(path), text);
    }
    const file = join(folder, "b.conf");
    await writePrivateFile(file, "three", { existing: "never", closeFile });
    assert.equal(isOpen(file), false);
    await assert.rejects(
      writePrivateFile(file, "four", { existing: "never", closeFile }),
      Deno.errors.AlreadyExists,
    );
    assert.equal(await Deno.readTextFile(file), "three");
  }));

Deno.test("a config is made, peers come and go, and it stays closed", () =>
  withFolder(async (folder) => {
    const path = join(folder, "server.yaml");
    await createServerConfig(path, { closeFile });
    assert.equal(isOpen(path), false);
    await addPeer(path, { name: "one", presharedKey: "make" }, { closeFile });
    assert.equal((await loadServerConfig(path)).config.peers.length, 1);
    assert.equal(isOpen(path), false);
    await removePeer(path, "one", { closeFile });
    assert.equal((await loadServerConfig(path)).config.peers.length, 0);
    assert.equal(isOpen(path), false);
  }));
