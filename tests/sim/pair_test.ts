/** Two peers on a virtual clock: the stories that must go well every time. */
import assert from "node:assert/strict";
import { DropReason } from "../../src/core/columns/drop_reason.ts";
import {
  type AmneziaParameters,
  PLAIN_WIREGUARD,
} from "../../src/core/wireguard/amnezia.ts";
import { PeerEvent } from "../../src/core/wireguard/peer_table.ts";
import { SessionState } from "../../src/core/wireguard/session_table.ts";
import { type End, numberedPacket } from "./end.ts";
import { INNER, Pair } from "./pair.ts";
import { address, CALM } from "./world.ts";

const SECOND = 1000;

/** Slots of the session table that are not free. */
function slotsInUse(end: End): number {
  return end.sessions.capacity - end.sessions.freeCount;
}

Deno.test("the first packet waits for the handshake and arrives", () => {
  const pair = new Pair(1);
  const number = pair.send(0);
  pair.run(200);
  assert.ok(pair.hasArrived(0, number));
  assert.deepEqual(pair.end(0).handshakes, ["established"]);
  assert.deepEqual(pair.end(1).handshakes, ["established"]);
  const answer = pair.send(1);
  pair.run(100);
  assert.ok(pair.hasArrived(1, answer));
  assert.equal(pair.end(1).device.counters.initiationsSent, 0);
});

Deno.test("a handshake that is asked for happens beside a usable session, once", () => {
  const pair = new Pair(4);
  pair.send(0);
  pair.run(200);
  const { device } = pair.end(0);
  const asked = () => {
    device.handshake(0, pair.world.now);
    pair.end(0).timeout(pair.world.now);
  };
  const before = device.peers.info(0).lastHandshakeWallMs;
  pair.run(10 * SECOND);
  asked();
  asked();
  const number = pair.send(0);
  pair.run(200);
  assert.equal(device.counters.initiationsSent, 2);
  assert.notEqual(device.peers.info(0).lastHandshakeWallMs, before);
  assert.ok(pair.hasArrived(0, number));
});

Deno.test("a responder sends nothing under keys that are not confirmed", () => {
  const pair = new Pair(2);
  pair.send(0);
  // The initiation has arrived at B after 20 ms, its response not yet at A.
  pair.run(25);
  const early = pair.send(1);
  pair.run(10);
  assert.equal(pair.end(1).sealed.size, 0);
  pair.run(200);
  assert.ok(pair.hasArrived(1, early));
});

Deno.test("simultaneous initiation leads to one working pair of sessions", () => {
  for (const delayMs of [1, 20, 400]) {
    const pair = new Pair(3);
    pair.world.weather = { ...CALM, delayMs };
    const numbers = [pair.send(0), pair.send(1)];
    pair.run(4 * delayMs + 10);
    assert.ok(pair.hasArrived(0, numbers[0]) && pair.hasArrived(1, numbers[1]));
    for (let i = 0; i < 20; i++) {
      const more = [pair.send(0), pair.send(1)];
      pair.run(delayMs + 1);
      assert.ok(pair.hasArrived(0, more[0]) && pair.hasArrived(1, more[1]));
    }
    // Both seal under the same session, and one of them is its initiator.
    const [a, b] = [0, 1].map((side) => {
      const { peers, sessions } = pair.end(side);
      const slot = peers.currentSession(0);
      return {
        ours: sessions.receiverIndex[slot],
        theirs: sessions.remoteIndex[slot],
        initiator: sessions.initiator[slot],
      };
    });
    assert.equal(a.ours, b.theirs);
    assert.equal(a.theirs, b.ours);
    assert.equal(a.initiator + b.initiator, 1);
    for (const side of [0, 1]) {
      assert.equal(pair.end(side).device.counters.initiationsSent, 1);
      assert.ok(slotsInUse(pair.end(side)) <= 3);
    }
  }
});

