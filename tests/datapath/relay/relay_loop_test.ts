/** The relay over real sockets on loopback: joining, moving, ending. */
import {
  type CountedSockets,
  countSockets,
} from "../../support/counted_sockets.ts";
import assert from "node:assert/strict";
import { parsePacket } from "../../../src/core/wire/packet.ts";
import { PacketView } from "../../../src/core/wire/packet_view.ts";
import * as tcp from "../../../src/core/wire/tcp.ts";
import { RelayCount } from "../../../src/datapath/relay/relay_counters.ts";
import type { DialFailureKind } from "../../../src/io/ports/dialer.ts";
import {
  SocketError,
  type StreamSockets,
} from "../../../src/io/ports/stream_sockets.ts";
import { LOOPBACK, patternBytes, RelayLab } from "./relay_lab.ts";

const MIB = 1 << 20;

function test(name: string, fn: () => void): void {
  Deno.test(name, fn);
}

/** What only Linux does, or only there can be looked at. */
function linuxTest(name: string, fn: () => void): void {
  Deno.test({ name, ignore: Deno.build.os !== "linux", fn });
}

test("bytes go both ways, and each half closes by itself", () => {
  using lab = new RelayLab();
  const { client, outside } = lab.connect();
  const up = patternBytes(3 * MIB, 1);
  const down = patternBytes(2 * MIB, 2);

  let sent = 0;
  const received: number[] = [];
  const buffer = new Uint8Array(1 << 17);
  lab.until(() => {
    if (sent < up.length) {
      sent += lab.sendSome(client, up, sent);
      if (sent === up.length) lab.sockets.shutdownWrite(client);
    }
    const count = lab.sockets.receive(outside, buffer, buffer.length);
    if (count > 0) { for (let i = 0; i < count; i++) received.push(buffer[i]); }
    return count === 0;
  }, "the outside reads to the end");
  assert.deepEqual(Uint8Array.from(received), up);
  assert.equal(lab.loopOpen, 1, "the other half is still open");

  // The client has finished; what comes the other way still arrives whole.
  let at = 0;
  const back: number[] = [];
  lab.until(() => {
    if (at < down.length) at += lab.sendSome(outside, down, at);
    const count = lab.sockets.receive(client, buffer, buffer.length);
    if (count > 0) { for (let i = 0; i < count; i++) back.push(buffer[i]); }
    return back.length === down.length;
  }, "the client reads what comes");
  assert.deepEqual(Uint8Array.from(back), down);
  lab.end(outside);
  assert.equal(lab.readAll(client).length, 0);
  lab.until(() => lab.loopOpen === 0, "the connection is over");
  const { counts } = lab.counters.snapshot();
  assert.equal(counts.Finished, 1);
  assert.equal(counts.Reset, 0);
  assert.equal(counts.BytesOut, up.length);
  assert.equal(counts.BytesIn, down.length);
});

test("the outside may finish first, and the client goes on", () => {
  using lab = new RelayLab();
  const { client, outside } = lab.connect();
  lab.sockets.shutdownWrite(outside);
  assert.equal(lab.readOnce(client), 0);
  lab.sendAll(client, patternBytes(MIB));
  lab.sockets.shutdownWrite(client);
  assert.deepEqual(lab.readAll(outside), patternBytes(MIB));
  lab.until(() => lab.loopOpen === 0, "the connection is over");
  assert.equal(lab.counters.get(RelayCount.Finished), 1);
});

test("a RST goes on to the other side, both ways", () => {
  for (const from of ["client", "outside"] as const) {
    using lab = new RelayLab();
    const ends = lab.connect();
    const sender = ends[from];
    const reader = from === "client" ? ends.outside : ends.client;
    lab.sendAll(sender, patternBytes(1000));
    assert.equal(lab.readOnce(reader), 1000, `${from}: the bytes`);
    lab.end(sender, "reset");
    assert.equal(lab.readOnce(reader), -SocketError.ConnectionReset, from);
    lab.until(() => lab.loopOpen === 0, "the connection is over");
    assert.equal(lab.counters.get(RelayCount.Reset), 1);
  }
});

