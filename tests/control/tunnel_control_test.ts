import assert from "node:assert/strict";
import { TunnelControl } from "../../src/control/tunnel_control.ts";
import { ControlMessage } from "../../src/core/columns/control_message.ts";
import { DropReason } from "../../src/core/columns/drop_reason.ts";
import { Ring } from "../../src/core/columns/ring.ts";
import {
  parseEndpoint,
  parsePrefix,
  writeWords,
} from "../../src/core/wire/address.ts";
import { PeerEvent } from "../../src/core/wireguard/peer_table.ts";
import { DeviceTables } from "../support/device_tables.ts";

const RING_BYTES = 1 << 14;
const PACKET = Uint8Array.from({ length: 40 }, (_, i) => i);

type Happening =
  | { kind: "datagram"; bytes: Uint8Array; port: number }
  | { kind: "seal"; peer: number; packet: Uint8Array | undefined }
  | { kind: "packet"; peer: number; packet: Uint8Array }
  | { kind: "drop"; reason: DropReason; peer: number; bytes: Uint8Array }
  | { kind: "own drop"; reason: DropReason }
  | { kind: "handshake"; peer: number; result: string };

/** A control loop between rings that a test writes and a sender that it reads. */
class End implements Disposable {
  readonly tables: DeviceTables;
  readonly rings: Ring[];
  readonly bell = new Int32Array(new SharedArrayBuffer(4));
  readonly control: TunnelControl;
  /** What the sender answers. */
  sealResult: DropReason = DropReason.None;
  sends = true;
  readonly #happenings: Happening[] = [];
  #more = Promise.withResolvers<void>();
  /** A loop that waits for a bell alone does not keep the runtime going. */
  readonly #alive = setInterval(() => {}, 60_000);

  constructor(seed: number) {
    this.tables = new DeviceTables(seed);
    this.rings = [0, 1].map(() =>
      new Ring(new SharedArrayBuffer(Ring.byteLength(RING_BYTES)), RING_BYTES)
    );
    this.control = new TunnelControl({
      device: this.tables.device,
      peers: this.tables.peers,
      rings: this.rings,
      bell: this.bell,
      sender: {
        datagram: (bytes, _words, port) => {
          this.#note({ kind: "datagram", bytes: bytes.slice(), port });
          return this.sends;
        },
        seal: (peer, packet) => {
          this.#note({ kind: "seal", peer, packet });
          return this.sealResult;
        },
      },
      now: () => this.tables.now,
      onPacket: (peer, packet) => this.#note({ kind: "packet", peer, packet }),
      onDrop: (reason, peer, bytes) =>
        this.#note({ kind: "drop", reason, peer, bytes: bytes.slice() }),
      onOwnDrop: (reason) => this.#note({ kind: "own drop", reason }),
      onHandshake: (peer, result) =>
        this.#note({ kind: "handshake", peer, result }),
    });
    this.control.start();
  }

  /** What a worker does: a message, then the bell. */
  tell(
    ring: number,
    kind: number,
    a: number,
    b = 0,
    bytes: Uint8Array = new Uint8Array(0),
  ): void {
    const written = this.rings[ring].tryWrite(
      kind,
      a,
      b,
      bytes,
      0,
      bytes.length,
    );
    assert.ok(written);
    Atomics.add(this.bell, 0, 1);
    Atomics.notify(this.bell, 0);
  }