Deno.test("another preshared key never gives a session", () => {
  const psk = (value: number) => new Uint8Array(32).fill(value);
  const pair = new Pair(4, { presharedKeys: [psk(1), psk(2)] });
  const numbers = [pair.send(0), pair.send(1)];
  for (let i = 0; i < 100; i++) {
    pair.run(3 * SECOND);
    numbers.push(pair.send(i & 1));
  }
  assert.equal(pair.arrived[0].size + pair.arrived[1].size, 0);
  for (const side of [0, 1]) {
    assert.equal(pair.end(side).peers.currentSession(0), -1);
    assert.ok(!pair.end(side).handshakes.includes("established"));
    assert.ok(pair.end(side).device.staged.waiting <= 128);
  }
  const same = new Pair(4, { presharedKeys: [psk(3), psk(3)] });
  const number = same.send(0);
  same.run(SECOND);
  assert.ok(same.hasArrived(0, number));
});

Deno.test("packets that wait are bounded and dropped when the attempts end", () => {
  const pair = new Pair(5);
  pair.world.weather = { ...CALM, loss: 1 };
  for (let i = 0; i < 200; i++) pair.send(0);
  const { device } = pair.end(0);
  assert.deepEqual(device.staged, { waiting: 128, dropped: 72 });
  pair.run(89 * SECOND);
  assert.equal(device.staged.waiting, 128);
  // Retries 5 s apart, plus at most a third of a second each.
  assert.ok(device.counters.initiationsSent >= 17);
  assert.ok(device.counters.initiationsSent <= 18);
  pair.run(8 * SECOND);
  assert.deepEqual(device.staged, { waiting: 0, dropped: 200 });
  assert.deepEqual(pair.end(0).handshakes, ["abandoned"]);
  const sent = device.counters.initiationsSent;
  pair.run(3600 * SECOND);
  assert.equal(device.counters.initiationsSent, sent, "silent without traffic");
  assert.equal(device.nextTimeout(), Infinity);
  assert.equal(slotsInUse(pair.end(0)), 0);
});

for (const start of ["one end", "both ends at once"] as const) {
  Deno.test(`rekeys under traffic lose no packet, begun by ${start}`, () => {
    const pair = new Pair(6);
    pair.world.weather = { ...CALM, delayMs: 30, jitterMs: 20 };
    const sent: [number, number][] = [[0, pair.send(0)]];
    if (start === "one end") pair.run(SECOND);
    for (let i = 0; i < 500 * 20; i++) {
      sent.push([0, pair.send(0)], [1, pair.send(1)]);
      pair.run(50);
    }
    pair.run(SECOND);
    const lost = sent.filter(([side, number]) =>
      !pair.hasArrived(side, number)
    );
    assert.deepEqual(lost, []);
    // 500 s: sessions begin at 0, 120, 240, 360, 480.
    const initiations = [0, 1].map((side) =>
      pair.end(side).device.counters.initiationsSent
    );
    const expected = start === "one end" ? 5 : 6;
    assert.equal(initiations[0] + initiations[1], expected);
    for (const side of [0, 1]) {
      assert.ok(slotsInUse(pair.end(side)) <= 2);
      assert.equal(pair.end(side).device.staged.dropped, 0);
    }
  });
}

Deno.test("a busy initiator makes new keys when the old are 120 s old", () => {
  const pair = new Pair(27);
  const { counters } = pair.end(0).device;
  const start = pair.world.now;
  pair.send(0);
  pair.run(100);
  const until = (ms: number) => {
    while (pair.world.now < start + ms) {
      pair.send(0);
      pair.send(1);
      pair.run(100);
    }
  };
  until(119.9 * SECOND);
  assert.equal(counters.initiationsSent, 1);
  until(120.5 * SECOND);
  assert.equal(counters.initiationsSent, 2);
});

Deno.test("a session without data is confirmed by a keepalive", () => {
  const pair = new Pair(28);
  pair.end(0).device.handlePeerEvents(0, PeerEvent.NeedSession, pair.world.now);
  pair.end(0).drain();
  pair.run(200);
  assert.equal(pair.end(0).keepalivesSent, 1);
  assert.deepEqual(pair.end(1).handshakes, ["established"]);
});