// Windows throws away what a RST follows at once.
linuxTest("a RST comes behind what was sent before", () => {
  for (const from of ["client", "outside"] as const) {
    using lab = new RelayLab();
    const ends = lab.connect();
    const sender = ends[from];
    const reader = from === "client" ? ends.outside : ends.client;
    const last = patternBytes(1000);
    lab.sockets.send(sender, last.slice(), last.length);
    lab.end(sender, "reset");
    assert.equal(lab.readOnce(reader), last.length, `${from}: the bytes`);
    assert.equal(lab.readOnce(reader), -SocketError.ConnectionReset, from);
    lab.until(() => lab.loopOpen === 0, "the connection is over");
    assert.equal(lab.counters.get(RelayCount.Reset), 1);
  }
});

// Wine may take the error away when it looks for it; bytes before it hide the RST then.
linuxTest("a RST goes on although the side that gets it does not read", () => {
  using lab = new RelayLab();
  const { client, outside } = lab.connect();
  const block = patternBytes(1 << 18);
  let idle = 0;
  lab.until(() => {
    idle = lab.sendSome(outside, block) === 0 ? idle + 1 : 0;
    return idle > 20;
  }, "all buffers are full");
  lab.end(outside, "reset");
  lab.until(() => lab.loopOpen === 0, "the connection is over");
  assert.equal(lab.counters.get(RelayCount.Reset), 1);
  assert.throws(() => lab.readAll(client), /reset by peer/);
});

test("a reader that stands still stops the sender, and gets all when it goes on", () => {
  using lab = new RelayLab();
  const { client, outside } = lab.connect();
  const all = patternBytes(64 * MIB);
  let sent = 0;
  let idle = 0;
  lab.until(() => {
    const more = lab.sendSome(outside, all, sent);
    sent += more;
    idle = more === 0 ? idle + 1 : 0;
    return idle > 50 || sent === all.length;
  }, "the sender is stopped");
  assert.ok(sent < 32 * MIB, `${sent} bytes were taken`);
  const before = Deno.memoryUsage();
  lab.rounds(100);
  assert.ok(lab.counters.get(RelayCount.BytesIn) <= sent);
  const after = Deno.memoryUsage();
  assert.ok(after.external - before.external < MIB, "nothing is held");

  const digest = new Uint8Array(all.length);
  const buffer = new Uint8Array(1 << 18);
  let read = 0;
  lab.until(() => {
    if (sent < all.length) sent += lab.sendSome(outside, all, sent);
    const count = lab.sockets.receive(client, buffer, buffer.length);
    if (count > 0) {
      digest.set(buffer.subarray(0, count), read);
      read += count;
    }
    return read === all.length;
  }, "all arrives");
  assert.ok(Uint8Array.prototype.every.call(digest, (b, i) => b === all[i]));
});

test("a fast connection leaves turns to the others", () => {
  using lab = new RelayLab();
  const fast = lab.connect(0);
  const slow = lab.connect(1);
  const block = patternBytes(1 << 18);
  const buffer = new Uint8Array(MIB);
  // The fast one never runs dry, and yet the slow one's bytes come through.
  for (let i = 0; i < 50; i++) {
    lab.sendSome(fast.outside, block);
    lab.sockets.receive(fast.client, buffer, buffer.length);
    lab.sockets.send(slow.client, Uint8Array.of(i), 1);
    lab.until(() => {
      lab.sendSome(fast.outside, block);
      return lab.sockets.receive(slow.outside, buffer, buffer.length) === 1;
    }, "the slow one's turn");
    assert.equal(buffer[0], i);
  }
});

linuxTest("urgent data does not stop the stream", () => {
  using lab = new RelayLab();
  const { client, outside } = lab.connect();
  const MSG_OOB = 1;
  const libc = Deno.dlopen("libc.so.6", {
    send: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  });
  const text = new TextEncoder().encode("before");
  lab.sockets.send(client, text, text.length);
  libc.symbols.send(client, new Uint8Array([33]), 1, MSG_OOB);
  libc.close();
  const rest = new TextEncoder().encode("after");
  lab.sockets.send(client, rest, rest.length);
  lab.sockets.shutdownWrite(client);
  const got = new TextDecoder().decode(lab.readAll(outside));
  assert.equal(got.replace("!", ""), "beforeafter");
});

