import assert from "node:assert/strict";
import { type Libc, openLibc } from "../../../../ffi/libc.ts";
import {
  AF,
  ERRNO,
  IPPROTO,
  UDP,
} from "../../../../ffi/linux_socket_constants.ts";
import { openPlatform } from "../../../../src/io/platform.ts";
import { mixture, testTunnelSocket } from "../../../contract/tunnel_socket.ts";
import { numbered, PlainSocket } from "../../../support/packet_arena.ts";
import { target, TunnelEnd } from "../../../support/tunnel_end.ts";
import { linuxSockets } from "./linux_sockets.ts";
import { ALL, type Script, scriptedLibc } from "./scripted_libc.ts";

const ignore = Deno.build.os !== "linux";

if (!ignore) {
  testTunnelSocket({ open: openPlatform, messages: 1500, sources: "chosen" });
}

Deno.test({
  name: "a train leaves and arrives as one message",
  ignore,
  fn() {
    using libc = openLibc();
    using a = new TunnelEnd(linuxSockets(libc));
    using b = new TunnelEnd(linuxSockets(libc), { receiveBytes: 67_000 });
    const counting = scriptedLibc(libc, ({ messages }) => {
      assert.equal(messages, 1);
      return ALL;
    });
    const sending = a.attach(linuxSockets(counting));
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
    using a = new TunnelEnd(linuxSockets(without), { source: "sticky" });
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
      using a = new TunnelEnd(linuxSockets(libc));
      using b = new TunnelEnd(linuxSockets(libc));
      const sending = a.attach(linuxSockets(scriptedLibc(libc, script)));
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
    using a = new TunnelEnd(linuxSockets(libc));
    using b = new TunnelEnd(linuxSockets(libc));
    const to = target(`127.0.0.1:${b.socket.port}`);
    for (
      const { errno, first, later } of [
        { errno: ERRNO.EIO, first: 1, later: 0 },
        { errno: ERRNO.EINVAL, first: 32, later: 5 },
      ]
    ) {
      let refused = 0;
      const sending = a.attach(linuxSockets(scriptedLibc(libc, ({ trains }) => {
        if (trains === 0) return ALL;
        refused++;
        return { errno };
      })));
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
  name: "a socket that stays full gives up after a bounded time",
  ignore,
  fn() {
    using libc = openLibc();
    using a = new TunnelEnd(linuxSockets(libc));
    const full = scriptedLibc(libc, () => ({ errno: ERRNO.EAGAIN }));
    const sending = a.attach(linuxSockets(full));
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
    using a = new TunnelEnd(linuxSockets(libc));
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
