import assert from "node:assert/strict";
import {
  PeerEvent,
  PeerTable,
  TrafficWriter,
} from "../../../src/core/wireguard/peer_table.ts";
import { assertNoAllocation } from "./allocation.ts";

function table(capacity = 4): PeerTable {
  const peers = new PeerTable(
    new SharedArrayBuffer(PeerTable.byteLength(capacity)),
    capacity,
  );
  for (let peer = 0; peer < capacity; peer++) peers.add(peer);
  return peers;
}

Deno.test("a new row is empty", () => {
  const peers = table();
  assert.equal(peers.currentSession(1), -1);
  assert.equal(peers.previousSession(1), -1);
  assert.equal(peers.nextSession(1), -1);
  assert.equal(peers.readEndpoint(1, new Int32Array(4), 0), 0);
  assert.equal(peers.traffic(1).sentBytes, 0);
});

Deno.test("an event rings once until it is cleared", () => {
  const peers = table();
  assert.ok(peers.notePeerEvent(2, PeerEvent.NeedSession));
  assert.ok(!peers.notePeerEvent(2, PeerEvent.NeedSession));
  assert.ok(peers.notePeerEvent(2, PeerEvent.DataSent | PeerEvent.NeedSession));
  assert.equal(peers.events[2], PeerEvent.NeedSession | PeerEvent.DataSent);
  assert.equal(peers.events[1], 0);
  peers.withdrawPeerEvent(2, PeerEvent.NeedSession);
  assert.ok(peers.notePeerEvent(2, PeerEvent.NeedSession));
});

Deno.test("unanswered data is dated by its first packet", () => {
  const peers = table();
  assert.ok(peers.noteDataSent(0, 100));
  assert.ok(!peers.noteDataSent(0, 150));
  assert.equal(peers.unansweredSince[0], 100);
  assert.equal(peers.lastSentAt[0], 150);
  peers.noteKeepaliveReceived(0, 160);
  peers.noteDataSent(0, 170);
  peers.noteDataSent(0, 180);
  assert.equal(peers.unansweredSince[0], 170);
});

Deno.test("an owed keepalive is dated by the first packet received", () => {
  const peers = table();
  assert.ok(peers.noteDataReceived(0, 100));
  assert.ok(!peers.noteDataReceived(0, 150));
  assert.equal(peers.owedSince[0], 100);
  peers.noteKeepaliveSent(0, 160);
  peers.noteDataReceived(0, 170);
  assert.equal(peers.owedSince[0], 170);
  assert.equal(peers.lastReceivedAt[0], 170);
});

Deno.test("an endpoint is read whole, and a change is told", () => {
  const peers = table();
  const words = Int32Array.of(9, 0x20010db8, 0, -1, 7);
  assert.ok(peers.setEndpoint(3, words, 1, 51820));
  assert.ok(!peers.setEndpoint(3, words, 1, 51820));
  const unsigned = Uint32Array.of(0x20010db8, 0, 0xffffffff, 7);
  assert.ok(!peers.setEndpoint(3, unsigned, 0, 51820), "signed or not");
  const version = peers.endpointVersion(3);
  const out = new Int32Array(6);
  assert.equal(peers.readEndpoint(3, out, 2), 51820);
  assert.deepEqual(out, Int32Array.of(0, 0, 0x20010db8, 0, -1, 7));
  assert.ok(peers.setEndpoint(3, words, 1, 51821));
  assert.notEqual(peers.endpointVersion(3), version);
  words[4] = 8;
  assert.ok(peers.setEndpoint(3, words, 1, 51821));
});

Deno.test("traffic is the sum over the threads", () => {
  const peers = table();
  peers.addSent(TrafficWriter.Control, 1, 1, 148);
  peers.addSent(TrafficWriter.OpenPump, 1, 2, 200);
  peers.addSent(TrafficWriter.SealPump, 1, 3, 3000);
  peers.addReceived(TrafficWriter.OpenPump, 1, 5, 5000);
  peers.addReceived(TrafficWriter.OpenPump, 2, 7, 7000);
  assert.deepEqual(peers.traffic(1), {
    sentPackets: 6,
    sentBytes: 3348,
    receivedPackets: 5,
    receivedBytes: 5000,
  });
});

Deno.test("a row that is used anew shows nothing of the old peer", () => {
  const peers = table();
  peers.setSessions(1, 4, 5, 6);
  peers.setEndpoint(1, Int32Array.of(1, 2, 3, 4), 0, 5);
  peers.noteDataSent(1, 10);
  peers.noteDataReceived(1, 11);
  peers.addSent(TrafficWriter.SealPump, 1, 3, 3000);
  peers.remove(1);
  assert.equal(peers.inUse[1], 0);
  peers.add(1);
  assert.equal(peers.currentSession(1), -1);
  assert.equal(peers.previousSession(1), -1);
  assert.equal(peers.nextSession(1), -1);
  assert.equal(peers.readEndpoint(1, new Int32Array(4), 0), 0);
  assert.equal(peers.events[1], 0);
  assert.equal(peers.lastSentAt[1] + peers.lastReceivedAt[1], 0);
  assert.equal(peers.unansweredSince[1] + peers.owedSince[1], 0);
  assert.equal(peers.traffic(1).sentPackets, 0);
});

Deno.test("what workers do for each packet allocates nothing", () => {
  const peers = table();
  const words = Int32Array.of(0, 0, 0xffff, 1);
  const out = new Int32Array(4);
  peers.notePeerEvent(0, 63);
  assertNoAllocation((i) => {
    peers.notePeerEvent(0, PeerEvent.DataSent);
    peers.noteDataSent(0, i);
    peers.noteDataReceived(0, i);
    peers.setEndpoint(0, words, 0, 1 + (i & 1));
    peers.readEndpoint(0, out, 0);
    peers.addSent(TrafficWriter.SealPump, 0, 1, 1420);
    peers.currentSession(0);
  });
});