test("a closed port is answered by a RST, and no client comes in", () => {
  using lab = new RelayLab();
  const listener = lab.listen();
  const port = lab.sockets.localPort(listener);
  lab.end(listener);
  lab.dial(5, 7, LOOPBACK, port);
  lab.until(() => lab.answers.length > 0, "an answer");
  const [packet] = lab.answers;
  const view = new PacketView();
  assert.equal(parsePacket(packet, 0, packet.length, view), 0);
  assert.equal(
    tcp.flags(packet, view.payloadAt),
    tcp.Flag.Rst | tcp.Flag.Ack,
  );
  assert.equal(tcp.acknowledgment(packet, view.payloadAt), 1001);
  assert.equal(view.sourcePort, port);
  assert.equal(lab.rows.outcome.get("5/7"), "refused");
  assert.equal(lab.rows.entered.length, 0);
  assert.deepEqual(lab.counters.snapshot().failures, { refused: 1 });
  assert.equal(lab.counters.get(RelayCount.Dialing), 0);
});

test("a way to this host itself is refused where it is to be", () => {
  using lab = new RelayLab({ ownHost: "refuse" });
  const listener = lab.listen();
  lab.dial(0, 1, LOOPBACK, lab.sockets.localPort(listener));
  lab.until(() => lab.answers.length > 0, "an answer");
  assert.deepEqual(lab.counters.snapshot().failures, { "not-permitted": 1 });
  const outside = lab.accept(listener);
  assert.equal(lab.readOnce(outside), -SocketError.ConnectionReset);
});

test("who comes to the listener without having been let in is reset and counted", () => {
  using lab = new RelayLab();
  const stray = lab.keep(lab.sockets.connect(LOOPBACK, lab.relayPort));
  assert.equal(lab.readOnce(stray), -SocketError.ConnectionReset);
  assert.equal(lab.counters.get(RelayCount.Strays), 1);
});

test("times: to connect, to come in, to be idle", () => {
  const silent = Int32Array.of(0, 0, 0xffff, 0x7f000001);
  const waiting = {
    name: "waits",
    dial: () => ({
      descriptor: -1 as number,
      wants: "read" as const,
      failure: undefined,
      advance: () => "pending" as const,
      take: () => -1,
      [Symbol.dispose]: () => {},
    }),
  };
  {
    let silence = -1;
    using lab = new RelayLab({
      limits: { connectTimeoutMs: 1000 },
      dialer: (sockets) => ({
        ...waiting,
        dial: () => {
          silence = sockets.openDatagram(4);
          return { ...waiting.dial(), descriptor: silence };
        },
      }),
    });
    lab.dial(1, 1, silent, 9);
    lab.rounds();
    assert.equal(lab.counters.get(RelayCount.Dialing), 1);
    lab.later += 1001;
    lab.rounds();
    assert.deepEqual(lab.counters.snapshot().failures, { "timed-out": 1 });
    assert.equal(lab.counters.get(RelayCount.Dialing), 0);
    assert.equal(lab.rows.outcome.get("1/1"), "refused");
    assert.equal(lab.answers.length, 0, "silence");
    lab.sockets.close(silence);
  }
  {
    using lab = new RelayLab({
      limits: { acceptTimeoutMs: 1000 },
      clients: "stay-away",
    });
    const listener = lab.listen();
    lab.dial(1, 1, LOOPBACK, lab.sockets.localPort(listener));
    const outside = lab.accept(listener);
    lab.until(
      () => lab.counters.get(RelayCount.Entering) === 1,
      "it stands outside",
    );
    lab.later += 1001;
    lab.rounds();
    assert.equal(lab.counters.get(RelayCount.NotAccepted), 1);
    assert.equal(lab.counters.get(RelayCount.Entering), 0);
    assert.equal(lab.readOnce(outside), -SocketError.ConnectionReset);
  }
  {
    using lab = new RelayLab({ limits: { idleTimeoutMs: 1000 } });
    const { client, outside } = lab.connect();
    lab.later += 900;
    lab.sendAll(client, Uint8Array.of(1));
    assert.equal(lab.readOnce(outside), 1);
    lab.later += 900;
    lab.rounds();
    assert.equal(lab.loopOpen, 1, "what moved counts");
    lab.later += 200;
    lab.rounds();
    assert.equal(lab.loopOpen, 0);
    assert.equal(lab.counters.get(RelayCount.Idle), 1);
    assert.equal(lab.readOnce(client), -SocketError.ConnectionReset);
    assert.equal(lab.readOnce(outside), -SocketError.ConnectionReset);
  }
});

