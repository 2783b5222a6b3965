import assert from "node:assert/strict";
import { RelayMessage } from "../../../src/core/columns/relay_message.ts";
import { parseAddress } from "../../../src/core/wire/address.ts";
import {
  type UdpCount,
  UdpCounters,
} from "../../../src/datapath/relay/udp_counters.ts";
import {
  UDP_RELAY_LIMITS,
  UdpRelay,
  type UdpRelayLimits,
} from "../../../src/datapath/relay/udp_relay.ts";
import { NotReceived } from "../../../src/io/ports/udp_carrier.ts";
import { udpPacket } from "../../core/flow/packets.ts";
import {
  buildAnswer,
  buildQuery,
  readMessage,
} from "../../support/dns_messages.ts";
import { FakeStreams } from "./dns_fakes.ts";
import { FakeCarrier, FakeHost } from "./udp_fakes.ts";

const CLIENT = "10.0.0.2";
const CLIENT6 = "fd00:0:0:0:0:0:0:2";
const REMOTE = "192.0.2.1";
const REMOTE6 = "2001:db8:0:0:0:0:0:1";

/** A relay whose world is all fakes. */
class World {
  readonly host = new FakeHost();
  readonly carrier = new FakeCarrier();
  readonly streams = new FakeStreams();
  readonly counters = new UdpCounters(new ArrayBuffer(UdpCounters.byteLength));
  readonly relay: UdpRelay;
  now = 1_000_000;

  constructor(limits: Partial<UdpRelayLimits> = {}) {
    const { host, carrier, counters } = this;
    const { dialer, sockets } = this.streams;
    this.relay = new UdpRelay({
      host,
      carrier,
      counters,
      dialer,
      sockets,
      limits: { ...UDP_RELAY_LIMITS, ...limits },
      seed: 1,
    });
  }

  /** A datagram of a client. */
  send(
    options: { from?: string; fromPort?: number; to?: string; toPort?: number },
    data: readonly number[] = [1, 2, 3],
  ): void {
    const { from = CLIENT, fromPort = 4000, to = REMOTE, toPort = 9 } = options;
    this.packet(udpPacket({ from, to, fromPort, toPort }, data));
  }

  packet(packet: Uint8Array): void {
    const { relay, now } = this;
    relay.message(RelayMessage.Udp, 0, 0, packet, 0, packet.length, now);
  }

  /** Tells the relay of the association's control, or of its datagrams. */
  wakeControl(association = this.carrier.last): void {
    this.host.wake(this.relay, association.control, this.now);
  }

  wakeData(association = this.carrier.last): void {
    this.host.wake(this.relay, association.descriptor, this.now);
  }

  /** Opens the last association. */
  open(): void {
    this.carrier.last.open();
    this.wakeControl();
  }

  wait(ms: number): void {
    this.now += ms;
    this.relay.tick(this.now);
  }

  count(name: UdpCount): number {
    return this.counters.get(name);
  }
}

function words(text: string): Int32Array {
  return Int32Array.from(parseAddress(text)!);
}

Deno.test("datagrams wait in order for their association, then pass both ways", () => {
  const world = new World();
  for (let i = 0; i < 3; i++) world.send({ toPort: 9 + i }, [i]);
  const { last } = world.carrier;
  assert.equal(world.carrier.associations.length, 1);
  assert.equal(last.family, 4);
  assert.deepEqual(world.host.watched.get(last.control)?.wants, "write");
  world.open();
  assert.deepEqual(
    last.sent,
    [0, 1, 2].map((i) => ({
      to: `${REMOTE}:${9 + i}`,
      payload: Uint8Array.of(i),
    })),
  );
  world.send({ to: "203.0.113.7" }, [7]);
  assert.equal(last.sent.length, 4);
  last.incoming.push(
    { from: words(REMOTE), port: 9, payload: Uint8Array.of(8) },
    { from: words("198.51.100.1"), port: 1, payload: new Uint8Array(0) },
  );
  world.wakeData();
  assert.deepEqual(world.host.answers, [
    { from: `${REMOTE}:9`, to: `${CLIENT}:4000`, payload: Uint8Array.of(8) },
    {
      from: "198.51.100.1:1",
      to: `${CLIENT}:4000`,
      payload: new Uint8Array(0),
    },
  ]);
  assert.deepEqual(
    [world.count("datagramsOut"), world.count("bytesOut")],
    [4, 4],
  );
  assert.deepEqual([world.count("datagramsIn"), world.count("bytesIn")], [
    2,
    1,
  ]);
  assert.deepEqual(world.counters.drops(), {});
});

