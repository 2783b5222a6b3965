/**
 * A peer's three sessions and how they take turns (WireGuard paper, sections
 * 5.4.5 and 6.2).
 *
 *     as initiator:   new -> current -> previous -> gone
 *     as responder:   new -> next; its first packet from the peer makes it
 *                     current, and current previous
 *
 * When both ends initiate at once there are two new sessions. Both can be
 * opened, so nothing is lost; that of the end with the greater public key
 * becomes current on both sides, so that one end is its initiator and renews it.
 *
 * Ages are compared as deadlines, `start + length <= now`, as the timers that
 * bring us here are: else rounding could set a timer that is due for ever.
 */
import type { DeviceContext } from "./device_context.ts";
import type { Peer } from "./peer.ts";
import { PeerEvent } from "./peer_table.ts";
import { SEND_COUNTER_LIMIT, SessionState } from "./session_table.ts";
import { TimerKind } from "./timers.ts";

const NONE = -1;
/** Counters of one session after which the initiator makes a new one. */
const REKEY_AFTER_MESSAGES = SEND_COUNTER_LIMIT / 2;

/** True where the peer has a session to seal with. */
export function hasUsableSession(
  device: DeviceContext,
  peer: Peer,
  now: number,
): boolean {
  const slot = device.peers.currentSession(peer.index);
  return slot !== NONE &&
    device.sessions.createdAt[slot] + device.constants.rejectAfterMs > now &&
    (device.sessions.sendCounter[slot] >>> 0) < SEND_COUNTER_LIMIT;
}

/** True where our side should make a new session because it sends. */
export function isRekeyDue(
  device: DeviceContext,
  peer: Peer,
  now: number,
): boolean {
  const slot = device.peers.currentSession(peer.index);
  if (slot === NONE || device.sessions.initiator[slot] === 0) return false;
  return device.sessions.createdAt[slot] + device.constants.rekeyAfterMs <=
      now ||
    (device.sessions.sendCounter[slot] >>> 0) >= REKEY_AFTER_MESSAGES;
}

/** True where our side should make a new session because it receives. */
export function isRekeyDueOnReceive(
  device: DeviceContext,
  peer: Peer,
  now: number,
): boolean {
  const slot = device.peers.currentSession(peer.index);
  return slot !== NONE && device.sessions.initiator[slot] === 1 &&
    device.sessions.createdAt[slot] + device.constants.rekeyOnReceiveMs <= now;
}

/** A session that our side initiated stands in `slot`. */
export function adoptInitiated(
  device: DeviceContext,
  peer: Peer,
  slot: number,
): void {
  const { peers, sessions } = device;
  const previous = peers.previousSession(peer.index);
  const current = peers.currentSession(peer.index);
  peers.setSessions(peer.index, slot, current, peers.nextSession(peer.index));
  if (previous !== NONE) sessions.release(previous);
  armSessionTimers(device, peer);
}

/** A session that our side answered waits in `slot` for its first packet. */
export function adoptAnswered(
  device: DeviceContext,
  peer: Peer,
  slot: number,
): void {
  const { peers, sessions } = device;
  const next = peers.nextSession(peer.index);
  const current = peers.currentSession(peer.index);
  peers.setSessions(
    peer.index,
    current,
    peers.previousSession(peer.index),
    slot,
  );
  if (next !== NONE) sessions.release(next);
  armSessionTimers(device, peer);
}

/**
 * Lets the next session take its turn, if a packet has confirmed it.
 * @returns false where there is none or it is not confirmed.
 */
export function promoteConfirmed(device: DeviceContext, peer: Peer): boolean {
  const { peers, sessions } = device;
  const next = peers.nextSession(peer.index);
  if (
    next === NONE ||
    Atomics.load(sessions.state, next) !== SessionState.Confirmed
  ) return false;
  const previous = peers.previousSession(peer.index);
  const current = peers.currentSession(peer.index);
  if (prefersCurrent(device, peer, next)) {
    peers.setSessions(peer.index, current, next, NONE);
  } else {
    peers.setSessions(peer.index, next, current, NONE);
  }
  if (previous !== NONE) sessions.release(previous);
  armSessionTimers(device, peer);
  return true;
}

