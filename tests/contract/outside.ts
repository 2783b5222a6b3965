/**
 * What the outside's sockets do on every system: one suite over loopback.
 */
import assert from "node:assert/strict";
import { OpenFailure } from "../../src/core/flow/outside_sockets.ts";
import { formatEndpoint } from "../../src/core/wire/address.ts";
import { readU16be, writeU16be } from "../../src/core/wire/bytes.ts";
import { checksum } from "../../src/core/wire/checksum.ts";
import type { Platform } from "../../src/io/platform.ts";
import { Ready } from "../../src/io/ports.ts";
import { SocketError } from "../../src/io/ports/stream_sockets.ts";
import {
  freePort,
  OutsideEnd,
  type OutsidePlatform,
} from "../support/outside_end.ts";
import { numbered, PlainSocket } from "../support/packet_arena.ts";
import type { OpenedElsewhere } from "./outside_program.ts";

/** One system. */
export interface OutsideSubject {
  readonly open: () =>
    & OutsidePlatform
    & Pick<Platform, "raiseOpenFileLimit">
    & Disposable;
  /** The hop limit of the runtime's own sockets. */
  readonly systemHopLimit: number;
  /** That of rows that ask for none. */
  readonly usualHopLimit: number;
  /** Families whose ICMP messages the system hands over. */
  readonly icmpFamilies: readonly (4 | 6)[];
  /** How many sockets are opened at once, at most. */
  readonly sockets: number;
}

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

