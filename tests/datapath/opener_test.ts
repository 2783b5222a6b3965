import assert from "node:assert/strict";
import type { Batch } from "../../src/core/columns/batch.ts";
import { ControlMessage } from "../../src/core/columns/control_message.ts";
import {
  DropReason,
  dropReasonText,
} from "../../src/core/columns/drop_reason.ts";
import { Verdict } from "../../src/core/columns/verdict.ts";
import { formatEndpoint, parseEndpoint } from "../../src/core/wire/address.ts";
import {
  type MessageFormat,
  plainFormat,
} from "../../src/core/wireguard/classify.ts";
import {
  MessageKind,
  paddedLength,
} from "../../src/core/wireguard/messages.ts";
import { PeerEvent } from "../../src/core/wireguard/peer_table.ts";
import { REPLAY_WINDOW } from "../../src/core/wireguard/replay.ts";
import {
  SessionState,
  SessionTable,
} from "../../src/core/wireguard/session_table.ts";
import { Opener } from "../../src/datapath/opener.ts";
import { writeU32le } from "../../src/core/wire/bytes.ts";
import { pattern } from "../core/flow/packets.ts";
import { connect, from, REJECT_AFTER_MS, ROWS, TestEnd } from "./end.ts";
import { type Datagram, rowBytes } from "./fakes.ts";

/** Where A's datagrams come from. */
const A_AT = "192.0.2.1:1000";
const MTU = 1420;

/** AmneziaWG with prefixes and ranges of header values. */
function disguised(transportPrefix: number): MessageFormat {
  return {
    prefix: Int32Array.of(20, 31, 7, transportPrefix),
    headerFirst: Uint32Array.of(1000, 2000, 3000, 0xf0000000),
    headerLast: Uint32Array.of(1999, 2000, 3999, 0xffffffff),
  };
}

/** A and B, A's peer 3 is B, B's peer 5 is A. */
function pair(options: { format?: MessageFormat; ringBytes?: number } = {}) {
  const a = new TestEnd(1, options), b = new TestEnd(2, options);
  a.addPeer(3, ["10.0.0.2/32"], "192.0.2.2:2000");
  b.addPeer(5, ["10.0.0.1/32"]);
  return { a, b, ...connect([a, 3], [b, 5]) };
}

const packetOf = (length: number) => Uint8Array.from(pattern(length, length));

function reasonOf(batch: Batch, row: number): string {
  return batch.verdict[row] === Verdict.Drop
    ? dropReasonText(batch.target[row])
    : Object.entries(Verdict).find(([, value]) =>
      value === batch.verdict[row]
    )![0];
}

function reasons(batch: Batch): string[] {
  return Array.from({ length: batch.count }, (_, row) => reasonOf(batch, row));
}

const FORMATS: Record<string, MessageFormat> = {
  "WireGuard": plainFormat(),
  "a header range": { ...disguised(0), prefix: new Int32Array(4) },
  "a prefix of 1": disguised(1),
  "a prefix of 64": disguised(64),
  "a prefix of 333": disguised(333),
};

for (const [name, format] of Object.entries(FORMATS)) {
  Deno.test(`what A seals B opens, at every size: ${name}`, () => {
    const { a, b } = pair({ format });
    const step = 120;
    let wireBytes = 0;
    for (let first = 0; first <= MTU; first += step) {
      const count = Math.min(step, MTU + 1 - first);
      const packets = Array.from(
        { length: count },
        (_, i) => packetOf(first + i),
      );
      const datagrams = a.sealFor(3, ...packets);
      const batch = b.receive(...from(datagrams, A_AT));
      assert.equal(batch.count, count);
      packets.forEach((packet, row) => {
        const { length } = packet;
        const kind = length === 0 ? Verdict.Held : Verdict.Undecided;
        assert.equal(batch.verdict[row], kind);
        assert.equal(batch.peer[row], 5);
        const opened = rowBytes(batch, row);
        assert.equal(opened.length, paddedLength(length, MTU));
        assert.deepEqual(opened.slice(0, length), packet);
        assert.ok(opened.slice(length).every((byte) => byte === 0));
        wireBytes += datagrams[row].bytes.length;
      });
    }
    const traffic = b.tables.peers.traffic(5);
    assert.equal(traffic.receivedPackets, MTU + 1);
    assert.equal(traffic.receivedBytes, wireBytes);
    assert.equal(a.tables.peers.traffic(3).sentBytes, wireBytes);
  });
}