test("what is abandoned ends: while it is dialed, entering, open", () => {
  using lab = new RelayLab({ clients: "stay-away" });
  const listener = lab.listen();
  const port = lab.sockets.localPort(listener);
  lab.dial(1, 1, LOOPBACK, port);
  lab.abandon(1, 1);
  lab.rounds();
  assert.equal(lab.counters.get(RelayCount.Abandoned), 1);
  lab.dial(1, 2, LOOPBACK, port);
  lab.until(() => lab.counters.get(RelayCount.Entering) === 1, "entering");
  lab.abandon(1, 1);
  lab.rounds();
  assert.equal(lab.counters.get(RelayCount.Entering), 1, "another generation");
  lab.abandon(1, 2);
  lab.rounds();
  assert.equal(lab.counters.get(RelayCount.Entering), 0);

  using other = new RelayLab();
  const { client, outside } = other.connect(3, 1);
  other.abandon(3, 1);
  assertReset(other.readOnce(outside));
  assertReset(other.readOnce(client));
  assert.equal(other.loopOpen, 0);
});

linuxTest(
  "what a client sent before it finished arrives, although its row is another's by then",
  () => {
    const gate = new Gate();
    using lab = new RelayLab({ wrap: gate.wrap });
    const { client, outside } = lab.connect(2, 1);
    const all = patternBytes(20_000);
    finishBehind(gate, lab, client, all);
    lab.abandon(2, 1);
    const next = lab.connect(2, 2);
    gate.isOpen = true;
    // Something happens at that socket: the relay finds that it takes bytes again.
    lab.sendAll(outside, Uint8Array.of(1));
    assert.deepEqual(lab.readAll(outside), all);
    lab.sendAll(next.client, Uint8Array.of(9));
    assert.equal(lab.readOnce(next.outside), 1);
  },
);

test("what is ended at once passes nothing on, although its client has finished", () => {
  const gate = new Gate();
  using lab = new RelayLab({ wrap: gate.wrap });
  const { client, outside } = lab.connect(2, 1);
  finishBehind(gate, lab, client, patternBytes(20_000));
  lab.cut(2, 7);
  lab.rounds();
  assert.equal(lab.counters.get(RelayCount.Abandoned), 0, "another generation");
  gate.isOpen = true;
  lab.cut(2, 1);
  lab.rounds();
  assert.equal(lab.counters.get(RelayCount.Abandoned), 1);
  assert.equal(lab.readOnce(outside), -SocketError.ConnectionReset);
  for (const row of [-5, 1 << 20, 3]) lab.cut(row, 0);
  lab.rounds();
  assert.equal(lab.loopOpen, 0);
});

test("a new dial for a row ends what the row had before", () => {
  using lab = new RelayLab();
  const first = lab.connect(2, 1);
  lab.connect(2, 2);
  assert.equal(lab.readOnce(first.outside), -SocketError.ConnectionReset);
  assert.equal(lab.loopOpen, 1);
});

