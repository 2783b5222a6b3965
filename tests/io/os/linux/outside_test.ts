import assert from "node:assert/strict";
import { type Libc, openLibc } from "../../../../ffi/libc.ts";
import { ERRNO } from "../../../../ffi/linux_socket_constants.ts";
import { OpenFailure } from "../../../../src/core/flow/outside_sockets.ts";
import { formatEndpoint } from "../../../../src/core/wire/address.ts";
import { raiseOpenFileLimit } from "../../../../src/io/os/linux/limits.ts";
import { Ready } from "../../../../src/io/ports.ts";
import { freePort, OutsideEnd } from "../../../support/outside_end.ts";
import { numbered, PlainSocket } from "../../../support/packet_arena.ts";
import { linuxSockets } from "./linux_sockets.ts";

const ignore = Deno.build.os !== "linux";
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

function isOpen(libc: Libc, descriptor: number): boolean {
  return libc.call.fcntl(descriptor, F_GETFD, 0) >= 0;
}

for (const { family, host, hostname } of CASES) {
  Deno.test({
    name: `IPv${family}: a row leaves from its port, the answer finds its row`,
    ignore,
    async fn() {
      using libc = openLibc();
      using end = new OutsideEnd(linuxSockets(libc));
      using far = new PlainSocket(hostname);
      const handle = end.openUdp(family, 5);
      const port = end.outside.port(handle);
      const payloads = [1200, 1, 65_507 - (family === 6 ? 20 : 0), 0, 9];
      payloads.forEach((length, i) =>
        end.queueUdp(handle, `${host}:${far.port}`, numbered(i, length))
      );
      assert.equal(end.outside.flush(), 0);
      for (const [i, length] of payloads.entries()) {
        const { bytes, from } = await far.receive();
        assert.deepEqual(bytes, numbered(i, length));
        assert.equal(from.port, port);
      }
      assert.equal(end.poller.wait(0), 0);

      for (const [i, length] of payloads.entries()) {
        await far.send(numbered(i, length), { hostname, port });
      }
      assert.equal(end.poller.wait(-1), Ready.Outside);
      assert.equal(end.poller.outsideCount, 1);
      assert.equal(end.poller.outsideRow(0), 5);
      assert.equal(end.poller.outsideHandle(0), handle);
      assert.equal(end.poller.outsideError(0), false);
      const { batch } = end.arena;
      batch.clear();
      assert.equal(end.outside.receive(5, handle, batch), payloads.length);
      for (const [i, length] of payloads.entries()) {
        assert.deepEqual(end.arena.row(i), numbered(i, length));
        assert.equal(batch.target[i], 5);
        assert.equal(batch.peer[i], -1);
        assert.equal(batch.hopLimit[i], 64);
        assert.equal(
          formatEndpoint(batch.remote, i * 4, batch.remotePort[i]),
          `${host}:${far.port}`,
        );
        // Headers go before the row without touching the row in front of it.
        end.arena.bytes.fill(0xee, batch.offset[i] - 128, batch.offset[i]);
      }
      assert.deepEqual(
        end.arena.rows(),
        payloads.map((length, i) => numbered(i, length)),
      );
      assert.equal(end.poller.wait(0), 0);
    },
  });

  Deno.test({
    name: `IPv${family}: each row leaves with its own hop limit`,
    ignore,
    fn() {
      using libc = openLibc();
      using end = new OutsideEnd(linuxSockets(libc));
      const near = end.openUdp(family, 1);
      const far = end.openUdp(family, 2);
      const farPort = end.outside.port(far);
      const hopLimits = [1, 7, 0, 255, 33, 0];
      hopLimits.forEach((hopLimit, i) =>
        end.queueUdp(near, `${host}:${farPort}`, numbered(i, 20), { hopLimit })
      );
      assert.equal(end.outside.flush(), 0);
      const { batch } = end.arena;
      batch.clear();
      assert.equal(end.outside.receive(2, far, batch), hopLimits.length);
      assert.deepEqual(
        [...batch.hopLimit.slice(0, hopLimits.length)],
        hopLimits.map((hopLimit) => hopLimit || 64),
      );
    },
  });

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
  name: "failed rows are told with their errno, the others leave in order",
  ignore,
  async fn() {
    using libc = openLibc();
    using end = new OutsideEnd(linuxSockets(libc));
    using far = new PlainSocket("127.0.0.1");
    const { outside } = end;
    const handles = [1, 2].map((row) => end.openUdp(4, row));
    const failed: number[] = [];
    const sent = new Map<number, Uint8Array[]>();
    for (let i = 0; i < 250; i++) {
      const handle = handles[i % 25 < 15 ? 0 : 1];
      const port = outside.port(handle);
      const bytes = numbered(i, 24);
      if (i % 50 === 42) {
        // Broadcast needs an option that these sockets do not have.
        failed.push(end.queueUdp(handle, "255.255.255.255:9", bytes));
      } else {
        const dontFragment = i % 7 === 0 ? 1 : 0;
        end.queueUdp(handle, `127.0.0.1:${far.port}`, bytes, { dontFragment });
        sent.set(port, [...sent.get(port) ?? [], bytes]);
      }
    }
    assert.equal(outside.flush(), failed.length);
    assert.equal(outside.failedCount, failed.length);
    assert.deepEqual([...outside.failedRow.slice(0, failed.length)], failed);
    assert.deepEqual(
      [...outside.failedErrno.slice(0, failed.length)],
      failed.map(() => ERRNO.EACCES),
    );
    // Each socket keeps its own order.
    for (let i = failed.length; i < 250; i++) {
      const { bytes, from } = await far.receive();
      assert.deepEqual(bytes, sent.get(from.port)!.shift());
    }
    assert.equal(outside.flush(), 0);
    end.queueUdp(handles[0], "255.255.255.255:9", numbered(1, 1));
    assert.equal(outside.flush(), 1);
  },
});

