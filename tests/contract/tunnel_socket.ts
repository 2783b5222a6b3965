/**
 * What the tunnel's socket does on every system: one suite over loopback,
 * without privileges.
 */
import assert from "node:assert/strict";
import { PortInUseError } from "../../src/io/ports.ts";
import { numbered, PlainSocket } from "../support/packet_arena.ts";
import {
  target,
  TunnelEnd,
  type TunnelSocketPlatform,
} from "../support/tunnel_end.ts";

/** One system. */
export interface TunnelSocketSubject {
  readonly open: () => TunnelSocketPlatform & Disposable;
  /** Small messages that a socket holds unread; more than a queue of 512. */
  readonly messages: number;
  /** Whether the system sends from the address that it is told to. */
  readonly sources: "chosen" | "ignored";
}

/** Messages as a gateway sends them: trains of full ones, with shorter ones between. */
export function mixture(): Uint8Array[] {
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

/** Registers the suite. */
export function testTunnelSocket(
  { open, messages, sources }: TunnelSocketSubject,
): void {
  for (const [family, host] of [["IPv4", "127.0.0.1"], ["IPv6", "[::1]"]]) {
    for (const gap of [0, 48]) {
      Deno.test({
        name:
          `trains over ${family}, messages ${gap} bytes apart, arrive as sent`,
        fn() {
          using platform = open();
          using a = new TunnelEnd(platform);
          using b = new TunnelEnd(platform);
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
      async fn() {
        using platform = open();
        using a = new TunnelEnd(platform);
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
    fn() {
      using platform = open();
      using a = new TunnelEnd(platform);
      using b = new TunnelEnd(platform);
      using c = new TunnelEnd(platform);
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
    fn() {
      using platform = open();
      using a = new TunnelEnd(platform);
      using b = new TunnelEnd(platform);
      const to = target(`127.0.0.1:${b.socket.port}`);
      const sent = [...new Array(messages).keys()].map((i) =>
        numbered(i, i % 100 === 50 ? 0 : 64)
      );
      assert.equal(a.send(to, sent), 0);
      assert.deepEqual(b.receiveAll().bytes, sent);
    },
  });

  Deno.test({
    name: "receive keeps rows for appended packets and loses nothing",
    fn() {
      using platform = open();
      using a = new TunnelEnd(platform);
      using b = new TunnelEnd(platform, { rows: 256 });
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
    name: "a port in use is told by an error of its own",
    fn() {
      using platform = open();
      using a = new TunnelEnd(platform);
      const { port } = a.socket;
      assert.throws(
        () => platform.openTunnelSocket({ port, source: "system" }),
        (error) => error instanceof PortInUseError && error.port === port,
      );
    },
  });

  Deno.test({
    name: "a server answers from the address that was written to",
    async fn() {
      using platform = open();
      using server = new TunnelEnd(platform, { source: "sticky" });
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
          if (sources === "chosen") assert.equal(from.hostname, hostname);
        }
      }
    },
  });

  Deno.test({
    name: "messages that cannot leave are counted, the others leave",
    fn() {
      using platform = open();
      using a = new TunnelEnd(platform);
      using b = new TunnelEnd(platform);
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
}
