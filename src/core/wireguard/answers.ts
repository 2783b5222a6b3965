/**
 * What the answers to our handshake messages lead to: a response, a cookie
 * reply, the first packet under a session that we answered (WireGuard paper,
 * sections 5.4.3, 5.4.5 and 5.4.7).
 */
import { readU32le } from "../wire/bytes.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { flushStaged, sendKeepalive } from "./activity.ts";
import type { Arrival, DeviceContext } from "./device_context.ts";
import { HANDSHAKE_EVENTS } from "./initiator.ts";
import { COOKIE_RECEIVER_AT, RESPONSE_RECEIVER_AT } from "./messages.ts";
import { erase, readResponse } from "./noise.ts";
import type { Peer } from "./peer.ts";
import {
  adoptInitiated,
  promoteConfirmed,
  releasePending,
} from "./peer_sessions.ts";
import { SessionState } from "./session_table.ts";
import { TimerKind } from "./timers.ts";

/** Takes a response, without its prefix. */
export function takeResponse(
  device: DeviceContext,
  message: Uint8Array,
  arrival: Arrival,
): DropReason {
  const { sessions, crypto } = device;
  const slot = sessions.lookupReserved(
    readU32le(message, RESPONSE_RECEIVER_AT),
  );
  const peer = slot < 0 ? undefined : device.byIndex[sessions.peer[slot]];
  if (peer?.pending === undefined || peer.pending.slot !== slot) {
    return DropReason.UnknownSession;
  }
  const response = readResponse(
    crypto,
    peer.pending.state,
    device.keys,
    peer.presharedKey,
    message,
  );
  if (response === undefined) return DropReason.AuthenticationFailed;
  const { keys, remoteIndex } = response;
  peer.clearPending();
  sessions.establish(slot, SessionState.Confirmed, {
    ...keys,
    remoteIndex,
    initiator: true,
    now: arrival.now,
  });
  erase(keys.sendKey, keys.receiveKey);
  device.counters.responsesAccepted++;
  device.noteHandshakeReceived(peer, arrival);
  adoptInitiated(device, peer, slot);
  device.timers.set(
    peer.index,
    TimerKind.Erase,
    arrival.now + device.constants.eraseMs,
  );
  completeHandshake(device, peer, arrival.now);
  // The responder may not send before it has heard from us under the new keys.
  if (!flushStaged(device, peer, arrival.now)) {
    sendKeepalive(device, peer, arrival.now);
  }
  return DropReason.None;
}

/** Takes a cookie reply, without its prefix. */
export function takeCookie(
  device: DeviceContext,
  reply: Uint8Array,
  now: number,
): DropReason {
  const { sessions } = device;
  const index = readU32le(reply, COOKIE_RECEIVER_AT);
  // To an initiation or to a response of ours.
  let slot = sessions.lookupReserved(index);
  if (slot < 0) slot = sessions.lookup(index);
  const peer = slot < 0 ? undefined : device.byIndex[sessions.peer[slot]];
  if (peer === undefined) return DropReason.UnknownSession;
  if (!peer.cookies.readReply(device.crypto, peer.macKeys, reply, now)) {
    return DropReason.AuthenticationFailed;
  }
  device.counters.cookiesAccepted++;
  return DropReason.None;
}

/** Both ends have the same session: ends the row of attempts. */
export function completeHandshake(
  device: DeviceContext,
  peer: Peer,
  now: number,
): void {
  device.timers.clear(peer.index, TimerKind.Retry);
  releasePending(device, peer);
  peer.lastHandshakeWallMs = device.wallTime();
  device.peers.lastHandshakeAt[peer.index] = now;
  device.peers.withdrawPeerEvent(peer.index, HANDSHAKE_EVENTS);
  device.emit({ kind: "handshake", peer: peer.index, result: "established" });
}

/** A worker has opened the first packet under a session that we answered. */
export function takeConfirmation(
  device: DeviceContext,
  peer: Peer,
  now: number,
): void {
  if (!promoteConfirmed(device, peer)) return;
  completeHandshake(device, peer, now);
  flushStaged(device, peer, now);
}