Deno.test("an initiator that only receives makes new keys after 165 s", () => {
  const pair = new Pair(7);
  pair.send(0);
  pair.run(SECOND);
  const sent: number[] = [];
  for (let i = 0; i < 174; i++) {
    sent.push(pair.send(1));
    pair.run(SECOND);
    if (i === 160) {
      // Its keepalives, each 10 s, are sent under keys older than 120 s.
      assert.equal(pair.end(0).device.counters.initiationsSent, 2);
    }
  }
  assert.deepEqual(sent.filter((number) => !pair.hasArrived(1, number)), []);
  assert.equal(pair.end(1).device.counters.initiationsSent, 0);
});

Deno.test("data is answered by a keepalive after 10 s, a keepalive by nothing", () => {
  const pair = new Pair(8);
  pair.send(0);
  pair.run(SECOND);
  pair.run(30 * SECOND);
  const before = [pair.end(0).keepalivesSent, pair.end(1).keepalivesSent];
  pair.send(0);
  pair.run(9.9 * SECOND);
  assert.equal(pair.end(1).keepalivesSent, before[1]);
  pair.run(0.2 * SECOND);
  assert.equal(pair.end(1).keepalivesSent, before[1] + 1);
  pair.run(60 * SECOND);
  assert.equal(pair.end(1).keepalivesSent, before[1] + 1);
  assert.equal(pair.end(0).keepalivesSent, before[0]);
  assert.equal(pair.end(0).device.counters.initiationsSent, 1);
});

Deno.test("an idle pair falls silent and erases all keys", () => {
  const pair = new Pair(9);
  pair.send(0);
  pair.run(SECOND);
  const slot = pair.end(0).peers.currentSession(0);
  let datagrams = 0;
  pair.run(15 * SECOND);
  pair.world.tap = () => datagrams++;
  pair.run(3600 * SECOND);
  assert.equal(datagrams, 0);
  for (const side of [0, 1]) {
    const { sessions, device, peers } = pair.end(side);
    assert.equal(peers.currentSession(0), -1);
    assert.equal(sessions.freeCount, sessions.capacity);
    assert.equal(device.nextTimeout(), Infinity);
    for (let i = 0; i < sessions.capacity; i++) {
      assert.deepEqual(sessions.sendKey(i), new Uint8Array(32));
      assert.deepEqual(sessions.receiveKey(i), new Uint8Array(32));
    }
  }
  assert.ok(slot >= 0);
  const number = pair.send(1);
  pair.run(SECOND);
  assert.ok(pair.hasArrived(1, number), "and wakes up again");
});

Deno.test("a persistent keepalive keeps the pair in touch for ever", () => {
  const pair = new Pair(10, { keepaliveMs: [25 * SECOND, 0] });
  const times: number[] = [];
  pair.world.tap = () => times.push(pair.world.now);
  pair.run(3600 * SECOND);
  for (let i = 1; i < times.length; i++) {
    assert.ok(times[i] - times[i - 1] <= 25.1 * SECOND);
  }
  assert.ok(times.length < 3600 / 25 * 2 + 200);
  const number = pair.send(1);
  pair.run(SECOND);
  assert.ok(pair.hasArrived(1, number));
  // Not even a dead network ends it.
  pair.world.weather = { ...CALM, loss: 1 };
  pair.run(600 * SECOND);
  pair.world.weather = CALM;
  pair.run(60 * SECOND);
  const later = pair.send(1);
  pair.run(SECOND);
  assert.ok(pair.hasArrived(1, later));
});