test("limits: so many in all, so many dialing; the client hears nothing and may try again", () => {
  using lab = new RelayLab({
    limits: { connections: 2, dialing: 1 },
    clients: "stay-away",
  });
  const listener = lab.listen();
  const port = lab.sockets.localPort(listener);
  for (let row = 0; row < 4; row++) {
    lab.dial(row, 1, LOOPBACK, port);
    lab.rounds();
  }
  assert.equal(lab.counters.get(RelayCount.Entering), 2);
  assert.equal(lab.counters.get(RelayCount.Limited), 2);
  assert.equal(lab.answers.length, 0);
  assert.equal(lab.rows.outcome.get("3/1"), "refused");
});

test("no descriptor left: accepting pauses, is told now and then, and goes on", () => {
  let exhausted = false;
  using lab = new RelayLab({
    wrap: (sockets) =>
      wrapSockets(sockets, {
        accept: (listener) =>
          exhausted ? -SocketError.TooManyFiles : sockets.accept(listener),
      }),
  });
  exhausted = true;
  const listener = lab.listen();
  lab.dial(0, 1, LOOPBACK, lab.sockets.localPort(listener));
  lab.until(() => lab.lines.length > 0, "it is told");
  lab.rounds(50);
  const { counts } = lab.counters.snapshot();
  assert.equal(counts.OutOfDescriptors, 1, "paused");
  lab.later += 300;
  lab.rounds(50);
  assert.equal(lab.lines.length, 1);
  assert.match(lab.lines[0], /Too many open files/);
  assert.equal(lab.counters.get(RelayCount.OutOfDescriptors), 2);
  assert.equal(counts.Open, 0);
  exhausted = false;
  lab.later += 300;
  lab.until(() => lab.loopOpen === 1, "the client comes in");
});

test("whom the relay lets in, it has a descriptor for", () => {
  const DESCRIPTORS = 11;
  const DIALS = 12;
  let free = DESCRIPTORS;
  const counted = (open: () => number) => {
    if (free === 0) return -SocketError.TooManyFiles;
    const descriptor = open();
    if (descriptor >= 0) free--;
    return descriptor;
  };
  using lab = new RelayLab({
    wrap: (sockets) =>
      wrapSockets(sockets, {
        accept: (listener) => counted(() => sockets.accept(listener)),
        connect: (words, port) => counted(() => sockets.connect(words, port)),
        spare: () => counted(() => sockets.spare()),
        close: (descriptor) => (free++, sockets.close(descriptor)),
        reset: (descriptor) => (free++, sockets.reset(descriptor)),
      }),
  });
  const listener = lab.listen();
  const port = lab.sockets.localPort(listener);
  for (let row = 0; row < DIALS; row++) lab.dial(row, 1, LOOPBACK, port);
  const decided = () => {
    const { counts, failures } = lab.counters.snapshot();
    return counts.Open + (failures["no-descriptor"] ?? 0) === DIALS;
  };
  lab.until(decided, "all are decided");
  const { counts } = lab.counters.snapshot();
  assert.equal(counts.Entering, 0);
  assert.equal(counts.Open, lab.clients.size, "nobody came in vain");
  assert.ok(counts.Open > 0 && counts.Open <= DESCRIPTORS / 2);
  assert.equal(free, DESCRIPTORS - counts.Open * 2);
  for (const client of lab.clients.values()) lab.end(client, "reset");
  lab.until(() => lab.loopOpen === 0, "all are over");
  assert.equal(free, DESCRIPTORS);
});

test("what fails for the system's or the proxy's reasons is told now and then", () => {
  let kind: DialFailureKind = "proxy-auth";
  using lab = new RelayLab({
    dialer: () => ({
      name: "fails",
      dial: () => ({
        descriptor: -1,
        wants: "read",
        failure: { kind, text: `so it is: ${kind}` },
        advance: () => "failed",
        take: () => -1,
        [Symbol.dispose]: () => {},
      }),
    }),
  });
  const dial = (row: number) => {
    lab.dial(row, 1, LOOPBACK, 1);
    lab.rounds();
  };
  dial(0);
  dial(1);
  dial(2);
  kind = "refused";
  dial(3);
  kind = "system";
  dial(4);
  assert.deepEqual(lab.lines, [
    "a TCP connection failed: so it is: proxy-auth",
    "a TCP connection failed: so it is: system",
  ]);
  lab.later += 60_000;
  kind = "proxy-auth";
  dial(5);
  assert.equal(
    lab.lines[2],
    "a TCP connection failed: so it is: proxy-auth (and 2 before)",
  );
  assert.deepEqual(lab.counters.snapshot().failures, {
    "proxy-auth": 4,
    refused: 1,
    system: 1,
  });
  assert.equal(lab.answers.length, 5, "silence where the system failed");
});

