import assert from "node:assert/strict";
import { type Libc, openLibc } from "../../../../ffi/libc.ts";
import { ERRNO } from "../../../../ffi/linux_socket_constants.ts";
import { OpenFailure } from "../../../../src/core/flow/outside_sockets.ts";
import { formatEndpoint } from "../../../../src/core/wire/address.ts";
import { Ready } from "../../../../src/io/ports.ts";
import { openPlatform } from "../../../../src/io/platform.ts";
import { testOutside } from "../../../contract/outside.ts";
import { freePort, OutsideEnd } from "../../../support/outside_end.ts";
import { numbered, PlainSocket } from "../../../support/packet_arena.ts";
import { linuxSockets } from "./linux_sockets.ts";

const ignore = Deno.build.os !== "linux";

if (!ignore) {
  testOutside({
    open: openPlatform,
    systemHopLimit: 64,
    usualHopLimit: 64,
    icmpFamilies: [4, 6],
    sockets: 3000,
  });
}
const F_GETFD = 1;

interface Case {
  readonly family: 4 | 6;
  /** The loopback address as an endpoint's host, and as a name for the runtime. */
  readonly host: string;
  readonly hostname: string;
}

const CASES: readonly Case[] = [
  { family: 4, host: "127.0.0.1", hostname: "127.0.0.1" },
  { family: 6, host: "[::1]", hostname: "::1" },
];

for (const { family, host, hostname } of CASES) {
  Deno.test({
    name: `IPv${family}: «port unreachable» tells who, about what and to whom`,
    ignore,
    async fn() {
      using libc = openLibc();
      using end = new OutsideEnd(linuxSockets(libc));
      const { outside, poller, arena } = end;
      const handle = end.openUdp(family, 3);
      const closed = freePort(family);
      const payload = numbered(77, 400);
      end.queueUdp(handle, `${host}:${closed}`, payload);
      assert.equal(outside.flush(), 0);
      assert.equal(poller.wait(-1), Ready.Outside);
      assert.equal(poller.outsideRow(0), 3);
      assert.equal(poller.outsideError(0), true);

      const { report, batch } = { report: outside.report, batch: arena.batch };
      assert.ok(outside.receiveError(handle, batch, report));
      assert.equal(report.family, family);
      assert.deepEqual(
        [report.type, report.code, report.extra],
        family === 4 ? [3, 3, 0] : [1, 4, 0],
      );
      assert.equal(formatEndpoint(report.offender, 0, 0), `${host}:0`);
      assert.equal(
        formatEndpoint(report.destination, 0, report.destinationPort),
        `${host}:${closed}`,
      );
      assert.ok(report.payloadAt >= 128);
      assert.deepEqual(
        arena.bytes.slice(
          report.payloadAt,
          report.payloadAt + report.payloadLength,
        ),
        payload,
      );
      assert.equal(outside.receiveError(handle, batch, report), false);
      assert.equal(poller.wait(0), 0);

      // The error has not spoilt the socket, read or not.
      using far = new PlainSocket(hostname);
      for (const rounds of [1, 2]) {
        for (let i = 0; i < rounds; i++) {
          end.queueUdp(handle, `${host}:${closed}`, payload);
          assert.equal(outside.flush(), 0);
        }
        end.queueUdp(handle, `${host}:${far.port}`, numbered(rounds, 30));
        assert.equal(outside.flush(), 0);
        assert.deepEqual((await far.receive()).bytes, numbered(rounds, 30));
      }
    },
  });
}

function isOpen(libc: Libc, descriptor: number): boolean {
  return libc.call.fcntl(descriptor, F_GETFD, 0) >= 0;
}

Deno.test({
  name: "more errors than a queue holds leave no error behind",
  ignore,
  fn() {
    using libc = openLibc();
    using end = new OutsideEnd(linuxSockets(libc));
    const { outside, poller, arena } = end;
    const handle = end.openUdp(4, 3);
    const closed = freePort(4);
    for (let round = 0; round < 20; round++) {
      arena.batch.clear();
      for (let i = 0; i < 500; i++) {
        end.queueUdp(handle, `127.0.0.1:${closed}`, numbered(i, 10));
      }
      outside.flush();
    }
    let reports = 0;
    while (outside.receiveError(handle, arena.batch, outside.report)) reports++;
    assert.ok(reports > 10 && reports < 10_000, `${reports} reports`);
    assert.equal(poller.wait(0), 0);
  },
});

Deno.test({
  name: "a retired socket is closed by the receiving side, its row freed",
  ignore,
  fn() {
    using libc = openLibc();
    using end = new OutsideEnd(linuxSockets(libc));
    const receiving = end.attach();
    const { outside, poller } = end;
    const rows = [4, 0, 31];
    const handles = rows.map((row) => end.openUdp(4, row));
    const port = outside.port(handles[0]);
    for (const [i, row] of rows.entries()) outside.retire(row, handles[i]);
    assert.ok(handles.every((handle) => isOpen(libc, handle)));
    assert.equal(outside.open(17, 4, port, 5), OpenFailure.InUse);
    assert.equal(poller.wait(-1), Ready.Wake);
    const freed: number[] = [];
    receiving.closeRetired({ markFree: (row) => void freed.push(row) });
    assert.deepEqual(freed, rows);
    assert.ok(!handles.some((handle) => isOpen(libc, handle)));
    const again = outside.open(17, 4, port, 5);
    assert.ok(again >= 0);
    // Many more than the queue has places, a few at a time.
    for (let i = 0; i < 200; i++) {
      const handle = end.openUdp(4, i & 31);
      outside.retire(i & 31, handle);
      if (i % 5 === 4) {
        receiving.closeRetired({ markFree: (row) => void freed.push(row) });
      }
    }
    assert.deepEqual(
      freed.slice(3),
      [...new Array(200).keys()].map((i) => i & 31),
    );
  },
});

Deno.test({
  name: "disposing closes what was open and what was retired",
  ignore,
  fn() {
    using libc = openLibc();
    const handles: number[] = [];
    {
      using end = new OutsideEnd(linuxSockets(libc));
      for (let row = 0; row < 4; row++) {
        handles.push(end.openUdp(4, row));
      }
      end.outside.retire(1, handles[1]);
      assert.ok(handles.every((handle) => isOpen(libc, handle)));
    }
    assert.ok(!handles.some((handle) => isOpen(libc, handle)));
  },
});

Deno.test({
  name: "open tells why there is no socket",
  ignore,
  fn() {
    using libc = openLibc();
    using taken = new PlainSocket("0.0.0.0");
    const failing = (errno: number): Libc => ({
      ...libc,
      errno: () => errno,
      call: { ...libc.call, socket: () => -1 },
    });
    using end = new OutsideEnd(linuxSockets(libc), { echo: "ping" });
    assert.equal(end.outside.open(17, 4, taken.port, 0), OpenFailure.InUse);
    for (
      const [errno, failure] of [
        [ERRNO.EMFILE, OpenFailure.OutOfResources],
        [ERRNO.ENFILE, OpenFailure.OutOfResources],
        [ERRNO.ENOBUFS, OpenFailure.OutOfResources],
        [ERRNO.ENOMEM, OpenFailure.OutOfResources],
        [ERRNO.EACCES, OpenFailure.NotPermitted],
        [ERRNO.EAFNOSUPPORT, OpenFailure.NotPermitted],
      ]
    ) {
      const outside = end.attach(linuxSockets(failing(errno)));
      assert.equal(outside.open(17, 6, 4000, 0), failure);
    }
    assert.equal(end.poller.wait(0), 0);
  },
});
