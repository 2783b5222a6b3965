import assert from "node:assert/strict";
import { type Libc, openLibc } from "../../../../ffi/libc.ts";
import {
  AF,
  ERRNO,
  IPPROTO,
  UDP,
} from "../../../../ffi/linux_socket_constants.ts";
import { openTunnelSocket } from "../../../../src/io/os/linux/tunnel_socket.ts";
import { PortInUseError } from "../../../../src/io/ports.ts";
import { numbered, PlainSocket } from "../../../support/packet_arena.ts";
import { target, TunnelEnd } from "../../../support/tunnel_end.ts";
import { ALL, type Script, scriptedLibc } from "./scripted_libc.ts";

const ignore = Deno.build.os !== "linux";

/** Messages as a gateway sends them: trains of full ones, with shorter ones between. */
function mixture(): Uint8Array[] {
  const lengths = [
    ...new Array(100).fill(1452),
    80,
    1452,
    1452,
    ...new Array(70).fill(33),
    1,
    1452,
    1,
    2,
    3,
    65_000,
    20,
    20,
    19,
    19,
    20,
  ];
  return lengths.map((length, i) => numbered(i, length));
}

for (const [family, host] of [["IPv4", "127.0.0.1"], ["IPv6", "[::1]"]]) {
  for (const gap of [0, 48]) {
    Deno.test({
      name:
        `trains over ${family}, messages ${gap} bytes apart, arrive as sent`,
      ignore,
      fn() {
        using libc = openLibc();
        using a = new TunnelEnd(libc);
        using b = new TunnelEnd(libc);
        const sent = mixture();
        assert.equal(
          a.send(target(`${host}:${b.socket.port}`), sent, gap),
          0,
        );
        const received = b.receiveAll();
        assert.deepEqual(received.bytes, sent);
        const from = target(`${host}:${a.socket.port}`);
        for (const words of received.words) {
          assert.deepEqual(words, [...from.words]);
        }
        assert.deepEqual(
          new Set(received.ports),
          new Set([a.socket.port]),
        );
      },
    });
  }

  Deno.test({
    name: `a plain socket over ${family} gets each message of a train alone`,
    ignore,
    async fn() {
      using libc = openLibc();
      using a = new TunnelEnd(libc);
      const hostname = host.replace(/[[\]]/g, "");
      using plain = new PlainSocket(hostname);
      const { port } = plain;
      const sent = [...new Array(50).keys()].map((i) =>
        numbered(i, i < 49 ? 700 : 20)
      );
      assert.equal(a.send(target(`${host}:${port}`), sent), 0);
      for (const message of sent) {
        const { bytes, from } = await plain.receive();
        assert.deepEqual(bytes, message);
        assert.equal(from.port, a.socket.port);
      }
      // And the way back, one datagram at a time.
      for (let i = 0; i < 5; i++) {
        await plain.send(numbered(i, 99 + i), {
          hostname,
          port: a.socket.port,
        });
      }
      const received = a.receiveAll();
      assert.deepEqual(
        received.bytes,
        [0, 1, 2, 3, 4].map((i) => numbered(i, 99 + i)),
      );
      assert.deepEqual(received.ports, new Array(5).fill(port));
    },
  });
}

Deno.test({
  name: "one flush serves many destinations, each in order",
  ignore,
  fn() {
    using libc = openLibc();
    using a = new TunnelEnd(libc);
    using b = new TunnelEnd(libc);
    using c = new TunnelEnd(libc);
    const toB = target(`127.0.0.1:${b.socket.port}`);
    const toC = target(`[::1]:${c.socket.port}`);
    const messages = [...new Array(300).keys()].map((i) => numbered(i, 200));
    messages.forEach((message, i) => {
      const to = i % 7 < 3 ? toB : toC;
      a.socket.queue(a.arena.put(message), 200, to.words, 0, to.port);
    });
    assert.equal(a.socket.flush(), 0);
    assert.deepEqual(
      b.receiveAll().bytes,
      messages.filter((_, i) => i % 7 < 3),
    );
    assert.deepEqual(
      c.receiveAll().bytes,
      messages.filter((_, i) => i % 7 >= 3),
    );
  },
});

Deno.test({
  name: "more messages than the queue holds all leave, empty ones too",
  ignore,
  fn() {
    using libc = openLibc();
    using a = new TunnelEnd(libc);
    using b = new TunnelEnd(libc);
    const to = target(`127.0.0.1:${b.socket.port}`);
    const sent = [...new Array(1500).keys()].map((i) =>
      numbered(i, i % 100 === 50 ? 0 : 64)
    );
    assert.equal(a.send(to, sent), 0);
    assert.deepEqual(b.receiveAll().bytes, sent);
  },
});

