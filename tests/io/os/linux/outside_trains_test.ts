/** Trains (UDP GSO and GRO) at outside sockets: sending, receiving, failing. */
import assert from "node:assert/strict";
import { type Libc, openLibc } from "../../../../ffi/libc.ts";
import {
  AF,
  ERRNO,
  IPPROTO,
  MSG,
  SOCK,
  UDP,
} from "../../../../ffi/linux_socket_constants.ts";
import { Verdict } from "../../../../src/core/columns/verdict.ts";
import {
  controlSpace,
  MessageVector,
} from "../../../../src/io/os/linux/message_vector.ts";
import { Random } from "../../../datapath/twins/random.ts";
import { OutsideEnd } from "../../../support/outside_end.ts";
import { numbered } from "../../../support/packet_arena.ts";
import { type Target, target } from "../../../support/tunnel_end.ts";
import { ALL, type Script, scriptedLibc } from "./scripted_libc.ts";
import { linuxSockets } from "./linux_sockets.ts";

const ignore = Deno.build.os !== "linux";
const WAIT_MS = 5000;
const HOSTS = { 4: "127.0.0.1", 6: "[::1]" } as const;

/** What arrived: bytes, hop limit, and between which ports. */
interface Arrived {
  readonly bytes: Uint8Array;
  readonly hopLimit: number;
  readonly from: number;
  readonly natRow: number;
}

/** Receives `count` rows at all sockets; each must have its room. */
function receiveRows(end: OutsideEnd, count: number): Arrived[] {
  const { arena, outside, poller } = end;
  const { batch } = arena;
  const arrived: Arrived[] = [];
  while (arrived.length < count) {
    assert.notEqual(poller.wait(WAIT_MS), 0, `${arrived.length} of ${count}`);
    batch.clear();
    for (let i = 0; i < poller.outsideCount; i++) {
      const natRow = poller.outsideRow(i);
      outside.receive(natRow, poller.outsideHandle(i), batch);
    }
    assert.ok(batch.count <= batch.capacity - (batch.capacity >> 3));
    const rows = arena.rows();
    for (let row = 0; row < batch.count; row++) {
      const at = batch.offset[row];
      const behind = at + batch.length[row];
      arena.bytes.fill(0xee, at - 128, at);
      arena.bytes.fill(0xdd, behind, behind + 64);
    }
    // Nobody's room is a neighbour's room or row.
    assert.deepEqual(arena.rows(), rows);
    for (let row = 0; row < batch.count; row++) {
      const at = batch.offset[row];
      const behind = at + batch.length[row];
      assert.ok(isFilled(arena.bytes, at - 128, at, 0xee));
      assert.ok(isFilled(arena.bytes, behind, behind + 64, 0xdd));
    }
    for (const [row, bytes] of rows.entries()) {
      arrived.push({
        bytes,
        hopLimit: batch.hopLimit[row],
        from: batch.remotePort[row],
        natRow: batch.target[row],
      });
    }
  }
  assert.equal(poller.wait(0), 0);
  return arrived;
}

function isFilled(
  bytes: Uint8Array,
  start: number,
  end: number,
  value: number,
): boolean {
  return bytes.subarray(start, end).every((byte) => byte === value);
}