/** Registers the suite. */
export function testOutside(
  { open, systemHopLimit, usualHopLimit, icmpFamilies, sockets }:
    OutsideSubject,
): void {
  for (const { family, host, hostname } of CASES) {
    Deno.test({
      name:
        `IPv${family}: a row leaves from its port, the answer finds its row`,
      async fn() {
        using platform = open();
        using end = new OutsideEnd(platform);
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
          assert.equal(batch.hopLimit[i], systemHopLimit);
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
      fn() {
        using platform = open();
        using end = new OutsideEnd(platform);
        const near = end.openUdp(family, 1);
        const far = end.openUdp(family, 2);
        const farPort = end.outside.port(far);
        const hopLimits = [1, 7, 0, 255, 33, 0];
        hopLimits.forEach((hopLimit, i) =>
          end.queueUdp(near, `${host}:${farPort}`, numbered(i, 20), {
            hopLimit,
          })
        );
        assert.equal(end.outside.flush(), 0);
        const { batch } = end.arena;
        batch.clear();
        assert.equal(end.outside.receive(2, far, batch), hopLimits.length);
        assert.deepEqual(
          [...batch.hopLimit.slice(0, hopLimits.length)],
          hopLimits.map((hopLimit) => hopLimit || usualHopLimit),
        );
      },
    });
  }

  Deno.test({
    name: "failed rows are told with their errno, the others leave in order",
    async fn() {
      using platform = open();
      using end = new OutsideEnd(platform);
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
          end.queueUdp(handle, `127.0.0.1:${far.port}`, bytes, {
            dontFragment,
          });
          sent.set(port, [...sent.get(port) ?? [], bytes]);
        }
      }
      assert.equal(outside.flush(), failed.length);
      assert.equal(outside.failedCount, failed.length);
      assert.deepEqual([...outside.failedRow.slice(0, failed.length)], failed);
      assert.deepEqual(
        [...outside.failedErrno.slice(0, failed.length)],
        failed.map(() => SocketError.AccessDenied),
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
    name:
      "an area with few slots gives what fits, the poller tells of the rest",
    async fn() {
      using platform = open();
      using end = new OutsideEnd(platform, {
        receiveBytes: 3 * 67_000,
      });
      using far = new PlainSocket("127.0.0.1");
      const handle = end.openUdp(4, 9);
      const port = end.outside.port(handle);
      for (let i = 0; i < 8; i++) {
        await far.send(numbered(i, 40_000), { hostname: "127.0.0.1", port });
      }
      const { batch } = end.arena;
      const received: Uint8Array[] = [];
      while (end.poller.wait(0) !== 0) {
        batch.clear();
        // Rows of other origin do not count; those in slots hold them.
        end.arena.append(numbered(0, 10));
        assert.ok(end.outside.receive(9, handle, batch) > 0);
        end.outside.receive(9, handle, batch);
        assert.ok(batch.count < 8);
        received.push(...end.arena.rows().slice(1));
      }
      assert.deepEqual(
        received,
        [...new Array(8).keys()].map((i) => numbered(i, 40_000)),
      );
    },
  });

  Deno.test({
    name: "thousands of sockets, each with its row",
    async fn() {
      using platform = open();
      const wanted = Math.min(sockets, platform.raiseOpenFileLimit() - 200);
      using end = new OutsideEnd(platform, {
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

  Deno.test("a report of a closed port finds its row, told once", () => {
    using platform = open();
    for (const { family, host } of CASES) {
      if (!icmpFamilies.includes(family)) continue;
      using end = new OutsideEnd(platform, { echo: "raw" });
      const { outside, poller, arena } = end;
      const { report } = outside;
      const handle = end.openUdp(family, 3);
      const closed = freePort(family);
      const payload = numbered(77, 400);
      end.queueUdp(handle, `${host}:${closed}`, payload);
      assert.equal(outside.flush(), 0);
      const told: number[] = [];
      let at = 0;
      while (told.length === 0) {
        assert.equal(poller.wait(5000), Ready.Outside);
        for (let i = 0; i < poller.outsideCount; i++) {
          const socket = poller.outsideHandle(i);
          const row = poller.outsideRow(i);
          arena.batch.clear();
          if (poller.outsideError(i)) {
            while (outside.receiveError(socket, arena.batch, report)) {
              told.push(report.natRow >= 0 ? report.natRow : row);
              at = report.payloadAt;
            }
          }
          assert.equal(outside.receive(row, socket, arena.batch), 0);
        }
      }
      assert.deepEqual(told, [3]);
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
      assert.ok(at >= 128 && report.payloadLength > 0);
      assert.deepEqual(
        arena.bytes.slice(at, at + report.payloadLength),
        payload.slice(0, report.payloadLength),
      );
    }
  });

  Deno.test("a retired socket's port is free once the receiving side closed it", () => {
    using platform = open();
    using end = new OutsideEnd(platform);
    const receiving = end.attach();
    const { outside, poller } = end;
    const rows = [4, 0, 31];
    const handles = rows.map((row) => end.openUdp(4, row));
    const port = outside.port(handles[0]);
    for (const [i, row] of rows.entries()) outside.retire(row, handles[i]);
    assert.equal(outside.open(17, 4, port, 5), OpenFailure.InUse);
    assert.equal(poller.wait(-1), Ready.Wake);
    const freed: number[] = [];
    receiving.closeRetired({ markFree: (row) => void freed.push(row) });
    assert.deepEqual(freed, rows);
    assert.ok(outside.open(17, 4, port, 5) >= 0);
  });

  Deno.test("sockets of a thread that has ended are heard of all the same", async () => {
    using platform = open();
    using end = new OutsideEnd(platform);
    const program = new URL("./outside_program.ts", import.meta.url);
    const worker = new Worker(program, { type: "module" });
    const ports = Array.from({ length: 8 }, () => freePort(4));
    const { shared } = end.opened;
    const opened = new Promise<number[]>((resolve) =>
      worker.onmessage = ({ data }) => resolve(data)
    );
    worker.postMessage({ shared, ports } satisfies OpenedElsewhere);
    const handles = await opened;
    assert.ok(handles.every((handle) => handle >= 0), `${handles}`);
    worker.terminate();
    using far = new PlainSocket("127.0.0.1");
    for (let round = 0; round < 3; round++) {
      for (const [row, port] of ports.entries()) {
        await far.send(numbered(row, 40), { hostname: "127.0.0.1", port });
      }
      const heard = new Set<number>();
      while (heard.size < ports.length) {
        assert.equal(end.poller.wait(5000), Ready.Outside);
        for (let i = 0; i < end.poller.outsideCount; i++) {
          const row = end.poller.outsideRow(i);
          const handle = end.poller.outsideHandle(i);
          assert.equal(handle, handles[row]);
          end.arena.batch.clear();
          assert.equal(end.outside.receive(row, handle, end.arena.batch), 1);
          assert.deepEqual(end.arena.row(0), numbered(row, 40));
          heard.add(row);
        }
      }
    }
    for (const [row, handle] of handles.entries()) {
      end.outside.retire(row, handle);
    }
    end.outside.closeRetired({ markFree: () => {} });
  });

  Deno.test("echo by raw sockets finds its way back over the loopback", () => {
    using platform = open();
    using end = new OutsideEnd(platform, { echo: "raw" });
    if (end.opened.echo !== "raw") return;
    const { outside, poller, arena } = end;
    for (const { family, host } of CASES) {
      if (!icmpFamilies.includes(family)) continue;
      const handle = outside.open(family === 4 ? 1 : 58, family, 0xbeef, 12);
      assert.ok(handle >= 0);
      assert.equal(outside.port(handle), 0);
      const request = numbered(5, 64);
      request.fill(0, 0, 8);
      request[0] = family === 4 ? 8 : 128;
      writeU16be(request, 4, 0xbeef);
      writeU16be(request, 6, 9);
      if (family === 4) writeU16be(request, 2, checksum(request, 0, 64));
      end.queueEcho(handle, `${host}:0`, request);
      assert.equal(outside.flush(), 0);
      const { batch } = arena;
      const replies: Uint8Array[] = [];
      while (replies.length === 0) {
        assert.equal(poller.wait(5000), Ready.Outside);
        for (let i = 0; i < poller.outsideCount; i++) {
          batch.clear();
          const socket = poller.outsideHandle(i);
          const { report } = outside;
          while (outside.receiveError(socket, batch, report));
          outside.receive(poller.outsideRow(i), socket, batch);
          for (let row = 0; row < batch.count; row++) {
            const message = arena.row(row);
            assert.equal(batch.target[row], -1);
            if (readU16be(message, 4) !== 0xbeef) continue;
            assert.equal(formatEndpoint(batch.remote, row * 4, 0), `${host}:0`);
            replies.push(message);
          }
        }
      }
      assert.equal(replies[0][0], family === 4 ? 0 : 129);
      assert.deepEqual(replies[0].slice(6), request.slice(6));
    }
  });
}
