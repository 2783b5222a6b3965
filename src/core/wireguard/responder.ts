/**
 * The responder's side: initiations and the responses to them, and who is let
 * in at all while the device is under load (WireGuard paper, sections 5.3 and
 * 5.4).
 */
import { readU32le } from "../wire/bytes.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { MessageKind } from "./classify.ts";
import { checkMac1 } from "./cookie.ts";
import type { Arrival, DeviceContext } from "./device_context.ts";
import { RESPONSE_MAC1_AT, SENDER_AT } from "./messages.ts";
import {
  createResponse,
  erase,
  readInitiation,
  readTimestamp,
} from "./noise.ts";
import { keyText, type Peer } from "./peer.ts";
import { adoptAnswered } from "./peer_sessions.ts";
import { SessionState } from "./session_table.ts";
import { isLater } from "./tai64n.ts";
import { TimerKind } from "./timers.ts";

/**
 * Checks the MACs of an initiation or a response, without its prefix. Under
 * load a sender without a cookie is given one instead.
 * @returns None where the message is to be taken.
 */
export function admit(
  device: DeviceContext,
  message: Uint8Array,
  mac1At: number,
  arrival: Arrival,
): DropReason {
  const { remote, port, now } = arrival;
  if (!checkMac1(device.crypto, device.ownMacKeys, message, mac1At)) {
    device.counters.wrongMac++;
    return DropReason.AuthenticationFailed;
  }
  if (!device.load.note(now)) return DropReason.None;
  if (device.cookies.checkMac2(message, { mac1At, remote, port, now })) {
    if (device.limiter.allow(remote, now)) return DropReason.None;
    device.counters.rateLimited++;
    return DropReason.ControlQueueFull;
  }
  const reply = device.cookies.createReply(device.ownMacKeys, message, {
    type: device.drawType(MessageKind.Cookie),
    receiver: readU32le(message, SENDER_AT),
    mac1At,
    remote,
    port,
    now,
  });
  const bytes = device.withPrefix(MessageKind.Cookie, reply);
  device.counters.cookieRepliesSent++;
  device.emit({
    kind: "datagram",
    peer: -1,
    remote: Int32Array.from(remote),
    port,
    bytes,
  });
  return DropReason.ControlQueueFull;
}

/** Takes an initiation that was admitted, without its prefix, and answers it. */
export function takeInitiation(
  device: DeviceContext,
  message: Uint8Array,
  arrival: Arrival,
): DropReason {
  const { crypto, constants } = device;
  const read = readInitiation(crypto, device.keys, message);
  if (read === undefined) return DropReason.AuthenticationFailed;
  const peer = device.byKey.get(keyText(read.remoteStatic));
  const staticShared = peer?.staticShared(crypto, device.keys);
  if (peer === undefined || staticShared === undefined) {
    device.counters.unknownPeer++;
    return DropReason.AuthenticationFailed;
  }
  const proven = readTimestamp(crypto, read, staticShared, message);
  if (proven === undefined) return DropReason.AuthenticationFailed;
  if (
    !isLater(proven.timestamp, 0, peer.receivedTimestamp, 0) ||
    arrival.now - peer.initiationReceivedAt < constants.floodMs
  ) {
    device.counters.replayed++;
    return DropReason.Replayed;
  }
  peer.receivedTimestamp.set(proven.timestamp);
  peer.initiationReceivedAt = arrival.now;
  device.counters.initiationsAccepted++;
  device.noteHandshakeReceived(peer, arrival);
  return answer(device, peer, proven.state, arrival.now);
}

function answer(
  device: DeviceContext,
  peer: Peer,
  state: Parameters<typeof createResponse>[1],
  now: number,
): DropReason {
  const { crypto, sessions } = device;
  const slot = sessions.reserve(peer.index, device.random32());
  if (slot < 0) {
    device.counters.sessionsFull++;
    return DropReason.NoSession;
  }
  const ephemeralPrivate = new Uint8Array(32);
  device.random(ephemeralPrivate);
  const response = createResponse(crypto, state, {
    type: device.drawType(MessageKind.Response),
    senderIndex: sessions.receiverIndex[slot],
    presharedKey: peer.presharedKey,
    ephemeralPrivate,
  });
  if (response === undefined) {
    sessions.release(slot);
    return DropReason.AuthenticationFailed;
  }
  const { message, keys } = response;
  sessions.establish(slot, SessionState.Unconfirmed, {
    ...keys,
    remoteIndex: state.remoteIndex,
    initiator: false,
    now,
  });
  erase(keys.sendKey, keys.receiveKey);
  adoptAnswered(device, peer, slot);
  peer.cookies.writeMacs(crypto, peer.macKeys, message, {
    mac1At: RESPONSE_MAC1_AT,
    now,
    lifetimeMs: device.constants.cookieMs,
  });
  device.noteHandshakeSent(peer, now);
  device.timers.set(
    peer.index,
    TimerKind.Erase,
    now + device.constants.eraseMs,
  );
  device.sendToPeer(peer, device.withPrefix(MessageKind.Response, message));
  device.counters.responsesSent++;
  return DropReason.None;
}