Deno.test("a datagram with any bit changed is dropped for what is wrong with it", () => {
  for (const format of [plainFormat(), disguised(9)]) {
    const { a, b } = pair({ format });
    const prefix = format.prefix[3];
    const [good] = from(a.sealFor(3, packetOf(20)), A_AT);
    const expected = (at: number, bit: number): string => {
      const field = at - prefix;
      if (field < 4) return "not a WireGuard message";
      if (field < 8) return "unknown session";
      // A counter of 2^53 or more could not have been sent.
      if (field === 15 || field === 14 && bit >= 5) {
        return "replayed or too old";
      }
      return "authentication failed";
    };
    // Prefix and header value of the disguise may be others: see below.
    const first = prefix > 0 ? prefix + 4 : 0;
    for (let at = first; at < good.bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const bytes = good.bytes.slice();
        bytes[at] ^= 1 << bit;
        const batch = b.receive({ ...good, bytes });
        assert.deepEqual(
          reasons(batch),
          [expected(at, bit)],
          `byte ${at}, bit ${bit}`,
        );
      }
    }
    assert.equal(b.tables.peers.readEndpoint(5, new Int32Array(4), 0), 0);
    assert.deepEqual(b.open.told(), []);
    assert.deepEqual(reasons(b.receive(good)), ["Undecided"]);
  }
});

Deno.test("a prefix may be anything, a header value must be in its range", () => {
  const { a, b } = pair({ format: disguised(9) });
  const random = a.random;
  for (let n = 0; n < 50; n++) {
    const [good] = from(a.sealFor(3, packetOf(20)), A_AT);
    good.bytes.set(random.bytes(9));
    if (n % 2 === 0) {
      assert.deepEqual(reasons(b.receive(good)), ["Undecided"]);
    } else {
      writeU32le(good.bytes, 9, random.below(0xf0000000));
      assert.deepEqual(reasons(b.receive(good)), ["not a WireGuard message"]);
    }
  }
});

Deno.test("no datagram is taken twice, in whatever order they come", () => {
  const { a, b } = pair();
  const datagrams = from(
    a.sealFor(3, ...Array.from({ length: 60 }, () => packetOf(40))),
    A_AT,
  );
  const random = a.random;
  const seen = new Set<number>();
  for (let n = 0; n < 400; n++) {
    const i = random.below(datagrams.length);
    const { bytes, ...rest } = datagrams[i];
    const batch = b.receive({ ...rest, bytes: bytes.slice() });
    const expected = seen.has(i) ? "replayed or too old" : "Undecided";
    assert.deepEqual(reasons(batch), [expected]);
    seen.add(i);
  }
  assert.equal(seen.size, 60);
  const twice = from(a.sealFor(3, packetOf(8)), A_AT);
  const batch = b.receive(twice[0], {
    ...twice[0],
    bytes: twice[0].bytes.slice(),
  });
  assert.deepEqual(reasons(batch), ["Undecided", "replayed or too old"]);
});

Deno.test("what is older than the window is dropped", () => {
  const { a, b, slotA } = pair();
  const old = from(a.sealFor(3, packetOf(1), packetOf(2)), A_AT);
  a.tables.sessions.sendCounter[slotA] = REPLAY_WINDOW + 1;
  b.receive(...from(a.sealFor(3, packetOf(3)), A_AT));
  const batch = b.receive(...old);
  assert.deepEqual(reasons(batch), ["replayed or too old", "Undecided"]);
});

Deno.test("a session has its time", () => {
  const { a, b } = pair();
  const datagrams = from(a.sealFor(3, packetOf(1), packetOf(2)), A_AT);
  b.now += REJECT_AFTER_MS - 1;
  assert.deepEqual(reasons(b.receive(datagrams[0])), ["Undecided"]);
  b.now += 1;
  assert.deepEqual(reasons(b.receive(datagrams[1])), ["session expired"]);
});

Deno.test("a session that has ended is unknown, and so is one that never was", () => {
  const { a, b, slotB } = pair();
  const [good] = from(a.sealFor(3, packetOf(1)), A_AT);
  const stranger = { ...good, bytes: good.bytes.slice() };
  stranger.bytes[6] ^= 1;
  assert.deepEqual(reasons(b.receive(stranger)), ["unknown session"]);
  b.tables.sessions.release(slotB);
  assert.deepEqual(reasons(b.receive(good)), ["unknown session"]);
});