Deno.test({
  name: "receive keeps rows for appended packets and loses nothing",
  ignore,
  fn() {
    using libc = openLibc();
    using a = new TunnelEnd(libc);
    using b = new TunnelEnd(libc, { rows: 256 });
    const sent = [...new Array(400).keys()].map((i) => numbered(i, 40));
    assert.equal(a.send(target(`127.0.0.1:${b.socket.port}`), sent), 0);
    const { batch } = b.arena;
    const received: Uint8Array[] = [];
    for (;;) {
      batch.clear();
      if (b.socket.receive(batch) === 0) break;
      assert.ok(batch.count <= 224, `${batch.count} rows`);
      received.push(...b.arena.rows());
    }
    assert.deepEqual(received, sent);
  },
});

Deno.test({
  name: "a train leaves and arrives as one message",
  ignore,
  fn() {
    using libc = openLibc();
    using a = new TunnelEnd(libc);
    using b = new TunnelEnd(libc, { receiveBytes: 67_000 });
    const counting = scriptedLibc(libc, ({ messages }) => {
      assert.equal(messages, 1);
      return ALL;
    });
    const sending = a.attach(counting);
    const to = target(`127.0.0.1:${b.socket.port}`);
    const sent = [...new Array(44).keys()].map((i) => numbered(i, 1452));
    for (const message of sent) {
      const at = a.arena.put(message, 48);
      sending.queue(at, message.length, to.words, 0, to.port);
    }
    assert.equal(sending.flush(), 0);
    assert.equal(counting.calls, 1);
    // One slot: what comes in at once was one message.
    assert.equal(b.socket.receive(b.arena.batch), 44);
    assert.deepEqual(b.arena.rows(), sent);
  },
});

Deno.test({
  name: "a port in use is told by an error of its own",
  ignore,
  fn() {
    using libc = openLibc();
    using a = new TunnelEnd(libc);
    const { port } = a.socket;
    assert.throws(
      () => openTunnelSocket(libc, { port, source: "system" }),
      (error) => error instanceof PortInUseError && error.port === port,
    );
  },
});

Deno.test({
  name: "a server answers from the address that was written to",
  ignore,
  async fn() {
    using libc = openLibc();
    using server = new TunnelEnd(libc, { source: "sticky" });
    using client = new PlainSocket("127.0.0.1");
    const back = target(`127.0.0.1:${client.port}`);
    const sealing = server.attach();
    for (const hostname of ["127.0.0.7", "127.0.0.1", "127.0.0.8"]) {
      const { port } = server.socket;
      await client.send(numbered(1, 50), { hostname, port });
      assert.equal(server.receiveAll().bytes.length, 1);
      for (let i = 0; i < 3; i++) {
        const at = server.arena.put(numbered(i, 60));
        sealing.queue(at, 60, back.words, 0, back.port);
      }
      assert.equal(sealing.flush(), 0);
      for (let i = 0; i < 3; i++) {
        const { bytes, from } = await client.receive();
        assert.deepEqual(bytes, numbered(i, 60));
        assert.equal(from.hostname, hostname);
      }
    }
  },
});

Deno.test({
  name: "without IPv6 in the system the socket carries IPv4",
  ignore,
  async fn() {
    using libc = openLibc();
    let refused = 0;
    const without: Libc = {
      ...libc,
      errno: () => refused === 1 ? ERRNO.EAFNOSUPPORT : libc.errno(),
      call: {
        ...libc.call,
        socket: (family, type, protocol) =>
          family === AF.INET6 && ++refused > 0
            ? -1
            : libc.call.socket(family, type, protocol),
      },
    };
    using a = new TunnelEnd(without, { source: "sticky" });
    assert.equal(a.opened.family, 4);
    using far = new PlainSocket("127.0.0.1");
    const hostname = "127.0.0.6";
    await far.send(numbered(1, 99), { hostname, port: a.socket.port });
    const received = a.receiveAll();
    assert.deepEqual(received.bytes, [numbered(1, 99)]);
    const to = target(`127.0.0.1:${far.port}`);
    assert.deepEqual(received.words, [[...to.words]]);
    const answers = [1, 2, 3].map((i) => numbered(i, 300));
    assert.equal(a.send(to, answers), 0);
    for (const answer of answers) {
      const { bytes, from } = await far.receive();
      assert.deepEqual(bytes, answer);
      assert.equal(from.hostname, hostname);
    }
  },
});

