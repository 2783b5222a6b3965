/** Which adapters are made, of what the libraries say; they are scripted here. */
import assert from "node:assert/strict";
import type { Iphlpapi } from "../../../../ffi/windows/iphlpapi.ts";
import type { Kernel32 } from "../../../../ffi/windows/kernel32.ts";
import { Win32Error } from "../../../../ffi/windows/win32_error.ts";
import type { Wintun } from "../../../../ffi/windows/wintun.ts";
import {
  adapterGuid,
  isAdapterName,
  openWintunAdapter,
  type WintunParts,
} from "../../../../src/io/os/windows/wintun_adapter.ts";
import { TunError } from "../../../../src/io/ports.ts";

const NOT_FOUND = 2;
const OTHERS_GUID = new Uint8Array(16).fill(0xee);

interface Script {
  /** What creating gives, one after the other; 0 is success. */
  readonly create?: readonly number[];
  readonly start?: number;
  /** The GUID of the interface that has the name. */
  readonly holder?: Uint8Array;
}

/** Libraries that do what the script says, and note what they were asked. */
function scripted(script: Script): { parts: WintunParts; asked: string[] } {
  const asked: string[] = [];
  let error = 0;
  let creations = 0;
  const answer = (call: string, code: number): bigint => {
    asked.push(call);
    error = code;
    return code === 0 ? 0x1000n : 0n;
  };
  const wintun = {
    call: {
      WintunCreateAdapter: () =>
        answer("create", script.create?.[creations++] ?? 0),
      WintunStartSession: (_adapter: bigint, capacity: number) =>
        answer(`start ${capacity}`, script.start ?? 0),
      WintunEndSession: () => void asked.push("end"),
      WintunCloseAdapter: () => void asked.push("close"),
    },
  } as unknown as Wintun;
  const iphlpapi = {
    call: {
      ConvertInterfaceAliasToLuid: () =>
        script.holder === undefined ? NOT_FOUND : 0,
      ConvertInterfaceLuidToGuid: (_luid: Uint8Array, guid: Uint8Array) => {
        guid.set(script.holder!);
        return 0;
      },
    },
  } as unknown as Iphlpapi;
  const kernel32 = {
    error: (call: string) => new Win32Error(call, error),
  } as unknown as Kernel32;
  return { parts: { wintun, iphlpapi, kernel32 }, asked };
}

function refused(script: Script): { error: TunError; asked: string[] } {
  const { parts, asked } = scripted(script);
  try {
    openWintunAdapter(parts, "sluice");
  } catch (error) {
    assert.ok(error instanceof TunError);
    return { error, asked };
  }
  assert.fail("an adapter was made");
}

Deno.test("an adapter has a session with rings of 8 MiB, and ends after it", () => {
  const { parts, asked } = scripted({});
  openWintunAdapter(parts, "sluice")[Symbol.dispose]();
  assert.deepEqual(asked, ["create", `start ${1 << 23}`, "end", "close"]);
});

Deno.test("an interface of that name that is not ours is left alone", () => {
  const { error, asked } = refused({ holder: OTHERS_GUID });
  assert.equal(error.code, "name-taken");
  assert.deepEqual(asked, []);
});

Deno.test("what a crash of ours has left does not stand in the way", () => {
  const { parts, asked } = scripted({
    holder: adapterGuid("sluice"),
    create: [183, 258, 0],
  });
  openWintunAdapter(parts, "sluice");
  assert.deepEqual(asked.slice(0, 3), ["create", "create", "create"]);
});

Deno.test("an adapter that somebody uses is closed again, and taken", () => {
  const { error, asked } = refused({ start: 1247 });
  assert.equal(error.code, "name-taken");
  assert.deepEqual(asked.slice(0, 3), ["create", `start ${1 << 23}`, "close"]);
  assert.equal(asked.length % 3, 0);
});

Deno.test("without the right it is not tried again", () => {
  const { error, asked } = refused({ create: [5, 0] });
  assert.equal(error.code, "not-permitted");
  assert.match(error.advice!, /administrator/);
  assert.deepEqual(asked, ["create"]);
});

Deno.test("names are those that Windows takes", () => {
  for (const name of ["a", "sluice0", "Mein Büro", "x".repeat(127)]) {
    assert.ok(isAdapterName(name), name);
  }
  const bad = ["", " a", "a ", "x".repeat(128), "a\0", "a\tb", ...'\\/:*?"<>|'];
  for (const name of bad) assert.ok(!isAdapterName(name), name);
});

Deno.test("a GUID follows from the name, whatever its case", () => {
  const guid = adapterGuid("sluice");
  assert.deepEqual(adapterGuid("SLUICE"), guid);
  assert.notDeepEqual(adapterGuid("sluice1"), guid);
  assert.equal(guid.length, 16);
  // Version 5 in Data3's high byte, the variant of RFC 9562 in Data4's first.
  assert.equal(guid[7] >> 4, 5);
  assert.equal(guid[8] >> 6, 2);
});