Deno.test("each source has an association of its own, whatever the remotes; IPv6 alike", () => {
  const world = new World();
  world.send({});
  world.send({ to: "203.0.113.1" });
  world.send({ fromPort: 4001 });
  world.send({ from: "10.0.0.3" });
  world.send({ from: CLIENT6, to: REMOTE6 });
  assert.equal(world.carrier.associations.length, 4);
  assert.equal(world.carrier.last.family, 6);
  assert.equal(world.count("sessionsOpen"), 4);
  world.open();
  world.carrier.last.incoming.push({
    from: words(REMOTE6),
    port: 9,
    payload: Uint8Array.of(1),
  });
  world.wakeData();
  assert.equal(world.host.answers[0].to, "[fd00::2]:4000");
});

Deno.test("what waits is bounded, each session and in all", () => {
  const world = new World({ waitingPerSession: 3, waitingBytes: 10 });
  for (let i = 0; i < 5; i++) world.send({}, [i]);
  world.send({ fromPort: 1 }, [1, 2, 3, 4, 5, 6, 7]);
  world.send({ fromPort: 1 }, [8]);
  assert.equal(world.count("droppedWaiting"), 3);
  world.open();
  assert.equal(world.carrier.last.sent.length, 1);
  // What was sent waits no more.
  world.send({ fromPort: 2 }, [1, 2, 3, 4, 5, 6, 7]);
  assert.equal(world.count("droppedWaiting"), 3);
});

Deno.test("sessions are bounded, also those in the making", () => {
  const world = new World({ sessions: 3, pending: 2 });
  for (let i = 0; i < 3; i++) world.send({ fromPort: 10 + i });
  assert.equal(world.count("droppedTooManyPending"), 1);
  world.open();
  world.send({ fromPort: 20 });
  world.open();
  for (let i = 0; i < 3; i++) world.send({ fromPort: 30 + i });
  assert.equal(world.relay.sessions, 3);
  assert.equal(world.count("droppedSessionsFull"), 3);
});

Deno.test("an idle session ends; datagrams of the client keep it, others don't", () => {
  const world = new World();
  world.send({});
  world.open();
  const first = world.carrier.last;
  world.wait(299_999);
  world.send({});
  world.wait(299_999);
  first.incoming.push({
    from: words(REMOTE),
    port: 9,
    payload: Uint8Array.of(1),
  });
  world.wakeData();
  assert.equal(first.isClosed, false);
  world.wait(1);
  assert.equal(first.isClosed, true);
  assert.equal(world.count("sessionsExpired"), 1);
  assert.equal(world.count("sessionsOpen"), 0);
  assert.equal(world.host.watched.size, 0);
  assert.equal(world.relay.nextTimeout(), Infinity);
  world.send({});
  assert.equal(world.carrier.associations.length, 2);
});

Deno.test("a session that only asks port 53 ends sooner", () => {
  const world = new World();
  world.send({ toPort: 53, fromPort: 1 });
  world.open();
  world.send({ toPort: 53, fromPort: 2 });
  world.open();
  world.send({ toPort: 443, fromPort: 2 });
  world.wait(20_000);
  assert.deepEqual(
    world.carrier.associations.map((one) => one.isClosed),
    [true, false],
  );
  world.wait(279_999);
  assert.equal(world.carrier.last.isClosed, false);
  world.wait(1);
  assert.equal(world.carrier.last.isClosed, true);
});

Deno.test("the end of an association that was of use ends its session quietly", () => {
  const world = new World();
  world.send({});
  world.open();
  world.wait(1_000);
  world.carrier.last.end("proxy-closed");
  world.wakeControl();
  assert.equal(world.count("sessionsEnded"), 1);
  assert.equal(world.carrier.last.isClosed, true);
  assert.equal(world.host.watched.size, 0);
  assert.deepEqual(world.host.lines, []);
  world.send({});
  assert.equal(world.carrier.associations.length, 2);
});