const failures: readonly {
  readonly name: string;
  readonly script: Script;
  readonly failed: number;
}[] = [
  {
    name: "EIO: no checksum offload",
    script: ({ trains }) => trains ? { errno: ERRNO.EIO } : ALL,
    failed: 0,
  },
  {
    name: "EINVAL for trains: a path with a small MTU",
    script: ({ trains }) => trains ? { errno: ERRNO.EINVAL } : ALL,
    failed: 0,
  },
  { name: "one train a call", script: () => ({ take: 1 }), failed: 0 },
  {
    name: "a full socket that drains",
    script: (() => {
      let full = 3;
      return () => full-- > 0 ? { errno: ERRNO.EAGAIN } : ALL;
    })(),
    failed: 0,
  },
  {
    name: "the error of an earlier message",
    script: ({ first }) => first ? { errno: ERRNO.ECONNREFUSED } : ALL,
    failed: 0,
  },
  {
    name: "interrupted",
    script: ({ first }) => first ? { errno: ERRNO.EINTR } : ALL,
    failed: 0,
  },
];

for (const { name, script, failed } of failures) {
  Deno.test({
    name: `sending survives ${name}`,
    ignore,
    fn() {
      using libc = openLibc();
      using a = new TunnelEnd(libc);
      using b = new TunnelEnd(libc);
      const sending = a.attach(scriptedLibc(libc, script));
      const to = target(`127.0.0.1:${b.socket.port}`);
      const sent = mixture();
      for (const message of sent) {
        const at = a.arena.put(message);
        sending.queue(at, message.length, to.words, 0, to.port);
      }
      assert.equal(sending.flush(), failed);
      assert.deepEqual(b.receiveAll().bytes, sent);
    },
  });
}

Deno.test({
  name: "EIO ends trains for good, EINVAL only after many, for a while",
  ignore,
  fn() {
    using libc = openLibc();
    using a = new TunnelEnd(libc);
    using b = new TunnelEnd(libc);
    const to = target(`127.0.0.1:${b.socket.port}`);
    for (
      const { errno, first, later } of [
        { errno: ERRNO.EIO, first: 1, later: 0 },
        { errno: ERRNO.EINVAL, first: 32, later: 5 },
      ]
    ) {
      let refused = 0;
      const sending = a.attach(scriptedLibc(libc, ({ trains }) => {
        if (trains === 0) return ALL;
        refused++;
        return { errno };
      }));
      const send = () => {
        a.arena.forgetMessages();
        for (let i = 0; i < 10; i++) {
          const at = a.arena.put(numbered(i, 100));
          sending.queue(at, 100, to.words, 0, to.port);
        }
        assert.equal(sending.flush(), 0);
        assert.equal(b.receiveAll().bytes.length, 10);
      };
      for (let i = 0; i < 40; i++) send();
      assert.equal(refused, first);
      for (let i = 0; i < 1020; i++) send();
      assert.equal(refused, first + later);
    }
  },
});

Deno.test({
  name: "messages that cannot leave are counted, the others leave",
  ignore,
  fn() {
    using libc = openLibc();
    using a = new TunnelEnd(libc);
    using b = new TunnelEnd(libc);
    const to = target(`127.0.0.1:${b.socket.port}`);
    // Class E: the system has no route to it.
    const nowhere = target("255.255.255.255:9");
    for (let i = 0; i < 30; i++) {
      const { words, port } = i % 10 === 3 ? nowhere : to;
      const at = a.arena.put(numbered(i, 90));
      a.socket.queue(at, 90, words, 0, port);
    }
    assert.equal(a.socket.flush(), 3);
    assert.equal(b.receiveAll().bytes.length, 27);
    assert.equal(a.socket.flush(), 0);
  },
});

Deno.test({
  name: "a socket that stays full gives up after a bounded time",
  ignore,
  fn() {
    using libc = openLibc();
    using a = new TunnelEnd(libc);
    const full = scriptedLibc(libc, () => ({ errno: ERRNO.EAGAIN }));
    const sending = a.attach(full);
    const to = target("127.0.0.1:9");
    for (let i = 0; i < 10; i++) {
      sending.queue(a.arena.put(numbered(i, 90)), 90, to.words, 0, to.port);
    }
    assert.equal(sending.flush(), 10);
    assert.equal(full.calls, 6);
  },
});

Deno.test({
  name:
    "the kernel here does trains both ways (else the tests above show less)",
  ignore,
  fn() {
    using libc = openLibc();
    using a = new TunnelEnd(libc);
    const length = new Uint8Array(new Uint32Array([4]).buffer);
    const value = new Uint8Array(4);
    for (const option of [UDP.SEGMENT, UDP.GRO]) {
      assert.equal(
        libc.call.getsockopt(
          a.opened.descriptor,
          IPPROTO.UDP,
          option,
          value,
          length,
        ),
        0,
      );
    }
    assert.equal(value[0], 1);
  },
});