Deno.test("data without an answer leads to a handshake after 15 s", () => {
  const pair = new Pair(11);
  pair.send(0);
  pair.run(30 * SECOND);
  pair.restart(1, { remembers: true });
  const lost = pair.send(0);
  pair.run(14.9 * SECOND);
  assert.equal(pair.end(0).device.counters.initiationsSent, 1);
  pair.run(0.5 * SECOND);
  assert.equal(pair.end(0).device.counters.initiationsSent, 2);
  assert.ok(!pair.hasArrived(0, lost));
  const number = pair.send(0);
  pair.run(SECOND);
  assert.ok(pair.hasArrived(0, number));
});

Deno.test("either end may restart, with its clock turned back", () => {
  for (const side of [0, 1]) {
    const pair = new Pair(12);
    pair.send(0);
    pair.run(SECOND);
    pair.world.hosts[side].wallOffset -= 86_400 * SECOND;
    pair.restart(side, { remembers: true });
    const number = pair.send(side);
    pair.run(SECOND);
    assert.ok(pair.hasArrived(side, number), `side ${side}`);
    const answer = pair.send(1 - side);
    pair.run(SECOND);
    assert.ok(pair.hasArrived(1 - side, answer), `side ${side}`);
  }
});

Deno.test("an old initiation is refused, also after a restart", () => {
  const pair = new Pair(13);
  const initiations: Uint8Array[] = [];
  pair.world.tap = (bytes) => {
    if (bytes.length === 148) initiations.push(bytes.slice());
  };
  pair.send(0);
  pair.run(SECOND);
  const from = pair.world.hosts[0].port;
  const replay = () =>
    pair.end(1).receive(initiations[0], address(from), from, pair.world.now);
  assert.equal(replay(), DropReason.Replayed);
  pair.restart(1, { remembers: true });
  assert.equal(replay(), DropReason.Replayed);
  assert.equal(slotsInUse(pair.end(1)), 0);
  pair.restart(1, { remembers: false });
  assert.equal(replay(), DropReason.None, "the test's own check");
});

Deno.test("initiations closer than 20 ms are dropped", () => {
  const pair = new Pair(14);
  pair.send(0);
  pair.run(10 * SECOND);
  const { device } = pair.end(1);
  const port = pair.world.hosts[0].port;
  const caught: Uint8Array[] = [];
  pair.world.weather = { ...CALM, loss: 1 };
  pair.world.tap = (bytes) => {
    if (bytes.length === 148) caught.push(bytes.slice());
  };
  // Makes A send two initiations by ending its sessions.
  for (let i = 0; i < 2; i++) {
    pair.end(0).device.setPrivateKey(
      pair.end(0).device.privateKey.slice(),
      pair.world.now,
    );
    pair.run(100);
    pair.send(0);
  }
  assert.equal(caught.length, 2);
  const take = (bytes: Uint8Array, now: number) =>
    device.handleDatagram(bytes, address(port), port, now);
  const { now } = pair.world;
  assert.equal(take(caught[0], now), DropReason.None);
  assert.equal(take(caught[1], now + 19), DropReason.Replayed);
  assert.equal(take(caught[1], now + 20), DropReason.None);
});

Deno.test("roaming: answers follow the newest authentic packet", () => {
  const pair = new Pair(15);
  pair.send(0);
  pair.run(SECOND);
  pair.roam(0);
  const unheard = pair.send(1);
  pair.run(SECOND);
  assert.ok(!pair.hasArrived(1, unheard));
  pair.send(0);
  pair.run(100);
  const heard = pair.send(1);
  pair.run(100);
  assert.ok(pair.hasArrived(1, heard));
  const { endpoint } = pair.end(1).device.peers.info(0);
  assert.equal(endpoint?.port, pair.world.hosts[0].port);
  // A copy from elsewhere that is not authentic moves nothing.
  const forged = new Uint8Array(64);
  forged[0] = 4;
  pair.end(1).receive(forged, address(9), 9, pair.world.now);
  assert.equal(
    pair.end(1).device.peers.info(0).endpoint?.port,
    pair.world.hosts[0].port,
  );
});