for (const family of [4, 6] as const) {
  const host = HOSTS[family];

  Deno.test({
    name: `IPv${family}: alike rows leave as one train a remote`,
    ignore,
    fn() {
      using libc = openLibc();
      using end = new OutsideEnd(linuxSockets(libc));
      let calls: number[] = [];
      const counting = scriptedLibc(libc, ({ messages }) => {
        calls.push(messages);
        return ALL;
      });
      const sending = end.attach(linuxSockets(counting));
      const near = [end.openUdp(family, 1), end.openUdp(family, 2)];
      const far = [end.openUdp(family, 3), end.openUdp(family, 4)]
        .map((handle) => end.outside.port(handle));
      const { batch } = end.arena;
      const queue = (socket: number, remote: number, length: number) => {
        const row = end.appendUdp(
          `${host}:${far[remote]}`,
          numbered(batch.count, length),
        );
        sending.send(near[socket], batch, row);
      };
      const flush = (expected: readonly number[]) => {
        calls = [];
        const count = batch.count;
        assert.equal(sending.flush(), 0);
        assert.deepEqual(calls, expected);
        assert.equal(receiveRows(end, count).length, count);
        batch.clear();
      };
      // One call with one message in it; the last may be shorter.
      for (let i = 0; i < 40; i++) queue(0, 0, i < 39 ? 1372 : 30);
      flush([1]);
      // Rows of two sockets in turns: one call each.
      for (let i = 0; i < 40; i++) queue(i % 2, 0, 700);
      flush([1, 1]);
      // Remotes in turns: nothing to join.
      for (let i = 0; i < 10; i++) queue(0, i % 2, 700);
      flush([10]);
      // A longer one begins a new train, so does the 65th.
      for (const length of [100, 100, 200, 200, 100, 100]) queue(0, 0, length);
      for (let i = 0; i < 65; i++) queue(0, 1, 50);
      flush([5]);
    },
  });

  Deno.test({
    name: `IPv${family}: mixtures arrive whole, in each socket's order`,
    ignore,
    fn() {
      using libc = openLibc();
      using end = new OutsideEnd(linuxSockets(libc), {
        receiveBytes: 20 * 92_000,
      });
      const near = [1, 2, 3].map((row) => end.openUdp(family, row));
      const far = [4, 5].map((row) => end.openUdp(family, row));
      const ports = far.map((handle) => end.outside.port(handle));
      const { batch } = end.arena;
      for (let seed = 1; seed <= 40; seed++) {
        const random = new Random(seed);
        const expected = new Map<string, Omit<Arrived, "from" | "natRow">[]>();
        batch.clear();
        while (batch.count < 250) {
          const handle = random.pick(near);
          const to = random.below(2);
          const hopLimit = random.pick([0, 0, 1, 64, 255]);
          const dontFragment = random.oneIn(4) ? 1 : 0;
          const length = random.pick([0, 1, 20, 200, 1372, 1400]);
          const key = `${end.outside.port(handle)} ${4 + to}`;
          const list = expected.get(key) ?? [];
          expected.set(key, list);
          for (let n = 1 + random.below(70); n > 0; n--) {
            const own = random.oneIn(9) ? random.below(length + 1) : length;
            const bytes = numbered(seed * 1000 + batch.count, own);
            end.queueUdp(handle, `${host}:${ports[to]}`, bytes, {
              hopLimit,
              dontFragment,
            });
            list.push({ bytes, hopLimit: hopLimit || 64 });
          }
        }
        const count = batch.count;
        assert.equal(end.outside.flush(), 0, `seed ${seed}`);
        const arrived = new Map<string, Omit<Arrived, "from" | "natRow">[]>();
        for (const { from, natRow, ...rest } of receiveRows(end, count)) {
          const key = `${from} ${natRow}`;
          arrived.set(key, [...arrived.get(key) ?? [], rest]);
        }
        for (const [key, list] of expected) {
          assert.deepEqual(arrived.get(key), list, `seed ${seed}`);
        }
      }
    },
  });

  Deno.test({
    name: `IPv${family}: the longest trains of the kernel come in whole`,
    ignore,
    fn() {
      using libc = openLibc();
      for (
        const [rows, receiveBytes] of [[1024, 20 * 92_000], [256, 9 * 92_000]]
      ) {
        using end = new OutsideEnd(linuxSockets(libc), { rows, receiveBytes });
        const port = end.outside.port(end.openUdp(family, 7));
        const descriptor = libc.call.socket(
          family === 4 ? AF.INET : AF.INET6,
          SOCK.DGRAM | SOCK.CLOEXEC,
          0,
        );
        const to = target(`${host}:${port}`);
        const send = (messages: number) =>
          sendTrain(libc, descriptor, { family, to, messages });
        const isLong = send(128);
        const most = isLong ? 128 : 64;
        const trains = [...isLong ? [128] : [], most, most, 1, 3, most, 2];
        for (const messages of trains.slice(isLong ? 1 : 0)) {
          assert.ok(send(messages));
        }
        const expected = trains.flatMap((messages) =>
          Array.from({ length: messages }, (_, i) => numbered(i, SIZE))
        );
        const arrived = receiveRows(end, expected.length);
        assert.deepEqual(arrived.map(({ bytes }) => bytes), expected);
        assert.ok(arrived.every(({ hopLimit }) => hopLimit === 64));
        libc.call.close(descriptor);
      }
    },
  });
}

