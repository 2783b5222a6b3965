/** The C library through FFI: real calls, without any privilege. */
import assert from "node:assert/strict";
import { cString, LibcError, openLibc } from "../../ffi/libc.ts";

const O_RDONLY = 0;
const ENOENT = 2;
const EBADF = 9;

const ignore = Deno.build.os !== "linux";

Deno.test({
  name: "a failed call gives its errno, and an error with the system's text",
  ignore,
  fn() {
    using libc = openLibc();
    assert.equal(libc.call.open(cString("/nonexistent/file"), O_RDONLY), -1);
    assert.equal(libc.errno(), ENOENT);
    const error = libc.error("open");
    assert.ok(error instanceof LibcError);
    assert.equal(error.code, ENOENT);
    assert.equal(error.call, "open");
    assert.match(error.message, /^open: .*No such file.* \(errno 2\)$/);
    assert.equal(libc.error("close", EBADF).code, EBADF);
  },
});

Deno.test({
  name: "errno is the calling thread's own",
  ignore,
  async fn() {
    using libc = openLibc();
    const url = new URL("../../ffi/libc.ts", import.meta.url).href;
    const source = `
      import { openLibc } from ${JSON.stringify(url)};
      const libc = openLibc();
      self.onmessage = ({ data: cells }) => {
        self.postMessage("ready");
        Atomics.wait(cells, 0, 0);
        libc.call.close(-1);
        Atomics.store(cells, 1, libc.errno());
      };`;
    const worker = new Worker(
      `data:application/javascript,${encodeURIComponent(source)}`,
      { type: "module" },
    );
    /** Whether the other thread may call, and its errno. */
    const cells = new Int32Array(new SharedArrayBuffer(8));
    worker.postMessage(cells);
    await new Promise((resolve, reject) => {
      worker.onmessage = resolve;
      worker.onerror = reject;
    });
    // No await from here on: the event loop makes calls of its own.
    libc.call.open(cString("/nonexistent/file"), O_RDONLY);
    Atomics.store(cells, 0, 1);
    Atomics.notify(cells, 0);
    while (Atomics.load(cells, 1) === 0);
    const own = libc.errno();
    const other = Atomics.load(cells, 1);
    worker.terminate();
    assert.equal(other, EBADF);
    assert.equal(own, ENOENT);
  },
});

Deno.test({
  name: "bytes go through an eventfd in pieces and come back",
  ignore,
  fn() {
    using libc = openLibc();
    const descriptor = libc.call.eventfd(7, 0);
    assert.ok(descriptor >= 0);
    const value = new Uint8Array(8);
    const words = new BigUint64Array([
      BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(value))),
      8n,
    ]);
    const pieces = new Uint8Array(words.buffer);
    assert.equal(libc.call.readv(descriptor, pieces, 1), 8);
    assert.deepEqual([...value], [7, 0, 0, 0, 0, 0, 0, 0]);
    value[0] = 9;
    assert.equal(libc.call.writev(descriptor, pieces, 1), 8);
    value.fill(0);
    assert.equal(libc.call.read(descriptor, value, 8), 8);
    assert.equal(value[0], 9);
    assert.equal(libc.call.close(descriptor), 0);
    assert.equal(libc.call.close(descriptor), -1);
    assert.equal(libc.errno(), EBADF);
  },
});

Deno.test("a C string ends with NUL", () => {
  assert.deepEqual([...cString("tun0")], [0x74, 0x75, 0x6e, 0x30, 0]);
});
