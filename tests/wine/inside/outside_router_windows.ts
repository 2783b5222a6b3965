/** What routers say about the outside's datagrams; run by outside_router_test.ts. */
import assert from "node:assert/strict";
import { formatEndpoint } from "../../../src/core/wire/address.ts";
import { readU16be, writeU16be } from "../../../src/core/wire/bytes.ts";
import { checksum } from "../../../src/core/wire/checksum.ts";
import { openPlatform } from "../../../src/io/platform.ts";
import { Ready } from "../../../src/io/ports.ts";
import { SocketError } from "../../../src/io/ports/stream_sockets.ts";
import { OutsideEnd } from "../../support/outside_end.ts";
import { numbered } from "../../support/packet_arena.ts";

const FAR = "198.51.100.1";
const ROUTER = "203.0.113.254";
const CLOSED = `${FAR}:9`;
const NAT_ROW = 3;
const WAIT_MS = 5000;
const UDP_HEADERS = 28;

const TIME_EXCEEDED = [11, 0];
const PORT_UNREACHABLE = [3, 3];
const TOO_BIG = [3, 4];

/** Takes one report as a pump does. @returns what it quotes. */
function takeReport(end: OutsideEnd): Uint8Array {
  const { outside, arena, poller } = end;
  const { report } = outside;
  for (let tries = 0; tries < 20; tries++) {
    assert.equal(poller.wait(WAIT_MS), Ready.Outside, "no report came");
    for (let i = 0; i < poller.outsideCount; i++) {
      const handle = poller.outsideHandle(i);
      if (!poller.outsideError(i)) {
        outside.receive(poller.outsideRow(i), handle, arena.batch);
        continue;
      }
      if (!outside.receiveError(handle, arena.batch, report)) continue;
      const at = report.payloadAt;
      return arena.bytes.slice(at, at + report.payloadLength);
    }
  }
  throw new Error("no report came");
}

function expectReport(
  end: OutsideEnd,
  { type, from, sent }: {
    type: readonly number[];
    from: string;
    sent: Uint8Array;
  },
): void {
  const quoted = takeReport(end);
  const { report } = end.outside;
  assert.deepEqual([report.type, report.code], type);
  assert.equal(report.natRow, NAT_ROW);
  assert.equal(formatEndpoint(report.offender, 0, 0), `${from}:0`);
  const { destination, destinationPort } = report;
  assert.equal(formatEndpoint(destination, 0, destinationPort), CLOSED);
  assert.ok(quoted.length > 0);
  assert.deepEqual(quoted, sent.slice(0, quoted.length));
  end.arena.batch.clear();
}

Deno.test("what routers say about a datagram finds its mapping", () => {
  using platform = openPlatform();
  using end = new OutsideEnd(platform, { echo: "raw" });
  const { outside } = end;
  const { report } = outside;
  const handle = end.openUdp(4, NAT_ROW);
  const small = numbered(1, 60);
  end.queueUdp(handle, CLOSED, small, { hopLimit: 1 });
  assert.equal(outside.flush(), 0);
  expectReport(end, { type: TIME_EXCEEDED, from: ROUTER, sent: small });
  assert.equal(report.extra, 0);

  end.queueUdp(handle, CLOSED, small, { hopLimit: 2 });
  assert.equal(outside.flush(), 0);
  expectReport(end, { type: PORT_UNREACHABLE, from: FAR, sent: small });

  // The first packet over the path's MTU leaves, and the router says no.
  const large = numbered(2, 1400);
  end.queueUdp(handle, CLOSED, large, { dontFragment: 1 });
  assert.equal(outside.flush(), 0);
  expectReport(end, { type: TOO_BIG, from: ROUTER, sent: large });
  assert.equal(report.extra, 1300);

  // Now the host knows: the row fails, and the others leave.
  const rows = [numbered(3, 500), large, numbered(4, 500)].map((bytes) =>
    end.queueUdp(handle, CLOSED, bytes, { dontFragment: 1 })
  );
  assert.equal(outside.flush(), 1);
  assert.equal(outside.failedRow[0], rows[1]);
  assert.equal(outside.failedErrno[0], SocketError.MessageTooLong);
  const told = outside.pathMtu(end.arena.batch, rows[1]);
  // Wine does not tell it.
  assert.ok(told === 1300 || told === 0, `${told}`);
  const first = { type: PORT_UNREACHABLE, from: FAR };
  expectReport(end, { ...first, sent: numbered(3, 500) });
  expectReport(end, { ...first, sent: numbered(4, 500) });
  const fits = numbered(5, 1300 - UDP_HEADERS);
  end.queueUdp(handle, CLOSED, fits, { dontFragment: 1 });
  assert.equal(outside.flush(), 0);
  expectReport(end, { ...first, sent: fits });

  // Where fragments are allowed the same size arrives.
  const whole = numbered(6, 1400);
  end.queueUdp(handle, CLOSED, whole);
  assert.equal(outside.flush(), 0);
  expectReport(end, { ...first, sent: whole });
});

Deno.test("of a retired mapping nothing is told any more", () => {
  using platform = openPlatform();
  using end = new OutsideEnd(platform, { echo: "raw" });
  const { outside, poller, arena } = end;
  const gone = end.openUdp(4, 1);
  const kept = end.openUdp(4, NAT_ROW);
  const bytes = numbered(1, 60);
  outside.retire(1, gone);
  end.queueUdp(gone, CLOSED, bytes, { hopLimit: 1 });
  end.queueUdp(kept, CLOSED, bytes, { hopLimit: 1 });
  assert.equal(outside.flush(), 0);
  assert.ok(poller.wait(WAIT_MS) & Ready.Wake);
  outside.closeRetired({ markFree: () => {} });
  expectReport(end, { type: TIME_EXCEEDED, from: ROUTER, sent: bytes });
  assert.equal(outside.receiveError(-1, arena.batch, outside.report), false);
});

Deno.test("an echo request that ends at a router is told by its identifier", () => {
  using platform = openPlatform();
  using end = new OutsideEnd(platform, { echo: "raw" });
  const { outside } = end;
  const { report } = outside;
  const handle = outside.open(1, 4, 0xbeef, 12);
  const request = numbered(9, 40);
  request.fill(0, 0, 8);
  request[0] = 8;
  writeU16be(request, 4, 0xbeef);
  writeU16be(request, 6, 9);
  writeU16be(request, 2, checksum(request, 0, request.length));
  end.queueEcho(handle, `${FAR}:0`, request, { hopLimit: 1 });
  assert.equal(outside.flush(), 0);
  const quoted = takeReport(end);
  assert.equal(report.natRow, -1);
  assert.deepEqual([report.type, report.code], TIME_EXCEEDED);
  assert.equal(formatEndpoint(report.offender, 0, 0), `${ROUTER}:0`);
  assert.equal(formatEndpoint(report.destination, 0, 0), `${FAR}:0`);
  assert.equal(readU16be(quoted, 4), 0xbeef);
  assert.deepEqual(quoted.slice(8), request.slice(8, quoted.length));

  // With hops enough the reply comes, its hop limit what two routers left.
  end.queueEcho(handle, `${FAR}:0`, request);
  assert.equal(outside.flush(), 0);
  const { batch } = end.arena;
  batch.clear();
  while (batch.count === 0) {
    assert.equal(end.poller.wait(WAIT_MS), Ready.Outside);
    outside.receive(-1, -1, batch);
    while (outside.receiveError(-1, batch, report));
  }
  assert.equal(batch.hopLimit[0], 63);
  assert.deepEqual(end.arena.row(0).slice(4), request.slice(4));
});
