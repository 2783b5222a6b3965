/** ICMP errors as raw sockets hear of them, true ones and hostile ones. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { formatEndpoint } from "../../../../src/core/wire/address.ts";
import { emptyReport } from "../../../../src/io/os/shared/empty_report.ts";
import { IcmpErrors } from "../../../../src/io/os/windows/icmp_errors.ts";
import { OutsideRows } from "../../../../src/io/os/windows/outside_rows.ts";

const PORT = 0x9c41;
const ROW = 17;

function tables() {
  const rows = new OutsideRows(new SharedArrayBuffer(OutsideRows.byteLength));
  rows.set(4, PORT, ROW);
  rows.set(6, PORT, ROW + 1);
  return { rows, errors: new IcmpErrors(rows) };
}

function hex(...parts: string[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(parts.join("").replaceAll(" ", ""));
}

const IP4 = "45 00 0038 0000 0000 40 01 0000 c00002fe c0000201";
const QUOTED4 = "45 00 0022 1234 4000 01 11 0000 c0000201 c6336401";
const UDP_QUOTED = "9c41 0035 000e 0000 010203040506";
const TOO_BIG4 = hex(IP4, "03 04 0000 0000 0514", QUOTED4, UDP_QUOTED);

const QUOTED6 = "60000000 000e 11 40",
  FROM6 = "20010db8000100000000000000000001",
  TO6 = "20010db8000200000000000000000001";
const TOO_BIG6 = hex("02 00 0000 00000514", QUOTED6, FROM6, TO6, UDP_QUOTED);

Deno.test("«too big» of IPv4 tells mapping, MTU, who and to whom", () => {
  const { errors } = tables();
  const report = emptyReport();
  assert.ok(errors.read4(TOO_BIG4, 0, TOO_BIG4.length, report));
  assert.deepEqual(
    [report.family, report.type, report.code, report.extra, report.natRow],
    [4, 3, 4, 0x514, ROW],
  );
  assert.equal(formatEndpoint(report.offender, 0, 0), "192.0.2.254:0");
  const { destination, destinationPort, payloadAt, payloadLength } = report;
  assert.equal(
    formatEndpoint(destination, 0, destinationPort),
    "198.51.100.1:53",
  );
  assert.deepEqual(
    TOO_BIG4.slice(payloadAt, payloadAt + payloadLength).toHex(),
    "010203040506",
  );
});

Deno.test("«too big» of IPv6, with and without a fragment header", () => {
  const { errors } = tables();
  const fragment = hex(
    "02 00 0000 00000514",
    QUOTED6.replace("11 40", "2c 40"),
    FROM6,
    TO6,
    "11 00 0001 00000007",
    UDP_QUOTED,
  );
  for (const message of [TOO_BIG6, fragment]) {
    const report = emptyReport();
    assert.ok(errors.read6(message, 0, message.length, report));
    assert.deepEqual(
      [report.family, report.type, report.code, report.extra, report.natRow],
      [6, 2, 0, 0x514, ROW + 1],
    );
    const { destination, destinationPort, payloadAt, payloadLength } = report;
    assert.equal(
      formatEndpoint(destination, 0, destinationPort),
      "[2001:db8:2::1]:53",
    );
    assert.equal(payloadAt + payloadLength, message.length);
    assert.equal(payloadLength, 6);
  }
});

Deno.test("an echo request is told with its message, by no row", () => {
  const { errors } = tables();
  const message = hex(
    IP4,
    "0b 00 0000 00000000",
    QUOTED4.replace("01 11", "01 01"),
    "08 00 1234 beef 0009 aabb",
  );
  const report = emptyReport();
  assert.ok(errors.read4(message, 0, message.length, report));
  assert.deepEqual([report.type, report.natRow, report.extra], [11, -1, 0]);
  assert.equal(message.slice(report.payloadAt).toHex(), "08001234beef0009aabb");
});

Deno.test("what is no error about ours is passed over", () => {
  const { errors, rows } = tables();
  const wrong = (edit: (bytes: Uint8Array) => void) => {
    const bytes = TOO_BIG4.slice();
    edit(bytes);
    return errors.read4(bytes, 0, bytes.length, emptyReport());
  };
  assert.equal(wrong(() => {}), true);
  assert.equal(wrong((b) => b[20] = 0), false, "an echo reply");
  assert.equal(wrong((b) => b[20] = 5), false, "a redirect");
  assert.equal(wrong((b) => b[28] = 0x65), false, "no IPv4 within");
  assert.equal(wrong((b) => b[28] = 0x44), false, "a short header within");
  assert.equal(wrong((b) => b[28] = 0x4f), false, "a header beyond the end");
  assert.equal(wrong((b) => b[35] = 1), false, "a later fragment");
  assert.equal(wrong((b) => b[37] = 6), false, "TCP");
  assert.equal(wrong((b) => b[48] ^= 1), false, "another program's port");
  rows.clear(4, PORT, ROW + 5);
  assert.equal(wrong(() => {}), true, "another row's port stays");
  rows.clear(4, PORT, ROW);
  assert.equal(wrong(() => {}), false, "a retired mapping");
});

Deno.test("every truncation either tells or does not, within its bytes", () => {
  const { errors } = tables();
  for (const [family, message] of [[4, TOO_BIG4], [6, TOO_BIG6]] as const) {
    const headers = family === 4 ? 56 : 56;
    for (let length = 0; length <= message.length; length++) {
      const report = emptyReport();
      const told = family === 4
        ? errors.read4(message.slice(0, length), 0, length, report)
        : errors.read6(message.slice(0, length), 0, length, report);
      assert.equal(told, length >= headers, `IPv${family}, ${length} bytes`);
      if (!told) continue;
      assert.ok(report.payloadLength >= 0);
      assert.ok(report.payloadAt + report.payloadLength <= length);
    }
  }
});

Deno.test("hostile bytes never reach beyond the message", () => {
  const { errors } = tables();
  const base = fc.constantFrom(TOO_BIG4, TOO_BIG6);
  const edits = fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 8 });
  fc.assert(fc.property(base, edits, fc.nat(80), (message, changes, cut) => {
    const bytes = new Uint8Array(300).fill(0xee);
    bytes.set(message, 100);
    for (const [at, value] of changes) bytes[100 + at] = value;
    const length = Math.min(cut, message.length);
    for (const told of ["read4", "read6"] as const) {
      const report = emptyReport();
      if (!errors[told](bytes, 100, length, report)) continue;
      assert.ok(report.payloadAt >= 100 && report.payloadLength >= 0);
      assert.ok(report.payloadAt + report.payloadLength <= 100 + length);
    }
  }));
});