/** An opener whose session ends in the middle of the first open. */
function interrupted(b: TestEnd, interrupt: () => void): Opener {
  const { aead, link } = b.open;
  const { sessions, peers } = b.tables;
  return new Opener({
    sessions,
    peers,
    format: plainFormat(),
    link,
    rejectAfterMs: REJECT_AFTER_MS,
    rows: ROWS,
    aead: {
      name: "interrupted",
      sealWith: () => assert.fail(),
      seal: () => assert.fail(),
      openWith(key) {
        interrupt();
        aead.openWith(key);
      },
      open: (...message) => aead.open(...message),
    },
  });
}

Deno.test("keys that are erased while they are in use open nothing", () => {
  const zero = new Uint8Array(32);
  for (const replaced of [false, true]) {
    const { a, b, slotA, slotB } = pair();
    const { sessions } = b.tables;
    // Sealed under the key of an erased slot, which everybody knows.
    a.tables.sessions.sendKey(slotA).fill(0);
    const [forged] = from(a.sealFor(3, packetOf(30)), A_AT);
    const opener = interrupted(b, () => {
      const receiver = sessions.receiverIndex[slotB];
      sessions.release(slotB);
      assert.deepEqual(sessions.receiveKey(slotB), zero);
      if (!replaced) return;
      // Somebody else's handshake takes the slot.
      Atomics.store(sessions.state, slotB, 3);
      sessions.receiverIndex[slotB] = receiver;
    });
    const { batch, socket } = b.open;
    socket.inbox.push(forged);
    socket.receive(batch);
    opener.decrypt(batch, b.now);
    opener.admit(batch, b.now);
    assert.deepEqual(reasons(batch), ["unknown session"]);
  }
});

/** Ends the session that is looked up, right after the first look. */
class FadingSessions extends SessionTable {
  override lookup(receiver: number): number {
    const slot = super.lookup(receiver);
    if (slot >= 0) this.release(slot);
    return slot;
  }
}

Deno.test("keys that are erased before they are used open nothing", () => {
  const { a, b, slotA } = pair();
  const sessions = new FadingSessions(
    new ArrayBuffer(SessionTable.byteLength(32)),
    32,
  );
  const { aead, link, batch, socket } = b.open;
  const opener = new Opener({
    sessions,
    peers: b.tables.peers,
    format: plainFormat(),
    aead,
    link,
    rejectAfterMs: REJECT_AFTER_MS,
    rows: ROWS,
  });
  const zero = new Uint8Array(32);
  const slot = sessions.install(5, 0x1234_5600, SessionState.Confirmed, {
    remoteIndex: 1,
    initiator: false,
    now: b.now,
    sendKey: zero,
    receiveKey: zero,
  });
  a.tables.sessions.sendKey(slotA).fill(0);
  const [forged] = from(a.sealFor(3, packetOf(30)), A_AT);
  writeU32le(forged.bytes, 4, sessions.receiverIndex[slot]);
  socket.inbox.push(forged);
  socket.receive(batch);
  opener.decrypt(batch, b.now);
  opener.admit(batch, b.now);
  assert.deepEqual(reasons(batch), ["unknown session"]);
});

Deno.test("a session that ends between decrypting and admitting admits nothing", () => {
  const { a, b, slotB } = pair();
  const { batch, socket, opener } = b.open;
  socket.inbox.push(...from(a.sealFor(3, packetOf(30), packetOf(0)), A_AT));
  socket.receive(batch);
  opener.decrypt(batch, b.now);
  b.tables.sessions.release(slotB);
  opener.admit(batch, b.now);
  assert.deepEqual(reasons(batch), ["unknown session", "unknown session"]);
  assert.deepEqual(b.open.told(), []);
});

Deno.test("what is too short or of no known type is no message", () => {
  const { a, b } = pair();
  const [good] = from(a.sealFor(3, packetOf(0)), A_AT);
  assert.equal(good.bytes.length, 32);
  for (let length = 0; length < 32; length++) {
    const cut = { ...good, bytes: good.bytes.slice(0, length) };
    assert.deepEqual(reasons(b.receive(cut)), ["not a WireGuard message"]);
  }
  const random = a.random;
  for (let n = 0; n < 300; n++) {
    const bytes = random.bytes(random.below(300));
    if (bytes.length > 0 && bytes[0] >= 1 && bytes[0] <= 4) bytes[0] = 9;
    const batch = b.receive({ ...good, bytes });
    assert.deepEqual(reasons(batch), ["not a WireGuard message"]);
  }
  assert.deepEqual(b.open.told(), []);
});

