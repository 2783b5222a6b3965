/**
 * The initiator's side: starting, repeating and giving up handshakes (WireGuard
 * paper, sections 5.4.2 and 6.4).
 */
import { fillPacketTemplate, junkPackets } from "./amnezia_packets.ts";
import { MessageKind } from "./classify.ts";
import type { DeviceContext } from "./device_context.ts";
import { INITIATION_MAC1_AT } from "./messages.ts";
import { createInitiation } from "./noise.ts";
import type { Peer } from "./peer.ts";
import { PeerEvent } from "./peer_table.ts";
import { releasePending } from "./peer_sessions.ts";
import {
  nextTicks,
  ticksOf,
  TIMESTAMP_LENGTH,
  writeTimestamp,
} from "./tai64n.ts";
import { TimerKind } from "./timers.ts";

/** Flags that mean nothing any more once a handshake has ended either way. */
export const HANDSHAKE_EVENTS = PeerEvent.NeedSession | PeerEvent.DataSent |
  PeerEvent.DataReceived |
  PeerEvent.KeepaliveReceived;

/**
 * Starts a handshake, unless one runs. Within 5 s of the last handshake message
 * it waits for the rest of them.
 */
export function startHandshake(
  device: DeviceContext,
  peer: Peer,
  now: number,
): void {
  if (device.timers.isSet(peer.index, TimerKind.Retry)) return;
  peer.attemptStartedAt = now;
  const waitMs = peer.handshakeSentAt + device.constants.retryMs - now;
  if (waitMs > 0) armRetry(device, peer, now + waitMs);
  else sendInitiation(device, peer, now);
}

/** The time for an answer is over: sends again or gives up. */
export function retryHandshake(
  device: DeviceContext,
  peer: Peer,
  now: number,
): void {
  if (now - peer.attemptStartedAt < device.constants.attemptMs) {
    sendInitiation(device, peer, now);
    return;
  }
  releasePending(device, peer);
  device.staging.drop(peer.index);
  device.timers.clear(peer.index, TimerKind.Keepalive);
  device.timers.clear(peer.index, TimerKind.Unanswered);
  device.peers.withdrawPeerEvent(peer.index, HANDSHAKE_EVENTS);
  device.emit({ kind: "handshake", peer: peer.index, result: "abandoned" });
}

function sendInitiation(device: DeviceContext, peer: Peer, now: number): void {
  armRetry(device, peer, now + device.constants.retryMs);
  releasePending(device, peer);
  const { crypto, sessions } = device;
  if (device.peers.readEndpoint(peer.index, new Int32Array(4), 0) === 0) return;
  device.noteHandshakeSent(peer, now);
  const staticShared = peer.staticShared(crypto, device.keys);
  if (staticShared === undefined) return;
  const slot = sessions.reserve(peer.index, device.random32());
  if (slot < 0) {
    device.counters.sessionsFull++;
    return;
  }
  const ephemeralPrivate = new Uint8Array(32);
  device.random(ephemeralPrivate);
  const initiation = createInitiation(crypto, {
    type: device.drawType(MessageKind.Initiation),
    senderIndex: sessions.receiverIndex[slot],
    local: device.keys,
    remoteStatic: peer.publicKey,
    staticShared,
    ephemeralPrivate,
    timestamp: drawTimestamp(device, peer),
  });
  if (initiation === undefined) {
    sessions.release(slot);
    return;
  }
  peer.pending = { slot, state: initiation.state };
  peer.cookies.writeMacs(crypto, peer.macKeys, initiation.message, {
    mac1At: INITIATION_MAC1_AT,
    now,
    lifetimeMs: device.constants.cookieMs,
  });
  sendDisguise(device, peer);
  device.sendToPeer(
    peer,
    device.withPrefix(MessageKind.Initiation, initiation.message),
  );
  device.counters.initiationsSent++;
}

/** What AmneziaWG sends before each initiation. */
function sendDisguise(device: DeviceContext, peer: Peer): void {
  const { amnezia, random } = device;
  const wallMs = device.templates.length === 0 ? 0 : device.wallTime();
  for (const template of device.templates) {
    const counter = device.templatesSent++;
    device.sendToPeer(
      peer,
      fillPacketTemplate(template, { random, wallMs, counter }),
    );
  }
  const junk = { count: amnezia.Jc, least: amnezia.Jmin, most: amnezia.Jmax };
  for (const packet of junkPackets(random, junk)) {
    device.sendToPeer(peer, packet);
  }
}

/** The wall time, or the next after the last one sent where the clock has stepped back. */
function drawTimestamp(device: DeviceContext, peer: Peer): Uint8Array {
  peer.sentTicks = Math.max(
    ticksOf(device.wallTime()),
    nextTicks(peer.sentTicks),
  );
  const timestamp = new Uint8Array(TIMESTAMP_LENGTH);
  writeTimestamp(timestamp, 0, peer.sentTicks);
  return timestamp;
}

function armRetry(device: DeviceContext, peer: Peer, at: number): void {
  const jitterMs = device.random32() / 2 ** 32 * device.constants.jitterMs;
  device.timers.set(peer.index, TimerKind.Retry, at + jitterMs);
}