/** Releases the sessions that have reached their end. */
export function expireSessions(
  device: DeviceContext,
  peer: Peer,
  now: number,
): void {
  const { peers, sessions, constants } = device;
  const { index } = peer;
  const keep = (slot: number) => {
    return slot !== NONE &&
      sessions.createdAt[slot] + constants.rejectAfterMs > now;
  };
  const current = peers.currentSession(index);
  const previous = peers.previousSession(index);
  const next = peers.nextSession(index);
  peers.setSessions(
    index,
    keep(current) ? current : NONE,
    keep(previous) ? previous : NONE,
    keep(next) ? next : NONE,
  );
  for (const slot of [current, previous, next]) {
    if (slot !== NONE && !keep(slot)) sessions.release(slot);
  }
  armSessionTimers(device, peer);
}

/** Releases all of a peer's sessions and erases its pending handshake. */
export function dropSessions(device: DeviceContext, peer: Peer): void {
  const { peers, sessions, timers } = device;
  const { index } = peer;
  const slots = [
    peers.currentSession(index),
    peers.previousSession(index),
    peers.nextSession(index),
  ];
  peers.setSessions(index, NONE, NONE, NONE);
  for (const slot of slots) if (slot !== NONE) sessions.release(slot);
  releasePending(device, peer);
  timers.clear(index, TimerKind.Expire);
  timers.clear(index, TimerKind.Rekey);
}

/** Gives up the initiation that waits for an answer, if there is one. */
export function releasePending(device: DeviceContext, peer: Peer): void {
  const slot = peer.clearPending();
  if (slot !== NONE) device.sessions.release(slot);
}

/**
 * The current session may have become old enough for a new handshake: lets the
 * workers tell of the next packet again.
 */
export function reviewSessionAge(
  device: DeviceContext,
  peer: Peer,
  now: number,
): void {
  const { peers, sessions, constants, timers } = device;
  const slot = peers.currentSession(peer.index);
  if (slot === NONE || sessions.initiator[slot] === 0) return;
  const created = sessions.createdAt[slot];
  if (created + constants.rekeyAfterMs <= now) {
    peers.withdrawPeerEvent(peer.index, PeerEvent.DataSent);
  }
  if (created + constants.rekeyOnReceiveMs <= now) {
    peers.withdrawPeerEvent(
      peer.index,
      PeerEvent.DataReceived | PeerEvent.KeepaliveReceived,
    );
  } else {
    timers.set(
      peer.index,
      TimerKind.Rekey,
      created + constants.rekeyOnReceiveMs,
    );
  }
}

/**
 * Both ends initiated at once and ours is the session to keep: the peer's
 * initiation came while ours was under way, so that it cannot be the later one.
 */
function prefersCurrent(
  device: DeviceContext,
  peer: Peer,
  next: number,
): boolean {
  const { sessions, keys } = device;
  const current = device.peers.currentSession(peer.index);
  return current !== NONE && sessions.initiator[current] === 1 &&
    sessions.createdAt[next] <= sessions.createdAt[current] &&
    isGreater(keys.publicKey, peer.publicKey);
}

function isGreater(a: Uint8Array, b: Uint8Array): boolean {
  const at = a.findIndex((byte, i) => byte !== b[i]);
  return at >= 0 && a[at] > b[at];
}

function armSessionTimers(device: DeviceContext, peer: Peer): void {
  const { peers, sessions, constants, timers } = device;
  const { index } = peer;
  const current = peers.currentSession(index);
  let oldest = Infinity;
  for (
    const slot of [
      current,
      peers.previousSession(index),
      peers.nextSession(index),
    ]
  ) {
    if (slot !== NONE) oldest = Math.min(oldest, sessions.createdAt[slot]);
  }
  timers.set(index, TimerKind.Expire, oldest + constants.rejectAfterMs);
  if (current !== NONE && sessions.initiator[current] === 1) {
    timers.set(
      index,
      TimerKind.Rekey,
      sessions.createdAt[current] + constants.rekeyAfterMs,
    );
  } else {
    timers.clear(index, TimerKind.Rekey);
  }
}