Deno.test("a peer without an endpoint waits to be called", () => {
  const pair = new Pair(16, { bothKnowEndpoints: false });
  const early = pair.send(1);
  pair.run(60 * SECOND);
  assert.ok(!pair.hasArrived(1, early));
  assert.equal(pair.end(1).device.counters.initiationsSent, 0);
  pair.send(0);
  pair.run(SECOND);
  assert.ok(pair.hasArrived(1, early), "it waited less than 90 s");
});

Deno.test("under load the pair still comes together, by cookies", () => {
  const pair = new Pair(17);
  pair.end(1).device.setLoadMode("always");
  const number = pair.send(0);
  pair.run(SECOND);
  assert.ok(!pair.hasArrived(0, number));
  assert.equal(pair.end(1).device.counters.cookieRepliesSent, 1);
  assert.equal(pair.end(0).device.counters.cookiesAccepted, 1);
  assert.equal(pair.end(1).device.counters.initiationsAccepted, 0);
  pair.run(5 * SECOND);
  assert.ok(pair.hasArrived(0, number));
  assert.equal(pair.end(1).device.counters.cookieRepliesSent, 1);
});

Deno.test("with both ends under load the response needs a cookie too", () => {
  const pair = new Pair(18);
  pair.end(0).device.setLoadMode("always");
  pair.end(1).device.setLoadMode("always");
  const number = pair.send(0);
  pair.run(30 * SECOND);
  assert.ok(pair.hasArrived(0, number));
});

Deno.test("a packet with another source is not delivered", () => {
  const pair = new Pair(19);
  pair.send(0);
  pair.run(SECOND);
  const spoofed = numberedPacket(INNER[0] + 100, INNER[1], 77_777);
  pair.end(0).send(spoofed, pair.world.now);
  pair.run(SECOND);
  assert.ok(!pair.arrived[1].has(77_777));
});

Deno.test("a removed peer leaves nothing behind", () => {
  const pair = new Pair(20);
  pair.send(0);
  pair.run(SECOND);
  const { device, sessions, allowedIps, peers } = pair.end(1);
  const index = sessions.receiverIndex[peers.currentSession(0)];
  device.peers.remove(0);
  assert.equal(sessions.lookup(index), -1);
  assert.equal(sessions.freeCount, sessions.capacity);
  assert.equal(allowedIps.size, 0);
  assert.equal(device.nextTimeout(), Infinity);
  assert.deepEqual(device.peers.rows(), []);
  for (let i = 0; i < sessions.capacity; i++) {
    assert.deepEqual(sessions.sendKey(i), new Uint8Array(32));
  }
  assert.throws(() => device.peers.info(0), RangeError);
  const before = pair.arrived[1].size;
  for (let i = 0; i < 40; i++) {
    pair.send(0);
    pair.run(SECOND);
  }
  assert.equal(pair.arrived[1].size, before);
  assert.ok(device.counters.unknownPeer > 0);
});

Deno.test("a new private key ends the sessions and the peer must know it", () => {
  const pair = new Pair(21);
  pair.send(0);
  pair.run(6 * SECOND);
  const fresh = pair.world.random.bytes(32);
  const a = pair.end(0).device;
  const b = pair.end(1).device;
  a.setPrivateKey(fresh, pair.world.now);
  assert.equal(slotsInUse(pair.end(0)), 0);
  const unknown = pair.send(0);
  pair.run(SECOND);
  assert.ok(!pair.hasArrived(0, unknown));
  b.peers.remove(0);
  const row = b.peers.add(a.publicKey, { now: pair.world.now });
  const words = Uint32Array.of(0, 0, 0xffff, INNER[0]);
  b.peers.allow(row, { family: 4, words, length: 32 });
  pair.run(6 * SECOND);
  assert.ok(pair.hasArrived(0, unknown));
});