Deno.test("a proxy that ends associations at once is asked less and less", () => {
  const world = new World();
  for (let second = 0; second < 600; second++) {
    world.send({});
    if (!world.carrier.last.isClosed) {
      world.open();
      world.carrier.last.end("proxy-closed", "the proxy hung up");
      world.wakeControl();
    }
    world.wait(1000);
  }
  const { length } = world.carrier.associations;
  assert.ok(length > 3 && length < 10, `${length} associations in 10 minutes`);
  assert.equal(world.host.lines.length, 1);
  assert.equal(world.relay.sessions, 0);
});

Deno.test("a proxy that refuses UDP is left alone for minutes; it is told once", () => {
  const world = new World();
  world.send({}, [1]);
  world.send({}, [2]);
  world.carrier.last.end("unsupported", "the proxy does not know the command");
  world.wakeControl();
  assert.equal(world.count("droppedAssociationFailed"), 2);
  for (let i = 0; i < 10; i++) world.send({ fromPort: i + 1 });
  assert.equal(world.count("droppedRefused"), 10);
  assert.equal(world.carrier.associations.length, 1);
  assert.equal(world.carrier.last.isClosed, true);
  assert.deepEqual(world.host.lines, [
    "fake gives no UDP (the proxy does not know the command): DNS goes over TCP, other UDP is dropped",
  ]);
  world.wait(300_000);
  world.send({});
  assert.equal(world.carrier.associations.length, 2);
  world.open();
  world.carrier.last.incoming.push({
    from: words(REMOTE),
    port: 9,
    payload: Uint8Array.of(1),
  });
  world.wakeData();
  assert.equal(world.host.lines[1], "fake carries UDP again");
});

Deno.test("a proxy that never answers costs a client ten seconds, once", () => {
  const world = new World();
  world.send({});
  world.wait(9_999);
  assert.equal(world.carrier.last.isClosed, false);
  world.wait(1);
  assert.equal(world.carrier.last.isClosed, true);
  assert.equal(world.count("associationsFailed"), 1);
  assert.equal(world.count("droppedAssociationFailed"), 1);
  world.send({});
  assert.equal(world.count("droppedRefused"), 1);
  world.wait(10_000);
  world.send({});
  assert.equal(world.carrier.associations.length, 2);
});

Deno.test("a poll set without room fails the association", () => {
  const world = new World();
  world.host.room = 0;
  world.send({});
  assert.equal(world.count("droppedRefused"), 1);
  assert.equal(world.carrier.last.isClosed, true);
  const other = new World();
  other.host.room = 1;
  other.send({});
  other.carrier.last.open();
  other.wakeControl();
  assert.equal(other.carrier.last.isClosed, true);
  assert.equal(other.host.watched.size, 0);
});

Deno.test("what a proxy sends that is no answer is dropped and counted by reason", () => {
  const world = new World();
  world.send({});
  world.open();
  const payload = Uint8Array.of(1);
  world.carrier.last.incoming.push(
    NotReceived.Malformed,
    NotReceived.Fragment,
    NotReceived.Domain,
    NotReceived.Error,
    { from: words(REMOTE), port: 0, payload },
    { from: words("0.0.0.0"), port: 9, payload },
    { from: words("224.0.0.1"), port: 9, payload },
    { from: words("255.255.255.255"), port: 9, payload },
    { from: words(REMOTE6), port: 9, payload },
    { from: words(REMOTE), port: 9, payload: new Uint8Array(65_508) },
    { from: words(REMOTE), port: 9, payload },
  );
  world.wakeData();
  assert.equal(world.host.answers.length, 1);
  assert.equal(world.count("droppedProxyMalformed"), 5);
  assert.equal(world.count("droppedProxyFragment"), 1);
  assert.equal(world.count("droppedProxyDomain"), 1);
  assert.equal(world.count("droppedSendFailed"), 1);
  assert.equal(world.count("droppedForeignFamily"), 1);
  assert.equal(world.count("droppedTooLong"), 1);
  world.host.takes = false;
  world.carrier.last.incoming.push({ from: words(REMOTE), port: 9, payload });
  world.wakeData();
  assert.equal(world.count("droppedDeviceFull"), 1);
});

Deno.test("a flood from the proxy leaves others their turn", () => {
  const world = new World();
  world.send({});
  world.open();
  for (let i = 0; i < 200; i++) {
    world.carrier.last.incoming.push({
      from: words(REMOTE),
      port: 9,
      payload: Uint8Array.of(i),
    });
  }
  world.wakeData();
  assert.equal(world.host.answers.length, 64);
});

