/**
 * The library that tests put in the place of wintun.dll, by its own functions:
 * the limits and error codes that its documentation names; run by
 * wintun_test.ts.
 */
import assert from "node:assert/strict";
import { openKernel32 } from "../../../ffi/windows/kernel32.ts";
import { wideText } from "../../../ffi/windows/wide_text.ts";
import { openWintun } from "../../../ffi/windows/wintun.ts";
import {
  driverLibraryPath,
  openDriverLibrary,
} from "../../../src/io/os/windows/driver_library.ts";
import { WINTUN_LIBRARY } from "../../../src/io/os/windows/wintun.ts";

const kernel32 = openKernel32();
const { call } = openDriverLibrary(WINTUN_LIBRARY, kernel32, openWintun);
const lastError = () => kernel32.call.GetLastError();
const GUID = new Uint8Array(16).fill(7);
const SMALLEST_RING = 0x20000;
const LARGEST_RING = 0x4000000;

const size = new Uint32Array(32);
const sizeAt = addressOf(size);

function addressOf(view: BufferSource): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(view));
}

/** An adapter of its own for each test. */
class Adapter implements Disposable {
  readonly handle: bigint;
  #session = 0n;
  constructor(name: string) {
    this.handle = call.WintunCreateAdapter(
      wideText(name),
      wideText("test"),
      GUID,
    );
    assert.notEqual(this.handle, 0n);
  }
  start(capacity = SMALLEST_RING): bigint {
    this.#session = call.WintunStartSession(this.handle, capacity);
    assert.notEqual(this.#session, 0n);
    return this.#session;
  }
  [Symbol.dispose](): void {
    if (this.#session !== 0n) call.WintunEndSession(this.#session);
    call.WintunCloseAdapter(this.handle);
  }
}

Deno.test("a name is at most 127 characters long", () => {
  const create = (name: string) =>
    call.WintunCreateAdapter(wideText(name), wideText("test"), GUID);
  assert.equal(create("x".repeat(128)), 0n);
  assert.equal(lastError(), 111);
  using _adapter = new Adapter("x".repeat(127));
});

Deno.test("a ring is a power of two from 128 KiB to 64 MiB", () => {
  using adapter = new Adapter("rings0");
  for (const capacity of [0, 0x10000, 0x30000, 0x8000000, 0x20001]) {
    assert.equal(call.WintunStartSession(adapter.handle, capacity), 0n);
    assert.equal(lastError(), 87);
  }
  adapter.start(LARGEST_RING);
});

Deno.test("an adapter has one session", () => {
  using adapter = new Adapter("once0");
  adapter.start();
  assert.equal(call.WintunStartSession(adapter.handle, SMALLEST_RING), 0n);
  assert.equal(lastError(), 1247);
});

Deno.test("the driver is there as long as adapters are, and leaves when told", () => {
  call.WintunDeleteDriver();
  assert.equal(call.WintunGetRunningDriverVersion(), 0);
  assert.equal(lastError(), 2);
  {
    using _adapter = new Adapter("version0");
    assert.equal(call.WintunGetRunningDriverVersion(), 14);
    assert.equal(call.WintunDeleteDriver(), 0);
  }
  assert.equal(call.WintunDeleteDriver(), 1);
});

Deno.test("an empty ring says so", () => {
  using adapter = new Adapter("empty0");
  const session = adapter.start();
  // The host's own packets for a new interface may be there.
  for (;;) {
    const packet = call.WintunReceivePacket(session, sizeAt);
    if (packet === 0n) break;
    call.WintunReleaseReceivePacket(session, packet);
  }
  assert.equal(call.WintunReceivePacket(session, sizeAt), 0n);
  assert.equal(lastError(), 259);
});

Deno.test("a full ring says so, and has room again when packets have left in order", () => {
  using adapter = new Adapter("full0");
  const session = adapter.start();
  const packets: bigint[] = [];
  for (;;) {
    const packet = call.WintunAllocateSendPacket(session, 1400);
    if (packet === 0n) break;
    packets.push(packet);
  }
  assert.equal(lastError(), 111);
  // 4 bytes of length each, and 4 that stay free.
  assert.equal(packets.length, Math.floor((SMALLEST_RING - 4) / 1404));
  for (const [i, packet] of packets.entries()) {
    assert.equal(packet - packets[0], BigInt(i * 1404));
  }
  const [first, ...others] = packets;
  for (const packet of others) call.WintunSendPacket(session, packet);
  assert.equal(call.WintunAllocateSendPacket(session, 1400), 0n);
  assert.equal(lastError(), 111);
  call.WintunSendPacket(session, first);
  let again = 0n;
  const end = performance.now() + 5_000;
  while (again === 0n && performance.now() < end) {
    again = call.WintunAllocateSendPacket(session, 1400);
  }
  assert.notEqual(again, 0n);
  call.WintunSendPacket(session, again);
});

Deno.test("a packet that is too long ends the session", () => {
  using adapter = new Adapter("long0");
  const session = adapter.start();
  const packet = call.WintunAllocateSendPacket(session, 0x10000);
  assert.notEqual(packet, 0n);
  call.WintunSendPacket(session, packet);
  const event = call.WintunGetReadWaitEvent(session);
  const end = performance.now() + 5_000;
  let error = 0;
  while (error !== 38 && performance.now() < end) {
    kernel32.call.WaitForSingleObject(event, 1000);
    const received = call.WintunReceivePacket(session, sizeAt);
    if (received === 0n) error = lastError();
    else call.WintunReleaseReceivePacket(session, received);
  }
  assert.equal(error, 38);
  assert.equal(call.WintunAllocateSendPacket(session, 100), 0n);
  assert.equal(lastError(), 38);
});

Deno.test("it is taken from beside the executable, or from where a variable says", () => {
  const beside = Deno.execPath().replace(/deno\.exe$/, "wintun.dll");
  assert.equal(driverLibraryPath(WINTUN_LIBRARY), beside);
  Deno.env.set("SLUICE_WINTUN_DLL", "C:/drivers/wintun.dll");
  try {
    assert.equal(driverLibraryPath(WINTUN_LIBRARY), "C:\\drivers\\wintun.dll");
    assert.equal(driverLibraryPath(WINTUN_LIBRARY, true), beside);
    Deno.env.set("SLUICE_WINTUN_DLL", "wintun.dll");
    assert.throws(
      () => driverLibraryPath(WINTUN_LIBRARY),
      /no absolute path/,
    );
  } finally {
    Deno.env.delete("SLUICE_WINTUN_DLL");
  }
});