Deno.test("info tells handshake time, endpoint, bytes and prefixes", () => {
  const pair = new Pair(22, { keepaliveMs: [0, 25 * SECOND] });
  assert.equal(pair.end(0).device.peers.info(0).lastHandshakeWallMs, 0);
  const wall = pair.world.now + pair.world.hosts[0].wallOffset;
  pair.send(0);
  pair.run(SECOND);
  const a = pair.end(0).device.peers.info(0);
  const b = pair.end(1).device.peers.info(0);
  assert.ok(
    a.lastHandshakeWallMs >= wall && a.lastHandshakeWallMs < wall + 100,
  );
  assert.equal(a.endpoint?.port, pair.world.hosts[1].port);
  assert.deepEqual(a.publicKey, pair.end(1).device.publicKey);
  assert.equal(b.persistentKeepaliveMs, 25 * SECOND);
  assert.ok(a.traffic.sentBytes > 0);
  assert.equal(a.traffic.sentBytes, b.traffic.receivedBytes);
  assert.equal(a.traffic.receivedBytes, b.traffic.sentBytes);
  assert.deepEqual(a.allowedIps.map(({ family, length }) => [family, length]), [
    [4, 32],
  ]);
});

const DISGUISE: AmneziaParameters = {
  Jc: 4,
  Jmin: 70,
  Jmax: 90,
  S1: 15,
  S2: 68,
  S3: 32,
  S4: 12,
  H1: { first: 100_000, last: 200_000 },
  H2: { first: 300_000, last: 300_000 },
  H3: { first: 400_000, last: 500_000 },
  H4: { first: 4_000_000_000, last: 4_294_967_295 },
  I1: "<b 0xc0ff><r 16><t><c>",
  I2: "",
  I3: "<rd 8>",
  I4: "",
  I5: "",
};

Deno.test("AmneziaWG: nothing on the wire looks like WireGuard", () => {
  const pair = new Pair(23, { amnezia: [DISGUISE, DISGUISE] });
  pair.end(1).device.setLoadMode("always");
  const lengths: number[] = [];
  pair.world.tap = (bytes) => {
    lengths.push(bytes.length);
    const type = new DataView(bytes.buffer, bytes.byteOffset).getUint32(
      0,
      true,
    );
    assert.ok(type === 0 || type > 4);
    for (const length of [148, 92, 64, 32]) {
      assert.notEqual(bytes.length, length);
    }
  };
  const number = pair.send(0, 200);
  pair.run(6 * SECOND);
  assert.ok(pair.hasArrived(0, number));
  // I1, I3, four of junk, the initiation; then the cookie reply.
  assert.deepEqual(lengths.slice(0, 2), [26, 8]);
  for (const length of lengths.slice(2, 6)) {
    assert.ok(length >= 70 && length <= 90);
  }
  assert.deepEqual(lengths.slice(6, 8), [148 + 15, 64 + 32]);
  assert.ok(lengths.includes(92 + 68));
});

Deno.test("AmneziaWG and plain WireGuard do not understand each other", () => {
  const pair = new Pair(24, { amnezia: [DISGUISE, PLAIN_WIREGUARD] });
  pair.send(0);
  pair.send(1);
  pair.run(60 * SECOND);
  assert.equal(pair.arrived[0].size + pair.arrived[1].size, 0);
  assert.equal(slotsInUse(pair.end(0)), 1, "only its own attempt");
});

Deno.test("junk and initial datagrams are each sender's own", () => {
  const plainer = { ...DISGUISE, Jc: 0, I1: "", I3: "" };
  const pair = new Pair(25, { amnezia: [DISGUISE, plainer] });
  const numbers = [pair.send(0), pair.send(1)];
  pair.run(SECOND);
  assert.ok(pair.hasArrived(0, numbers[0]) && pair.hasArrived(1, numbers[1]));
});

Deno.test("a handshake never confirms a session by itself", () => {
  const pair = new Pair(26);
  pair.world.weather = CALM;
  pair.send(0);
  pair.run(21);
  const { peers, sessions } = pair.end(1);
  const next = peers.nextSession(0);
  assert.ok(next >= 0);
  assert.equal(sessions.state[next], SessionState.Unconfirmed);
  assert.equal(peers.currentSession(0), -1);
});