/** Bytes of each message of {@linkcode sendTrain}. */
const SIZE = 500;

/** Sends one train, as long as the kernel lets a program make it. @returns whether it left. */
function sendTrain(
  libc: Libc,
  descriptor: number,
  { family, to, messages }: { family: 4 | 6; to: Target; messages: number },
): boolean {
  const bytes = new Uint8Array(messages * SIZE);
  for (let i = 0; i < messages; i++) bytes.set(numbered(i, SIZE), i * SIZE);
  const controlRoom = controlSpace(2);
  const vector = new MessageVector({
    bytes,
    capacity: 1,
    pieces: 1,
    controlRoom,
  });
  vector.setPiece(0, 0, bytes.length);
  vector.setPieces(0, 0, 1);
  vector.setDestination(0, family, to.words, 0, to.port);
  vector.putControl16(vector.controlAt(0), IPPROTO.UDP, UDP.SEGMENT, SIZE);
  vector.setControlLength(0, controlRoom);
  return libc.call.sendmmsg(descriptor, vector.from(0), 1, MSG.DONTWAIT) === 1;
}

/** Rows of one train, and how the scripted system treats them. */
const failures: readonly {
  readonly name: string;
  readonly script: () => Script;
  /** Rows that fail, of 50, with their errno. */
  readonly failed: readonly (readonly [row: number, errno: number])[];
}[] = [
  {
    name: "EIO: a route that takes no trains",
    script: () => ({ trains }) => trains ? { errno: ERRNO.EIO } : ALL,
    failed: [],
  },
  {
    name: "EMSGSIZE for the train, and for some of its rows",
    script: () =>
      singles([[3, ERRNO.EMSGSIZE], [4, ERRNO.EMSGSIZE], [
        49,
        ERRNO.EACCES,
      ]], ERRNO.EMSGSIZE),
    failed: [[3, ERRNO.EMSGSIZE], [4, ERRNO.EMSGSIZE], [49, ERRNO.EACCES]],
  },
  {
    name: "EPERM for the train, and for one row",
    script: () => singles([[20, ERRNO.EPERM]], ERRNO.EPERM),
    failed: [[20, ERRNO.EPERM]],
  },
  {
    name: "the error of an earlier datagram",
    script: () => ({ first }) => first ? { errno: ERRNO.ECONNREFUSED } : ALL,
    failed: [],
  },
  {
    name: "interrupted",
    script: () => ({ first }) => first ? { errno: ERRNO.EINTR } : ALL,
    failed: [],
  },
  {
    name: "a full socket that drains",
    script: () => {
      let full = 3;
      return () => full-- > 0 ? { errno: ERRNO.EAGAIN } : ALL;
    },
    failed: [],
  },
  {
    name: "a socket that stays full",
    script: () => () => ({ errno: ERRNO.EAGAIN }),
    failed: Array.from({ length: 50 }, (_, row) => [row, ERRNO.EAGAIN]),
  },
  {
    name: "a device queue that stays full for two rows",
    script: () =>
      singles([[7, ERRNO.ENOBUFS], [8, ERRNO.ENOBUFS]], ERRNO.ENOBUFS),
    failed: [[7, ERRNO.ENOBUFS], [8, ERRNO.ENOBUFS]],
  },
];