const LENGTHS = [
  [MessageKind.Initiation, 148],
  [MessageKind.Response, 92],
  [MessageKind.Cookie, 64],
] as const;

/** A datagram that looks like a handshake message. */
function handshake(
  format: MessageFormat,
  kind: number,
  length: number,
): Datagram {
  const prefix = format.prefix[kind - 1];
  const bytes = Uint8Array.from(pattern(prefix + length, kind));
  writeU32le(bytes, prefix, format.headerLast[kind - 1]);
  const { words, port } = parseEndpoint("[2001:db8::7]:7777")!;
  return { bytes, words: Int32Array.from(words), port };
}

for (const [name, format] of Object.entries(FORMATS)) {
  Deno.test(`handshake messages go to the control thread with their source: ${name}`, () => {
    const { b } = pair({ format });
    const all = LENGTHS.map(([kind, length]) =>
      handshake(format, kind, length)
    );
    const batch = b.receive(...all);
    assert.deepEqual(reasons(batch), ["Held", "Held", "Held"]);
    const told = b.open.told();
    assert.equal(told.length, 3);
    told.forEach(({ kind, a: port, bytes }, n) => {
      assert.equal(kind, ControlMessage.Handshake);
      assert.equal(port, 7777);
      const address = [0x20, 0x01, 0x0d, 0xb8, ...Array(11).fill(0), 7];
      assert.deepEqual([...bytes.slice(0, 16)], address);
      assert.deepEqual(bytes.slice(16), all[n].bytes);
    });
  });
}

Deno.test("where the control thread's ring is full handshakes are dropped, and nothing else", () => {
  const { a, b } = pair({ ringBytes: 1024 });
  b.tables.peers.notePeerEvent(
    5,
    PeerEvent.EndpointChanged | PeerEvent.DataReceived,
  );
  const flood = Array.from(
    { length: 20 },
    () => handshake(plainFormat(), MessageKind.Initiation, 148),
  );
  const data = from(a.sealFor(3, packetOf(10)), A_AT);
  const batch = b.receive(...flood, ...data);
  const got = reasons(batch);
  const held = got.filter((reason) => reason === "Held").length;
  assert.ok(held > 0 && held < 20);
  assert.deepEqual(got.slice(held), [
    ...Array(20 - held).fill("control queue full"),
    "Undecided",
  ]);
  assert.equal(b.open.told().length, held);
});

/** What the control thread was told of peers: the flags as they are then. */
function peerEvents(end: TestEnd): number[] {
  return end.open.told().map(({ kind, a }) => {
    assert.equal(kind, ControlMessage.PeerEvent);
    return end.tables.peers.events[a];
  });
}

const endpointOf = (end: TestEnd, peer: number): string => {
  const words = new Int32Array(4);
  const port = end.tables.peers.readEndpoint(peer, words, 0);
  return formatEndpoint(words, 0, port);
};

Deno.test("the control thread is told of data once, not for each packet", () => {
  const { a, b } = pair();
  const { peers } = b.tables;
  const send = (count: number) => {
    const packets = Array.from({ length: count }, () => packetOf(40));
    b.receive(...from(a.sealFor(3, ...packets), A_AT));
  };
  send(100);
  const first = PeerEvent.DataReceived | PeerEvent.EndpointChanged;
  assert.deepEqual(peerEvents(b), [first]);
  send(100);
  assert.deepEqual(peerEvents(b), []);
  assert.equal(peers.lastReceivedAt[5], b.now);
  assert.equal(peers.owedSince[5], b.now);
  // The control thread has no more use of the flag and clears it.
  peers.withdrawPeerEvent(5, first);
  b.now += 1000;
  send(3);
  assert.deepEqual(peerEvents(b), [PeerEvent.DataReceived]);
  assert.equal(peers.lastReceivedAt[5], b.now);
});

Deno.test("keepalives are told of as such, and are no packets", () => {
  const { a, b } = pair();
  b.tables.peers.setEndpoint(5, parseEndpoint(A_AT)!.words, 0, 1000);
  const batch = b.receive(
    ...from(a.sealFor(3, packetOf(0), packetOf(0)), A_AT),
  );
  assert.deepEqual(reasons(batch), ["Held", "Held"]);
  assert.deepEqual(peerEvents(b), [PeerEvent.KeepaliveReceived]);
  assert.equal(b.tables.peers.owedSince[5], 0, "no answer is owed to it");
});

