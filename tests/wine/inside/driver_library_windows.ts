/** Run by driver_library_test.ts, which makes the files. */
import assert from "node:assert/strict";
import { FILE, openKernel32 } from "../../../ffi/windows/kernel32.ts";
import { wideText } from "../../../ffi/windows/wide_text.ts";
import type { Wintrust } from "../../../ffi/windows/wintrust.ts";
import { openWintun } from "../../../ffi/windows/wintun.ts";
import {
  DriverLibraryError,
  openDriverLibrary,
} from "../../../src/io/os/windows/driver_library.ts";
import { verifySignature } from "../../../src/io/os/windows/signature.ts";
import {
  WINTUN_LIBRARY,
  WintunDevices,
} from "../../../src/io/os/windows/wintun.ts";
import { TunError } from "../../../src/io/ports.ts";

const DRIVERS = `Z:${Deno.env.get("SLUICE_TEST_DRIVERS")}`;

const GENERIC_WRITE = 0x4000_0000;
const FILE_SHARE_READ = 1;
const INVALID_HANDLE = 0xffff_ffff;

const kernel32 = openKernel32();

/** Loads a file of the directory. */
function open(name: string): void {
  Deno.env.set("SLUICE_WINTUN_DLL", `${DRIVERS}/${name}`);
  const opened = openDriverLibrary(WINTUN_LIBRARY, kernel32, openWintun);
  assert.equal(opened.call.WintunGetRunningDriverVersion(), 0);
  opened[Symbol.dispose]();
}

function refused(
  name: string,
  problem: string,
  message: RegExp,
  advice = /https:\/\/www\.wintun\.net/,
): void {
  assert.throws(
    () => open(name),
    (error) => {
      assert.ok(error instanceof DriverLibraryError, String(error));
      assert.equal(error.problem, problem);
      assert.match(error.message, message);
      assert.match(error.advice, advice);
      return true;
    },
  );
}

Deno.test("a library that is not there is missed, with where to get it and put it", () => {
  refused("nothing.dll", "absent", /no wintun\.dll/);
  const devices = new WintunDevices(kernel32);
  assert.throws(
    () => devices.create({ name: "sluice0", offload: "none" }),
    (error) =>
      error instanceof TunError && error.code === "device-absent" &&
      /wintun\.net.*put it into/.test(error.advice!),
  );
});

Deno.test("a library that is being written is told from one that is not there", () => {
  const handle = kernel32.call.CreateFileW(
    wideText(`${DRIVERS}/unsigned.dll`.replaceAll("/", "\\")),
    GENERIC_WRITE,
    FILE_SHARE_READ,
    0n,
    FILE.OPEN_EXISTING,
    0,
    0n,
  );
  assert.notEqual(handle, INVALID_HANDLE);
  try {
    refused("unsigned.dll", "unreadable", /another program writes/, /wait/);
    const devices = new WintunDevices(kernel32);
    assert.throws(
      () => devices.create({ name: "sluice0", offload: "none" }),
      (error) => error instanceof TunError && error.code === "device-denied",
    );
  } finally {
    kernel32.call.CloseHandle(handle);
  }
});

Deno.test("a library for another processor is told from one", () => {
  refused("arm64.dll", "wrong-machine", /another processor \(arm64\)/);
  refused("text.dll", "wrong-machine", /is no library/);
});

Deno.test("a library without a signature is not loaded", () => {
  refused("unsigned.dll", "untrusted", /it has no signature/);
  const devices = new WintunDevices(kernel32);
  assert.throws(
    () => devices.create({ name: "sluice0", offload: "none" }),
    (error) => error instanceof TunError && error.code === "device-denied",
  );
});

Deno.test("under Wine, a variable takes one without a signature", () => {
  Deno.env.set("SLUICE_UNSIGNED_DRIVERS", "yes");
  refused("unsigned.dll", "untrusted", /it has no signature/);
  Deno.env.set("SLUICE_UNSIGNED_DRIVERS", "allow");
  open("unsigned.dll");
  Deno.env.delete("SLUICE_UNSIGNED_DRIVERS");
});

Deno.test("a library that lacks a function is too old, and that is said", () => {
  Deno.env.set("SLUICE_UNSIGNED_DRIVERS", "allow");
  Deno.env.set("SLUICE_WINTUN_DLL", `${DRIVERS}/old.dll`);
  const devices = new WintunDevices(kernel32);
  assert.throws(
    () => devices.create({ name: "sluice0", offload: "none" }),
    (error) =>
      error instanceof TunError && error.code === "device-absent" &&
      /no WintunGetReadWaitEvent: get version 0\.14/.test(error.message),
  );
  Deno.env.delete("SLUICE_UNSIGNED_DRIVERS");
});

Deno.test("a signature counts where it is the right one's", () => {
  open("WireGuard LLC.dll");
  refused(
    "Somebody Else.dll",
    "untrusted",
    /signed by Somebody Else, not by WireGuard LLC/,
  );
});

Deno.test("what Windows says of a signature is told in words", () => {
  // Wine asks for no root, so this verdict is a made one.
  const says = (code: number) => {
    const call = { WinVerifyTrust: () => code | 0 };
    const wintrust = { call } as unknown as Wintrust;
    return verifySignature(wintrust, { path: "C:\\a.dll", handle: 4 });
  };
  assert.deepEqual(says(0x800b0109), {
    kind: "invalid",
    code: 0x800b0109,
    reason: "its certificate leads to no root that this Windows trusts",
  });
  assert.deepEqual(says(0x80070005), {
    kind: "invalid",
    code: 0x80070005,
    reason: "Windows refuses it (error 0x80070005)",
  });
});

Deno.test("a library that was changed after it was signed is not loaded", () => {
  refused("changed.dll", "untrusted", /changed after it was signed/);
});

Deno.test("a library is not changed while it is judged", () => {
  Deno.env.set("SLUICE_WINTUN_DLL", `${DRIVERS}/WireGuard LLC.dll`);
  openDriverLibrary(WINTUN_LIBRARY, kernel32, (path) => {
    assert.throws(() => Deno.openSync(path, { write: true }));
    assert.throws(() => Deno.removeSync(path));
  });
  Deno.openSync(`${DRIVERS}/WireGuard LLC.dll`, { write: true }).close();
});
