/** When a connection is over, by what passes; sequence numbers round 2^32. */
import assert from "node:assert/strict";
import { ColumnAllocator } from "../../../src/core/columns/columns.ts";
import { TcpProgress } from "../../../src/core/flow/tcp_progress.ts";
import { ACK, FIN, RST, segment, SYN, tcpStart } from "./segments.ts";

const ROW = 3;
const GENERATION = 17;
const ENDS = { from: "10.8.0.2", to: "192.0.2.7", fromPort: 1, toPort: 2 };

/** One connection; numbers count from each side's initial sequence number. */
class Watched {
  readonly progress = new TcpProgress(
    new ColumnAllocator(new ArrayBuffer(TcpProgress.byteLength(8))),
    8,
  );
  now = 1000;

  constructor(readonly clientIsn: number, readonly hostIsn: number) {
    this.progress.begin(ROW, this.now);
  }

  client(flags: number, seq: number, ack: number, bytes = 0): this {
    this.now++;
    const packet = this.#segment(
      flags,
      this.clientIsn + seq,
      this.hostIsn + ack,
      bytes,
    );
    const at = tcpStart(packet);
    this.progress.noteClient(ROW, packet, at, packet.length - at, this.now);
    return this;
  }

  host(
    flags: number,
    seq: number,
    ack: number,
    bytes = 0,
    generation = GENERATION,
  ): this {
    this.now++;
    const packet = this.#segment(
      flags,
      this.hostIsn + seq,
      this.clientIsn + ack,
      bytes,
    );
    const at = tcpStart(packet);
    const length = packet.length - at;
    this.progress.noteHost(ROW, generation, packet, at, length, this.now);
    return this;
  }

  handshake(): this {
    return this.host(SYN | ACK, 0, 1).client(ACK, 1, 1);
  }

  get isOver(): boolean {
    return this.progress.isOver(ROW, GENERATION, this.now);
  }

  get isEstablished(): boolean {
    return this.progress.isEstablished(ROW, GENERATION);
  }

  #segment(flags: number, seq: number, ack: number, bytes: number): Uint8Array {
    return segment({
      ...ENDS,
      flags,
      seq: seq >>> 0,
      ack: (flags & ACK) === 0 ? 0 : ack >>> 0,
      data: new Array(bytes).fill(1),
    });
  }
}

const STARTS: [string, number, number][] = [
  ["in the middle", 1000, 2000],
  ["before the wrap", 0xfffffffe, 0xffffffff],
  ["at the sign", 0x7ffffffd, 0x80000000],
  ["at 0", 0, 0],
];

for (const [name, clientIsn, hostIsn] of STARTS) {
  const watched = () => new Watched(clientIsn, hostIsn).handshake();

  Deno.test(`${name}: the client closes first`, () => {
    const it = watched();
    it.client(ACK, 1, 1, 100).host(ACK, 1, 101, 50).client(ACK, 101, 51);
    assert.ok(it.isEstablished && !it.isOver);
    it.client(FIN | ACK, 101, 51);
    assert.ok(it.isEstablished && !it.isOver, "half closed");
    it.host(ACK, 51, 102, 10).client(ACK, 102, 61);
    assert.ok(!it.isOver, "data still comes");
    it.host(FIN | ACK, 61, 102);
    assert.ok(!it.isEstablished && !it.isOver, "closing");
    it.client(ACK, 102, 62);
    assert.ok(it.isOver);
  });

  Deno.test(`${name}: the host closes first`, () => {
    const it = watched().host(FIN | ACK, 1, 1, 20).client(ACK, 1, 22);
    assert.ok(it.isEstablished && !it.isOver, "half closed");
    it.client(ACK, 1, 22, 300).host(ACK, 22, 301).client(FIN | ACK, 301, 22);
    assert.ok(!it.isOver);
    it.host(ACK, 22, 302);
    assert.ok(it.isOver);
  });

  Deno.test(`${name}: both close at once`, () => {
    const it = watched().client(FIN | ACK, 1, 1).host(FIN | ACK, 1, 1);
    assert.ok(!it.isOver);
    it.client(ACK, 2, 2);
    assert.ok(!it.isOver);
    it.host(ACK, 2, 2);
    assert.ok(it.isOver);
  });

  Deno.test(`${name}: a lost last acknowledgment comes with the FIN again`, () => {
    const it = watched().client(FIN | ACK, 1, 1).host(ACK, 1, 2);
    it.host(FIN | ACK, 1, 2);
    // The client's answer got lost before it came here.
    assert.ok(!it.isOver);
    it.host(FIN | ACK, 1, 2).client(ACK, 2, 2);
    assert.ok(it.isOver);
  });

  Deno.test(`${name}: a FIN with data, sent again in other pieces`, () => {
    const it = watched().client(FIN | ACK, 1, 1, 10).client(ACK, 1, 1, 4);
    it.client(FIN | ACK, 5, 1, 6).host(FIN | ACK, 1, 12).client(ACK, 12, 2);
    assert.ok(it.isOver);
  });

  Deno.test(`${name}: acknowledgments that come late take nothing back`, () => {
    const it = watched().client(FIN | ACK, 1, 1).host(FIN | ACK, 1, 2);
    it.client(ACK, 2, 2).client(ACK, 1, 1);
    assert.ok(it.isOver);
  });

  Deno.test(`${name}: a FIN of an earlier connection ends none`, () => {
    const it = watched().client(ACK, 1, 1, 1000).client(FIN | ACK, -500, 1);
    it.host(FIN | ACK, 1, 1001).client(ACK, 1001, 2, 500);
    assert.ok(!it.isOver, "what is sent behind it shows that it was none");
    it.client(FIN | ACK, 1501, 2).host(ACK, 2, 1502);
    assert.ok(it.isOver);
  });

  Deno.test(`${name}: a client's RST counts in the window`, () => {
    const { progress } = watched();
    const at = (offset: number) => (clientIsn + offset) >>> 0;
    for (
      const [offset, expected] of [
        [1, true],
        [2, true],
        [2 ** 24, true],
        [2 ** 24 + 1, false],
        [0, false],
        [-1, false],
        [2 ** 31, false],
      ] as const
    ) {
      assert.equal(
        progress.resets(ROW, GENERATION, at(offset), 12_345),
        expected,
        `${offset}`,
      );
    }
  });
}