  /** The next thing that happens. */
  async next(): Promise<Happening> {
    while (this.#happenings.length === 0) await this.#more.promise;
    return this.#happenings.shift()!;
  }

  /** What has happened that nobody asked for. */
  get rest(): readonly Happening[] {
    return this.#happenings;
  }

  /** Takes a datagram from the network. */
  receive(ring: number, datagram: Uint8Array): void {
    const message = new Uint8Array(16 + datagram.length);
    writeWords(message, 0, ADDRESS, 0);
    message.set(datagram, 16);
    this.tell(ring, ControlMessage.Handshake, 1000, 0, message);
  }

  [Symbol.dispose](): void {
    this.control.stop();
    clearInterval(this.#alive);
  }

  #note(happening: Happening): void {
    this.#happenings.push(happening);
    this.#more.resolve();
    this.#more = Promise.withResolvers();
  }
}

const ADDRESS = parseEndpoint("127.0.0.1:1")!.words;

/** Two ends that know each other; A knows where B is. */
function pair(): { a: End; b: End } & Disposable {
  const a = new End(1), b = new End(2);
  a.tables.device.peers.add(b.tables.device.publicKey, {
    endpoint: parseEndpoint("127.0.0.1:2000")!,
    now: 0,
  });
  b.tables.device.peers.add(a.tables.device.publicKey, { now: 0 });
  b.tables.device.peers.allow(0, parsePrefix("10.8.0.2/32")!);
  return {
    a,
    b,
    [Symbol.dispose]() {
      a[Symbol.dispose]();
      b[Symbol.dispose]();
    },
  };
}

async function datagramOf(end: End): Promise<Uint8Array> {
  const happening = await end.next();
  assert.equal(happening.kind, "datagram");
  return (happening as Happening & { kind: "datagram" }).bytes;
}

/** Lets A's staged packet make a session; both rings are used. */
async function connect(a: End, b: End): Promise<void> {
  a.tell(0, ControlMessage.Stage, 0, 0, PACKET);
  b.receive(1, await datagramOf(a));
  a.receive(1, await datagramOf(b));
}

Deno.test("a staged packet makes a session, and is sealed when it stands", async () => {
  using ends = pair();
  const { a, b } = ends;
  await connect(a, b);
  assert.deepEqual(await a.next(), {
    kind: "handshake",
    peer: 0,
    result: "established",
  });
  assert.deepEqual(await a.next(), { kind: "seal", peer: 0, packet: PACKET });
  assert.ok(a.tables.peers.currentSession(0) >= 0);
  // B's worker opens that packet, and tells.
  const { sessions, peers } = b.tables;
  assert.ok(sessions.confirm(peers.nextSession(0)));
  assert.ok(peers.notePeerEvent(0, PeerEvent.SessionConfirmed));
  b.tell(0, ControlMessage.PeerEvent, 0);
  assert.deepEqual(await b.next(), {
    kind: "handshake",
    peer: 0,
    result: "established",
  });
  assert.ok(peers.currentSession(0) >= 0);
  assert.equal(peers.events[0] & PeerEvent.SessionConfirmed, 0);
});

Deno.test("packets and drops are handed on, in the order of their ring, as copies", async () => {
  using end = new End(3);
  end.tell(0, ControlMessage.Packet, 5, 0, Uint8Array.of(1, 2, 3));
  end.tell(0, ControlMessage.Drop, DropReason.TooBig, 6, Uint8Array.of(4));
  end.tell(0, ControlMessage.Packet, 7, 0, Uint8Array.of(5));
  const happenings = [await end.next(), await end.next(), await end.next()];
  // The ring is written over; what was handed on is not.
  for (let n = 0; n < 400; n++) {
    end.tell(0, ControlMessage.PeerEvent, 0, 0, new Uint8Array(16).fill(9));
    if (n % 100 === 99) await new Promise((resume) => setTimeout(resume, 0));
  }
  assert.deepEqual(happenings, [
    { kind: "packet", peer: 5, packet: Uint8Array.of(1, 2, 3) },
    {
      kind: "drop",
      reason: DropReason.TooBig,
      peer: 6,
      bytes: Uint8Array.of(4),
    },
    { kind: "packet", peer: 7, packet: Uint8Array.of(5) },
  ]);
});

Deno.test("many messages on both rings while the loop is busy: none is lost", async () => {
  using end = new End(3);
  const count = 2000;
  const seen = [0, 0];
  const reading = (async () => {
    for (let n = 0; n < 2 * count; n++) {
      const happening = await end.next();
      assert.equal(happening.kind, "packet");
      const { peer, packet } = happening as Happening & { kind: "packet" };
      const [ring, high, low] = packet;
      assert.equal(peer, 100 + ring);
      assert.equal(high * 256 + low, seen[ring]++, "in order");
    }
  })();
  for (let n = 0; n < count; n++) {
    for (const ring of [0, 1]) {
      const bytes = Uint8Array.of(ring, n >> 8, n);
      end.tell(ring, ControlMessage.Packet, 100 + ring, 0, bytes);
    }
    if (n % 50 === 0) await new Promise((resume) => setTimeout(resume, 0));
  }
  await reading;
  assert.deepEqual(seen, [count, count]);
});

Deno.test("hostile datagrams and unknown peers lead to nothing", async () => {
  using end = new End(3);
  end.receive(0, new Uint8Array(148));
  end.receive(0, new Uint8Array(0));
  const initiation = new Uint8Array(148);
  initiation[0] = 1;
  end.receive(0, initiation);
  for (const kind of [ControlMessage.Stage, ControlMessage.PeerEvent]) {
    end.tell(0, kind, 7, 0, PACKET); // no peer in that row
  }
  end.tell(0, 99, 0);
  end.tell(0, ControlMessage.Packet, 1, 0, PACKET);
  assert.equal((await end.next()).kind, "packet");
  assert.deepEqual(end.rest, []);
});

Deno.test("a packet of the gateway's own is sealed, or waits for a session", async () => {
  using ends = pair();
  const { a, b } = ends;
  a.control.sendPacket(0, PACKET);
  b.receive(0, await datagramOf(a));
  a.receive(0, await datagramOf(b));
  assert.equal((await a.next()).kind, "handshake");
  assert.deepEqual(await a.next(), { kind: "seal", peer: 0, packet: PACKET });
  const second = Uint8Array.of(0x45, 1, 2);
  a.control.sendPacket(0, second);
  assert.deepEqual(await a.next(), { kind: "seal", peer: 0, packet: second });
});

Deno.test("what the gateway itself sends starts the timer for an answer", async () => {
  using ends = pair();
  const { a, b } = ends;
  await connect(a, b);
  await a.next();
  await a.next();
  // Something came in; then the gateway sends, and nothing answers.
  const { tables } = a;
  tables.now += 5000;
  tables.peers.noteDataReceived(0, tables.now);
  tables.device.handleTimeout(tables.now + 20_000);
  tables.outputs();
  tables.now += 21_000;
  a.control.sendPacket(0, PACKET);
  assert.equal((await a.next()).kind, "seal");
  assert.equal(tables.device.nextTimeout(), tables.now + 15_000);
});

Deno.test("what the sender refuses is counted", async () => {
  using ends = pair();
  const { a, b } = ends;
  a.sends = false;
  a.sealResult = DropReason.NoEndpoint;
  a.tell(0, ControlMessage.Stage, 0, 0, PACKET);
  b.receive(0, await datagramOf(a));
  const failed = { kind: "own drop", reason: DropReason.SendFailed };
  assert.deepEqual(await a.next(), failed);
  a.receive(0, await datagramOf(b));
  assert.equal((await a.next()).kind, "handshake");
  assert.equal((await a.next()).kind, "seal");
  const refused = { kind: "own drop", reason: DropReason.NoEndpoint };
  assert.deepEqual(await a.next(), refused);
});

Deno.test("the device's timers are kept", async () => {
  using ends = pair();
  const { a } = ends;
  a.tell(0, ControlMessage.Stage, 0, 0, PACKET);
  const first = await datagramOf(a);
  // Nobody answers: it is tried again when its time has come.
  const next = a.tables.device.nextTimeout();
  assert.ok(next > a.tables.now && next < Infinity);
  a.tables.now = next;
  a.control.drain();
  const second = await datagramOf(a);
  assert.equal(second.length, first.length);
  assert.notDeepEqual(second, first);
});

Deno.test("after its end the loop reads no more", async () => {
  using end = new End(3);
  end.tell(0, ControlMessage.Packet, 1, 0, PACKET);
  await end.next();
  end.control.stop();
  end.tell(0, ControlMessage.Packet, 2, 0, PACKET);
  await new Promise((resume) => setTimeout(resume, 0));
  await new Promise((resume) => setTimeout(resume, 0));
  assert.deepEqual(end.rest, []);
});