/** Refuses trains; of single messages those of the list. */
function singles(
  refused: readonly (readonly [row: number, errno: number])[],
  trainErrno: number,
): Script {
  const left = refused.map(([row, errno]) => ({ row, errno, tries: 0 }));
  let at = 0;
  return ({ trains }) => {
    if (trains) return { errno: trainErrno };
    const next = left[0];
    if (next === undefined) return ALL;
    if (next.row > at) {
      const take = next.row - at;
      at = next.row;
      return { take };
    }
    // Tried again once, where a full queue is waited for a few times more.
    if (++next.tries === 2) {
      left.shift();
      at++;
    }
    return { errno: next.errno };
  };
}

for (const { name, script, failed } of failures) {
  Deno.test({
    name: `sending from a mapping survives ${name}`,
    ignore,
    fn() {
      using libc = openLibc();
      using end = new OutsideEnd(linuxSockets(libc));
      const sending = end.attach(linuxSockets(scriptedLibc(libc, script())));
      const near = end.openUdp(4, 1);
      const port = end.outside.port(end.openUdp(4, 2));
      const { batch } = end.arena;
      for (let i = 0; i < 50; i++) {
        const row = end.appendUdp(`127.0.0.1:${port}`, numbered(i, 300));
        sending.send(near, batch, row);
      }
      assert.equal(sending.flush(), failed.length);
      assert.deepEqual(
        failed.map((_, i) => [sending.failedRow[i], sending.failedErrno[i]]),
        failed,
      );
      const lost = new Set(failed.map(([row]) => row));
      const expected = Array.from({ length: 50 }, (_, i) => i)
        .filter((i) => !lost.has(i)).map((i) => numbered(i, 300));
      const arrived = receiveRows(end, expected.length);
      assert.deepEqual(arrived.map(({ bytes }) => bytes), expected);
    },
  });
}

Deno.test({
  name: "each row of a train that the system refuses is told",
  ignore,
  fn() {
    using libc = openLibc();
    using end = new OutsideEnd(linuxSockets(libc));
    const handle = end.openUdp(4, 1);
    // Broadcast needs an option that these sockets do not have.
    const rows = [0, 1, 2, 3, 4].map((i) =>
      end.queueUdp(handle, "255.255.255.255:9", numbered(i, 40))
    );
    assert.equal(end.outside.flush(), rows.length);
    assert.deepEqual([...end.outside.failedRow.slice(0, rows.length)], rows);
    assert.deepEqual(
      new Set(end.outside.failedErrno.slice(0, rows.length)),
      new Set([ERRNO.EACCES]),
    );
  },
});

Deno.test({
  name: "rows in steady flow allocate nothing, trains and single ones",
  ignore,
  fn() {
    using libc = openLibc();
    using end = new OutsideEnd(linuxSockets(libc));
    const { outside, poller, arena } = end;
    const { batch } = arena;
    const near = end.openUdp(4, 1);
    const far = end.openUdp(4, 2);
    const { words } = target("127.0.0.1:9");
    const port = outside.port(far);
    let packets = 0;
    const round = () => {
      batch.clear();
      for (let i = 0; i < 64; i++) {
        const row = batch.append(i < 40 ? 1000 : 20 + i, -1);
        batch.decide(row, Verdict.ToUdp, 0);
        for (let w = 0; w < 4; w++) batch.remote[row * 4 + w] = words[w];
        batch.remotePort[row] = port;
        batch.hopLimit[row] = 63;
        outside.send(near, batch, row);
      }
      outside.flush();
      poller.wait(0);
      batch.clear();
      packets += outside.receive(2, far, batch);
    };
    for (let i = 0; i < 1000; i++) round();
    let least = Infinity;
    for (let attempt = 0; attempt < 5; attempt++) {
      packets = 0;
      const before = Deno.memoryUsage().heapUsed;
      for (let i = 0; i < 300; i++) round();
      const grown = Deno.memoryUsage().heapUsed - before;
      assert.ok(packets > 0);
      // A collection in between hides growth: such an attempt says nothing.
      if (grown >= 0) least = Math.min(least, grown / packets);
    }
    assert.ok(least < 4, `${least} bytes a packet`);
  },
});
