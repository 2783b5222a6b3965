/**
 * What traffic leads to (WireGuard paper, sections 6.2 to 6.5): keepalives,
 * handshakes because no answer comes or the session is old, and the packets
 * that waited for a session.
 *
 * The workers tell of the first packet only (see PeerTable); from then on the
 * times in the table say, when a deadline comes, what happened meanwhile.
 */
import type { DeviceContext } from "./device_context.ts";
import { startHandshake } from "./initiator.ts";
import type { Peer } from "./peer.ts";
import {
  hasUsableSession,
  isRekeyDue,
  isRekeyDueOnReceive,
} from "./peer_sessions.ts";
import { PeerEvent } from "./peer_table.ts";
import { TimerKind } from "./timers.ts";

/** Has a packet sealed under the current session, which must be usable. */
export function sealPacket(
  device: DeviceContext,
  peer: Peer,
  packet: Uint8Array,
  now: number,
): void {
  if (device.peers.noteDataSent(peer.index, now)) {
    noteDataSent(device, peer, now);
  }
  device.armPersistentKeepalive(peer, now);
  device.emit({ kind: "seal", peer: peer.index, packet });
}

/** Has all waiting packets sealed. @returns false where there were none. */
export function flushStaged(
  device: DeviceContext,
  peer: Peer,
  now: number,
): boolean {
  const packets = device.staging.take(peer.index);
  for (const packet of packets) sealPacket(device, peer, packet, now);
  return packets.length > 0;
}

/** Has a keepalive sent; starts a handshake where there is no session for it. */
export function sendKeepalive(
  device: DeviceContext,
  peer: Peer,
  now: number,
): void {
  if (!hasUsableSession(device, peer, now)) {
    startHandshake(device, peer, now);
    return;
  }
  device.peers.noteKeepaliveSent(peer.index, now);
  device.armPersistentKeepalive(peer, now);
  device.emit({ kind: "seal", peer: peer.index, packet: undefined });
  if (isRekeyDue(device, peer, now)) startHandshake(device, peer, now);
}

/** Data went out: sees to its being answered, and to the session's age. */
export function noteDataSent(
  device: DeviceContext,
  peer: Peer,
  now: number,
): void {
  const { peers, timers, constants } = device;
  if (isRekeyDue(device, peer, now)) startHandshake(device, peer, now);
  // Where a handshake runs its end will clear the flag, so that the next packet
  // brings us here again.
  if (timers.isSet(peer.index, TimerKind.Retry)) return;
  if (timers.isSet(peer.index, TimerKind.Unanswered)) return;
  const since = peers.unansweredSince[peer.index];
  timers.set(peer.index, TimerKind.Unanswered, since + constants.unansweredMs);
}

/** The time for an answer to data is over: was there one? */
export function reviewUnanswered(
  device: DeviceContext,
  peer: Peer,
  now: number,
): void {
  const { peers, timers, constants } = device;
  const { index } = peer;
  // First let the workers tell again, then look: so no packet falls between.
  peers.withdrawPeerEvent(index, PeerEvent.DataSent);
  const since = peers.unansweredSince[index];
  if (since <= peers.lastReceivedAt[index]) return;
  peers.notePeerEvent(index, PeerEvent.DataSent);
  if (since + constants.unansweredMs <= now) {
    startHandshake(device, peer, now);
  } else {
    timers.set(index, TimerKind.Unanswered, since + constants.unansweredMs);
  }
}

/** Data or a keepalive came in: sees to its being answered, and to the session's age. */
export function noteReceived(
  device: DeviceContext,
  peer: Peer,
  events: PeerEvent,
  now: number,
): void {
  const { peers, timers, constants } = device;
  const { index } = peer;
  if (
    (events & PeerEvent.DataReceived) !== 0 &&
    !timers.isSet(index, TimerKind.Keepalive)
  ) {
    timers.set(
      index,
      TimerKind.Keepalive,
      peers.owedSince[index] + constants.keepaliveMs,
    );
  }
  if (isRekeyDueOnReceive(device, peer, now)) startHandshake(device, peer, now);
}

/** The time to answer data is over: was anything sent? */
export function reviewOwed(
  device: DeviceContext,
  peer: Peer,
  now: number,
): void {
  const { peers, timers, constants } = device;
  const { index } = peer;
  peers.withdrawPeerEvent(index, PeerEvent.DataReceived);
  const since = peers.owedSince[index];
  if (since <= peers.lastSentAt[index]) return;
  if (since + constants.keepaliveMs > now) {
    peers.notePeerEvent(index, PeerEvent.DataReceived);
    timers.set(index, TimerKind.Keepalive, since + constants.keepaliveMs);
  } else if (hasUsableSession(device, peer, now)) {
    sendKeepalive(device, peer, now);
  }
}

/** Nothing may have gone either way for the time of a persistent keepalive. */
export function reviewSilence(
  device: DeviceContext,
  peer: Peer,
  now: number,
): void {
  const { peers, timers } = device;
  const { index, persistentKeepaliveMs: interval } = peer;
  const last = Math.max(peers.lastSentAt[index], peers.lastReceivedAt[index]);
  if (last > 0 && last + interval > now) {
    timers.set(index, TimerKind.PersistentKeepalive, last + interval);
    return;
  }
  timers.set(index, TimerKind.PersistentKeepalive, now + interval);
  sendKeepalive(device, peer, now);
}