Deno.test("bad packets of clients are counted and make no session", () => {
  const world = new World();
  const good = udpPacket({ from: CLIENT, to: REMOTE, fromPort: 1, toPort: 9 });
  for (let length = 0; length < good.length; length++) {
    world.packet(good.slice(0, length));
  }
  const ends = { from: CLIENT, to: REMOTE, fromPort: 1, toPort: 9 };
  world.packet(
    udpPacket({ ...ends, moreFragments: true }, new Array(8).fill(0)),
  );
  world.packet(udpPacket({
    ...ends,
    from: "0:0:0:0:0:ffff:a00:2",
    to: REMOTE6,
  }));
  assert.equal(world.count("droppedMalformed"), good.length + 2);
  world.send({ to: "224.0.0.251", toPort: 5353 });
  world.send({ to: "255.255.255.255" });
  world.send({ toPort: 0 });
  world.send({ from: CLIENT6, to: "ff02:0:0:0:0:0:0:fb" });
  assert.equal(world.count("droppedNotForwarded"), 4);
  assert.equal(world.carrier.associations.length, 0);
});

Deno.test("padding behind a datagram is not sent", () => {
  const world = new World();
  const packet = udpPacket(
    { from: CLIENT, to: REMOTE, fromPort: 1, toPort: 9 },
    [
      1,
      2,
    ],
  );
  world.packet(Uint8Array.from([...packet, 9, 9, 9]));
  world.open();
  assert.deepEqual(world.carrier.last.sent[0].payload, Uint8Array.of(1, 2));
});

Deno.test("our own datagrams that come back through the tunnel make no new association", () => {
  const world = new World();
  world.send({});
  world.open();
  const { last } = world.carrier;
  last.leadsToPort = 5555;
  world.send({ fromPort: last.localPort, to: "203.0.113.1", toPort: 5555 });
  assert.equal(world.count("droppedLoop"), 1);
  assert.equal(world.carrier.associations.length, 1);
  // Another program may have the same port, for another remote.
  world.send({ fromPort: last.localPort, to: "203.0.113.1", toPort: 5556 });
  assert.equal(world.carrier.associations.length, 2);
});

Deno.test("a send that fails is counted, the session stays", () => {
  const world = new World();
  world.send({});
  world.open();
  world.carrier.last.sendError = -105;
  world.send({});
  assert.equal(world.count("droppedSendFailed"), 1);
  assert.equal(world.relay.sessions, 1);
});

Deno.test("the end closes all there is", () => {
  const world = new World();
  for (let i = 0; i < 5; i++) {
    world.send({ fromPort: i + 1 });
    if (i < 3) world.open();
  }
  world.relay[Symbol.dispose]();
  assert.ok(world.carrier.associations.every((one) => one.isClosed));
  assert.equal(world.host.watched.size, 0);
  assert.equal(world.count("sessionsOpen"), 0);
});

Deno.test("queries that waited for a refused association go over TCP, and later ones at once", () => {
  const world = new World();
  const query = buildQuery({ name: "host.test", type: "A" });
  world.send({ toPort: 53, fromPort: 1 }, [...query]);
  world.send({ toPort: 9, fromPort: 1 });
  world.carrier.last.end("unsupported");
  world.wakeControl();
  world.send({ toPort: 53, fromPort: 2 }, [...query]);
  assert.equal(world.streams.all.length, 1);
  const { last } = world.streams;
  assert.equal(last.target, `${REMOTE}:53`);
  last.state = "connected";
  world.host.wake(world.relay, last.descriptor, world.now);
  const asked = last.takeMessages();
  assert.equal(asked.length, 2);
  for (const one of asked) last.give(buildAnswer(one, { answers: [] }));
  world.host.wake(world.relay, last.descriptor, world.now);
  assert.deepEqual(world.host.answers.map(({ from, to }) => [from, to]), [
    [`${REMOTE}:53`, `${CLIENT}:1`],
    [`${REMOTE}:53`, `${CLIENT}:2`],
  ]);
  for (const { payload } of world.host.answers) {
    assert.equal(readMessage(payload).id, readMessage(query).id);
  }
});