Deno.test("a RST before the host has said anything counts behind the SYN", () => {
  const { progress } = new Watched(5, 6);
  for (const initial of [5, -1, 0x7fffffff]) {
    const resets = (offset: number) =>
      progress.resets(ROW, GENERATION, (initial + offset) >>> 0, initial);
    assert.deepEqual([0, 1, 2, 2 ** 30].map(resets), [
      false,
      true,
      true,
      false,
    ]);
  }
});

Deno.test("a RST from the host ends it where nothing follows for a second", () => {
  const it = new Watched(1, 1).handshake().host(RST | ACK, 1, 1);
  it.now += 999;
  assert.ok(!it.isOver);
  it.now += 1;
  assert.ok(it.isOver);
});

Deno.test("a RST that answers a stray ends nothing: the connection goes on", () => {
  const it = new Watched(1, 1).handshake().host(RST, 77, 0).host(ACK, 1, 1);
  it.now += 5000;
  assert.ok(!it.isOver);
  assert.ok(it.isEstablished);
});

Deno.test("established needs the answers of both", () => {
  const it = new Watched(1, 1);
  assert.ok(!it.isEstablished);
  it.host(SYN | ACK, 0, 1);
  assert.ok(!it.isEstablished);
  it.client(SYN, 0, 0);
  assert.ok(!it.isEstablished, "a SYN again is no answer");
  it.client(ACK, 1, 1);
  assert.ok(it.isEstablished);
});

Deno.test("what the host said in another generation counts for nothing", () => {
  const it = new Watched(1, 1).host(SYN | ACK, 0, 1, 0, GENERATION - 1);
  it.host(FIN | ACK, 1, 1, 0, GENERATION - 1).host(
    RST,
    2,
    0,
    0,
    GENERATION - 1,
  );
  it.now += 9000;
  it.client(ACK, 1, 1).client(FIN | ACK, 1, 2);
  assert.ok(!it.isOver);
  assert.ok(!it.isEstablished);
  assert.equal(it.progress.idle(ROW, GENERATION, it.now + 100), 100);
});

Deno.test("a late packet of an old generation says nothing about the next", () => {
  const it = new Watched(1, 1).handshake();
  it.host(FIN | ACK, 1, 1, 0, GENERATION - 1);
  it.client(FIN | ACK, 1, 2);
  assert.ok(!it.isOver);
});

Deno.test("idle since either has sent", () => {
  const it = new Watched(1, 1).handshake();
  assert.equal(it.progress.idle(ROW, GENERATION, it.now + 50), 50);
  it.now += 1000;
  it.host(ACK, 1, 1, 5);
  assert.equal(it.progress.idle(ROW, GENERATION, it.now + 7), 7);
  it.now += 1000;
  it.client(ACK, 1, 6);
  assert.equal(it.progress.idle(ROW, GENERATION, it.now + 9), 9);
});

Deno.test("a new connection in the row starts with nothing seen", () => {
  const it = new Watched(1, 1).handshake().client(FIN | ACK, 1, 1);
  it.progress.begin(ROW, it.now);
  assert.ok(!it.progress.hasClientFin(ROW));
  assert.ok(!it.progress.isEstablished(ROW, GENERATION));
  assert.equal(it.progress.idle(ROW, GENERATION + 1, it.now + 4), 4);
});