test("hostile messages change nothing", () => {
  using lab = new RelayLab();
  lab.dial(-1, 0, LOOPBACK, 1);
  lab.dial(1 << 20, 0, LOOPBACK, 1);
  lab.abandon(-5, 0);
  lab.abandon(1 << 20, 0);
  lab.rounds();
  assert.equal(lab.counters.get(RelayCount.Dialing), 0);
});

test("ending leaves nothing: no descriptor, no count, and both sides know", () => {
  let counted: CountedSockets | undefined;
  {
    using lab = new RelayLab({
      wrap: (sockets) => (counted = countSockets(sockets)).sockets,
    });
    const { client, outside } = lab.connect(0);
    const listener = lab.listen();
    lab.dial(1, 1, LOOPBACK, lab.sockets.localPort(listener));
    lab.rounds();
    lab.loop[Symbol.dispose]();
    const { counts } = lab.counters.snapshot();
    assert.deepEqual(
      [counts.Dialing, counts.Entering, counts.Open],
      [0, 0, 0],
    );
    const buffer = new Uint8Array(1);
    const reset = -SocketError.ConnectionReset;
    assert.equal(lab.sockets.receive(client, buffer, 1), reset);
    assert.equal(lab.sockets.receive(outside, buffer, 1), reset);
  }
  assert.equal(counted?.count, 0);
});

/** Wine may take the error away when it looks for it: then there is an end. */
function assertReset(got: number): void {
  const isLost = got === 0 && Deno.build.os === "windows";
  if (!isLost) assert.equal(got, -SocketError.ConnectionReset);
}

/** Stands before what the relay sends, so that nothing passes until it is open. */
class Gate {
  isOpen = false;
  /** The connection that the relay accepted last. */
  accepted = -1;

  readonly wrap = (sockets: StreamSockets): StreamSockets =>
    wrapSockets(sockets, {
      accept: (listener) => {
        const descriptor = sockets.accept(listener);
        if (descriptor >= 0) this.accepted = descriptor;
        return descriptor;
      },
      send: (descriptor, bytes, length) =>
        this.isOpen
          ? sockets.send(descriptor, bytes, length)
          : -SocketError.WouldBlock,
    });
}

/** Sends all of it as a client that finishes then; it has come to the relay's system and waits there. */
function finishBehind(
  gate: Gate,
  lab: RelayLab,
  client: number,
  all: Uint8Array,
): void {
  lab.sendAll(client, all);
  lab.sockets.shutdownWrite(client);
  const hasFinish = () => lab.sockets.peerFinished(gate.accepted);
  if (Deno.build.os !== "windows") {
    return lab.until(hasFinish, "the relay's system has the finish");
  }
  // Wine does not tell of an end that bytes stand before: there time has to do.
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (let n = 0; n < 200 && !hasFinish(); n++) {
    lab.rounds(1);
    Atomics.wait(cell, 0, 0, 1);
  }
}

/** The sockets with some calls in the place of theirs. */
function wrapSockets(
  sockets: StreamSockets,
  calls: Partial<StreamSockets>,
): StreamSockets {
  const wrapped = Object.create(sockets);
  const prototype = Object.getPrototypeOf(sockets);
  for (const name of Object.getOwnPropertyNames(prototype)) {
    const call = Object.getOwnPropertyDescriptor(prototype, name)?.value;
    if (typeof call === "function") wrapped[name] = call.bind(sockets);
  }
  return Object.assign(wrapped, calls);
}
