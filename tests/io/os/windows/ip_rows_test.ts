/** Rows of iphlpapi by hand, and the choice of routes against a slow twin. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  mibIpforwardRow2,
  mibIpinterfaceRow,
  mibUnicastipaddressRow,
} from "../../../../ffi/windows/layouts/iphlpapi.ts";
import {
  parseAddress,
  parsePrefix,
} from "../../../../src/core/wire/address.ts";
import {
  type FamilySettings,
  readFamily,
  readLinkAddress,
  readRoute,
  writeFamily,
  writeLinkAddress,
  writeRoute,
} from "../../../../src/io/os/windows/ip_rows.ts";
import { formatGuid, parseGuid } from "../../../../src/io/os/windows/guid.ts";
import { chooseRoute } from "../../../../src/io/os/windows/route_choice.ts";
import type { WeighedRoute } from "../../../../src/io/os/windows/ip_helper.ts";

function hex(bytes: Uint8Array, from: number, length: number): string {
  return bytes.subarray(from, from + length).toHex();
}

function network(text: string) {
  const { family, words, length } = parsePrefix(text)!;
  return { family, words: Int32Array.from(words), prefixLength: length };
}

Deno.test("an address lies in its row as Windows has it", () => {
  const row = new Uint8Array(mibUnicastipaddressRow.size);
  const address = { ...network("10.77.0.1/24"), index: 7 };
  writeLinkAddress(row, { ...address, use: "listen-only" });
  assert.equal(hex(row, 0, 8), "020000000a4d0001");
  assert.equal(hex(row, 40, 4), "07000000");
  assert.equal(hex(row, 52, 12), "ffffffffffffffff18010000");
  assert.equal(hex(row, 64, 4), "04000000");
  assert.deepEqual(readLinkAddress(row), { ...address, use: "listen-only" });
  const six = { ...network("fd77::1/64"), index: 0x1234 };
  row.fill(0);
  writeLinkAddress(row, six);
  assert.equal(hex(row, 0, 24), `1700000000000000fd77${"00".repeat(13)}01`);
  assert.deepEqual(readLinkAddress(row), six);
});

Deno.test("a route lies in its row as Windows has it", () => {
  const row = new Uint8Array(mibIpforwardRow2.size);
  writeRoute(row, { ...network("10.99.0.0/16"), index: 7, metric: 5 });
  assert.equal(hex(row, 8, 12), "07000000020000000a630000");
  assert.equal(hex(row, 40, 8), "1000000002000000");
  assert.equal(hex(row, 84, 8), "0500000003000000");
  assert.deepEqual(readRoute(row), {
    ...network("10.99.0.0/16"),
    index: 7,
    metric: 5,
    gateway: undefined,
  });
  const gateway = Int32Array.from(parseAddress("fe80::1")!);
  const six = { ...network("2001:db8::/32"), index: 3, metric: 9, gateway };
  row.fill(0);
  writeRoute(row, six);
  assert.deepEqual(readRoute(row), six);
});

Deno.test("rows of another family are nobody's", () => {
  const row = new Uint8Array(mibIpforwardRow2.size);
  assert.equal(readRoute(row), undefined);
  assert.equal(readLinkAddress(row.subarray(0, 80)), undefined);
});

Deno.test("an interface's family is changed where it is to be, for IPv4 without what it refuses", () => {
  const row = new Uint8Array(mibIpinterfaceRow.size).fill(0xaa);
  row[0] = 2;
  row[1] = 0;
  const settings: FamilySettings = {
    mtu: 1420,
    metric: 0,
    forwards: false,
    routerDiscovery: 0,
    duplicateProbes: 0,
  };
  writeFamily(row, settings);
  assert.equal(hex(row, 144, 12), "00000000000000008c050000");
  assert.deepEqual([row[40], row[41], row[44]], [0xaa, 0, 0]);
  assert.equal(hex(row, 52, 12), "0000000000000000aaaaaaaa");
  assert.deepEqual(readFamily(row), settings);
  const automatic: FamilySettings = {
    mtu: 1500,
    metric: "automatic",
    forwards: true,
    routerDiscovery: 2,
    duplicateProbes: 3,
  };
  writeFamily(row, automatic);
  assert.deepEqual(readFamily(row), automatic);
  row[0] = 23;
  row[144] = 64;
  writeFamily(row, settings);
  assert.equal(row[144], 64);
});

Deno.test("a GUID's text is the registry's", () => {
  const text = "{0e4dd3a8-9d0c-4d65-8f5c-1c5a1b0c7f21}";
  const bytes = parseGuid(text);
  assert.equal(bytes.toHex(), "a8d34d0e0c9d654d8f5c1c5a1b0c7f21");
  assert.equal(formatGuid(bytes), text);
  fc.assert(fc.property(
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    (some) => {
      assert.deepEqual([...parseGuid(formatGuid(some))], [...some]);
    },
  ));
});

Deno.test("of routes the longest wins, then the lightest, as bits say", () => {
  const anyRoute = fc.record({
    address: fc.integer({ min: 0, max: 15 }),
    length: fc.integer({ min: 0, max: 4 }),
    index: fc.integer({ min: 1, max: 3 }),
    weight: fc.integer({ min: 0, max: 3 }),
  });
  fc.assert(fc.property(
    fc.array(anyRoute, { maxLength: 8 }),
    fc.integer({ min: 0, max: 15 }),
    (list, address) => {
      // The first four bits of IPv4 are enough.
      const routes = list.map((
        { address, length, index, weight },
      ): WeighedRoute => ({
        family: 4,
        words: Int32Array.of(0, 0, 0xffff, address << 28),
        prefixLength: length,
        index,
        gateway: undefined,
        metric: 0,
        weight,
      }));
      const bits = (n: number) => n.toString(2).padStart(4, "0");
      const twin = routes
        .filter((route, i) =>
          route.index !== 3 &&
          bits(list[i].address).slice(0, route.prefixLength) ===
            bits(address).slice(0, route.prefixLength)
        )
        .toSorted((a, b) =>
          b.prefixLength - a.prefixLength || a.weight - b.weight
        )[0];
      const found = chooseRoute(
        routes,
        Int32Array.of(0, 0, 0xffff, address << 28),
        (index) => index !== 3,
      );
      assert.equal(found?.prefixLength, twin?.prefixLength);
      assert.equal(found?.weight, twin?.weight);
    },
  ));
});