Deno.test({
  name: "an area with few slots gives what fits, the poller tells of the rest",
  ignore,
  async fn() {
    using libc = openLibc();
    using end = new OutsideEnd(linuxSockets(libc), {
      receiveBytes: 3 * 67_000,
    });
    using far = new PlainSocket("127.0.0.1");
    const handle = end.openUdp(4, 9);
    const port = end.outside.port(handle);
    for (let i = 0; i < 8; i++) {
      await far.send(numbered(i, 100), { hostname: "127.0.0.1", port });
    }
    const { batch } = end.arena;
    const received: Uint8Array[] = [];
    while (end.poller.wait(0) !== 0) {
      batch.clear();
      // Rows of other origin do not count; those in slots hold them.
      end.arena.append(numbered(0, 10));
      assert.ok(end.outside.receive(9, handle, batch) > 0);
      end.outside.receive(9, handle, batch);
      assert.ok(batch.count <= 4);
      received.push(...end.arena.rows().slice(1));
    }
    assert.deepEqual(
      received,
      [...new Array(8).keys()].map((i) => numbered(i, 100)),
    );
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

Deno.test({
  name: "thousands of sockets, each with its row",
  ignore,
  async fn() {
    using libc = openLibc();
    const wanted = Math.min(3000, raiseOpenFileLimit(libc) - 200);
    using end = new OutsideEnd(linuxSockets(libc), {
      capacity: 4096,
      rows: 4096,
    });
    using far = new PlainSocket("127.0.0.1");
    const { outside, poller, arena } = end;
    const ports: number[] = [];
    let port = 20_000;
    for (let row = 0; row < wanted; row++) {
      let handle: number = OpenFailure.InUse;
      while (handle === OpenFailure.InUse) {
        handle = outside.open(17, 4, ++port, row);
      }
      assert.ok(handle >= 0, `row ${row}: ${handle}`);
      ports.push(port);
    }
    const seen = new Set<number>();
    for (let row = 0; row < wanted; row++) {
      const bytes = numbered(row, 16);
      await far.send(bytes, { hostname: "127.0.0.1", port: ports[row] });
      if (row % 100 !== 99 && row !== wanted - 1) continue;
      while (poller.wait(0) !== 0) {
        for (let i = 0; i < poller.outsideCount; i++) {
          arena.batch.clear();
          const natRow = poller.outsideRow(i);
          const handle = poller.outsideHandle(i);
          assert.equal(outside.receive(natRow, handle, arena.batch), 1);
          assert.deepEqual(arena.row(0), numbered(natRow, 16));
          seen.add(natRow);
        }
      }
    }
    assert.equal(seen.size, wanted);
  },
});