Deno.test("the first packet of a responder's session confirms it, once", () => {
  const a = new TestEnd(1), b = new TestEnd(2);
  a.addPeer(3, [], "192.0.2.2:2000");
  b.addPeer(5, [], A_AT);
  const { slotB } = connect([a, 3], [b, 5], false);
  const wrong = from(a.sealFor(3, packetOf(9)), A_AT);
  wrong[0].bytes[30] ^= 1;
  b.receive(...wrong);
  assert.deepEqual(peerEvents(b), []);
  assert.equal(b.tables.sessions.confirm(slotB), true);
  b.tables.sessions.state[slotB] = 2; // as it was
  b.receive(...from(a.sealFor(3, packetOf(9), packetOf(9)), A_AT));
  const flags = PeerEvent.SessionConfirmed | PeerEvent.DataReceived;
  assert.deepEqual(peerEvents(b), [flags]);
  assert.equal(b.tables.sessions.confirm(slotB), false);
});

Deno.test("a peer that roams is followed, and the control thread told once", () => {
  const { a, b } = pair();
  b.receive(...from(a.sealFor(3, packetOf(9)), A_AT));
  assert.equal(endpointOf(b, 5), A_AT);
  peerEvents(b);
  b.tables.peers.withdrawPeerEvent(5, PeerEvent.EndpointChanged);
  for (const place of ["192.0.2.1:1001", "198.51.100.9:1", "[2001:db8::9]:5"]) {
    const packets = Array.from({ length: 20 }, () => packetOf(9));
    b.receive(...from(a.sealFor(3, ...packets), place));
    assert.equal(endpointOf(b, 5), place);
    assert.equal(peerEvents(b).length, 1);
    b.tables.peers.withdrawPeerEvent(5, PeerEvent.EndpointChanged);
  }
});

Deno.test("only an authentic, new datagram moves a peer", () => {
  const { a, b } = pair();
  const [first, second] = a.sealFor(3, packetOf(9), packetOf(9));
  b.receive(...from([first], A_AT));
  const elsewhere = "203.0.113.66:6666";
  const [damaged] = from([second], elsewhere);
  damaged.bytes[40] ^= 1;
  b.receive(damaged);
  b.receive(...from([first], elsewhere)); // a replay
  assert.equal(endpointOf(b, 5), A_AT);
  b.receive(...from([second], elsewhere));
  assert.equal(endpointOf(b, 5), elsewhere);
});

Deno.test("what could not be told is told with the next packet", () => {
  const { a, b } = pair({ ringBytes: 64 });
  const { peers } = b.tables;
  const filler = new Uint8Array(0);
  while (b.open.ring.tryWrite(99, 0, 0, filler, 0, 0));
  const packets = Array.from({ length: 3 }, () => packetOf(9));
  b.receive(...from(a.sealFor(3, ...packets), A_AT));
  assert.equal(peers.events[5] & PeerEvent.DataReceived, 0);
  b.open.told();
  b.receive(...from(a.sealFor(3, packetOf(9)), A_AT));
  const flags = PeerEvent.DataReceived | PeerEvent.EndpointChanged;
  assert.deepEqual(peerEvents(b), [flags]);
});

Deno.test("rows of two peers in one batch are each their own peer's", () => {
  const { a, b } = pair();
  const c = new TestEnd(3);
  c.addPeer(0, [], "192.0.2.2:2000");
  b.addPeer(6, ["10.0.0.3/32"]);
  connect([c, 0], [b, 6]);
  const ofA = from(a.sealFor(3, packetOf(50), packetOf(60)), A_AT);
  const ofC = from(c.sealFor(0, packetOf(70), packetOf(80)), "192.0.2.3:3");
  const batch = b.receive(ofA[0], ofC[0], ofA[1], ofC[1]);
  assert.deepEqual([...batch.peer.slice(0, 4)], [5, 6, 5, 6]);
  assert.deepEqual(
    [50, 70, 60, 80].map((length, row) =>
      rowBytes(batch, row).slice(0, length)
    ),
    [50, 70, 60, 80].map(packetOf),
  );
});

Deno.test("DropReason.None is what an undecided row has", () => {
  const { a, b } = pair();
  const batch = b.receive(...from(a.sealFor(3, packetOf(5)), A_AT));
  assert.equal(batch.target[0], DropReason.None);
});
