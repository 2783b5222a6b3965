import assert from "node:assert/strict";
import { DropReason } from "../../src/core/columns/drop_reason.ts";
import { Verdict } from "../../src/core/columns/verdict.ts";
import { parseEndpoint } from "../../src/core/wire/address.ts";
import {
  type MessageFormat,
  plainFormat,
} from "../../src/core/wireguard/classify.ts";
import { TrafficWriter } from "../../src/core/wireguard/peer_table.ts";
import { ControlSender } from "../../src/datapath/control_sender.ts";
import { RandomPool } from "../../src/datapath/random_pool.ts";
import { Sealer, sealHeadroom } from "../../src/datapath/sealer.ts";
import { pattern } from "../core/flow/packets.ts";
import { connect, from, REJECT_AFTER_MS, TestEnd } from "./end.ts";
import { rowBytes } from "./fakes.ts";

const packetOf = (length: number) => Uint8Array.from(pattern(length, length));

/** A's control thread, and B, which is A's peer 3. */
function pair(format: MessageFormat = plainFormat()) {
  const a = new TestEnd(1, { format }), b = new TestEnd(2, { format });
  a.addPeer(3, [], "192.0.2.2:2000");
  b.addPeer(5, []);
  connect([a, 3], [b, 5]);
  const { bytes, aead, socket, spare } = a.seal;
  const { sessions, peers } = a.tables;
  const sealer = new Sealer({
    bytes,
    sessions,
    peers,
    format,
    aead,
    socket,
    random: new RandomPool(),
    writer: TrafficWriter.Control,
    mtu: 1420,
    rejectAfterMs: REJECT_AFTER_MS,
    rows: 0,
  });
  const headroom = sealHeadroom(format);
  const at = spare.start + 3;
  const sender = new ControlSender({ sealer, socket, bytes, at, headroom });
  return { a, b, sender, socket };
}

Deno.test("datagrams leave as they are", () => {
  const { sender, socket } = pair();
  const { words, port } = parseEndpoint("[2001:db8::2]:99")!;
  for (const length of [0, 1, 148, 65_535]) {
    const sent = sender.datagram(
      packetOf(length),
      Int32Array.from(words),
      port,
    );
    assert.ok(sent);
    assert.deepEqual(socket.sent.pop(), {
      bytes: packetOf(length),
      words: Int32Array.from(words),
      port: 99,
    });
  }
  const tooLong = new Uint8Array(65_536);
  assert.equal(sender.datagram(tooLong, Int32Array.from(words), port), false);
  socket.lose = 1;
  assert.equal(
    sender.datagram(packetOf(9), Int32Array.from(words), port),
    false,
  );
  assert.equal(socket.sent.length, 0);
});

for (const prefix of [0, 100]) {
  Deno.test(`packets and keepalives are sealed for their peer, prefix ${prefix}`, () => {
    const format = { ...plainFormat(), prefix: Int32Array.of(0, 0, 0, prefix) };
    const { a, b, sender, socket } = pair(format);
    for (const length of [1, 20, 1420, 9000]) {
      assert.equal(sender.seal(3, packetOf(length), a.now), DropReason.None);
    }
    assert.equal(sender.seal(3, undefined, a.now), DropReason.None);
    const sent = socket.sent.splice(0);
    const batch = b.receive(...from(sent, "192.0.2.1:1000"));
    [1, 20, 1420, 9000].forEach((length, row) => {
      assert.deepEqual(rowBytes(batch, row).slice(0, length), packetOf(length));
    });
    assert.equal(batch.verdict[4], Verdict.Held);
    const traffic = a.tables.peers.traffic(3);
    assert.equal(traffic.sentPackets, 5);
  });
}

Deno.test("what can't be sealed or sent says why", () => {
  const { a, sender, socket } = pair();
  const { peers } = a.tables;
  const packet = packetOf(20);
  socket.lose = 1;
  assert.equal(sender.seal(3, packet, a.now), DropReason.SendFailed);
  const long = new Uint8Array(65_536);
  assert.equal(sender.seal(3, long, a.now), DropReason.TooBig);
  const late = a.now + REJECT_AFTER_MS;
  assert.equal(sender.seal(3, packet, late), DropReason.NoSession);
  peers.setEndpoint(3, new Int32Array(4), 0, 0);
  assert.equal(sender.seal(3, packet, a.now), DropReason.NoEndpoint);
  peers.setSessions(3, -1, -1, -1);
  assert.equal(sender.seal(3, packet, a.now), DropReason.NoSession);
  assert.equal(sender.seal(3, undefined, a.now), DropReason.NoSession);
  assert.equal(socket.sent.length, 0);
});
