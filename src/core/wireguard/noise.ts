/**
 * The handshake: Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s as WireGuard uses it
 * (WireGuard paper, sections 5.4.2 to 5.4.5), both roles, message by message.
 *
 *     initiator                                responder
 *       e, es, s, ss, {timestamp}   ------>
 *                                   <------      e, ee, se, psk, {}
 *
 * Messages are whole arrays, without prefix, from index 0. The functions fill
 * everything but the MACs. What they return is secret and lives until it is
 * handed to {@linkcode erase}.
 */
import { readU32le, writeU32le } from "../wire/bytes.ts";
import {
  INITIATION_EPHEMERAL_AT,
  INITIATION_LENGTH,
  INITIATION_MAC1_AT,
  INITIATION_STATIC_AT,
  INITIATION_TIMESTAMP_AT,
  RESPONSE_EMPTY_AT,
  RESPONSE_EPHEMERAL_AT,
  RESPONSE_LENGTH,
  RESPONSE_MAC1_AT,
  RESPONSE_RECEIVER_AT,
  SENDER_AT,
} from "./messages.ts";
import type { NoisePrimitives } from "./primitives.ts";

const encoder = new TextEncoder();
const CONSTRUCTION = encoder.encode("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s");
const IDENTIFIER = encoder.encode("WireGuard v1 zx2c4 Jason@zx2c4.com");
const EMPTY = new Uint8Array(0);

/** A static key pair. */
export interface KeyPair {
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** The keys of a new session, named for the side that holds them. */
export interface TransportKeys {
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
}

/** What an initiator keeps until the response comes. */
export interface InitiatorState {
  readonly chain: Uint8Array;
  readonly hash: Uint8Array;
  readonly ephemeralPrivate: Uint8Array;
}

/** What a responder knows of an initiation. */
export interface ResponderState {
  readonly chain: Uint8Array;
  readonly hash: Uint8Array;
  readonly remoteStatic: Uint8Array;
  readonly remoteEphemeral: Uint8Array;
  readonly remoteIndex: number;
}

/** Overwrites secrets with zeros. */
export function erase(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0);
}

/** KDF1 of the paper: the first 32 bytes of HKDF (RFC 5869). */
export function kdf1(
  crypto: NoisePrimitives,
  chain: Uint8Array,
  input: Uint8Array,
): Uint8Array {
  const root = crypto.hmac(chain, input);
  const first = crypto.hmac(root, Uint8Array.of(1));
  erase(root);
  return first;
}

/** KDF2: two keys. */
export function kdf2(
  crypto: NoisePrimitives,
  chain: Uint8Array,
  input: Uint8Array,
): [Uint8Array, Uint8Array] {
  const [first, second, third] = kdf3(crypto, chain, input);
  erase(third);
  return [first, second];
}

/** KDF3: three keys. */
export function kdf3(
  crypto: NoisePrimitives,
  chain: Uint8Array,
  input: Uint8Array,
): [Uint8Array, Uint8Array, Uint8Array] {
  const root = crypto.hmac(chain, input);
  const first = crypto.hmac(root, Uint8Array.of(1));
  const second = crypto.hmac(root, withNumber(first, 2));
  const third = crypto.hmac(root, withNumber(second, 3));
  erase(root);
  return [first, second, third];
}

/** The chaining key and transcript hash that every handshake with a responder starts from. */
export function initialState(
  crypto: NoisePrimitives,
  responderPublic: Uint8Array,
): { chain: Uint8Array; hash: Uint8Array } {
  const chain = crypto.hash(CONSTRUCTION, EMPTY);
  const hash = crypto.hash(crypto.hash(chain, IDENTIFIER), responderPublic);
  return { chain, hash };
}

/** What an initiation is made of. */
export interface InitiationInput {
  readonly type: number;
  readonly senderIndex: number;
  readonly local: KeyPair;
  readonly remoteStatic: Uint8Array;
  /** DH of both static keys. */
  readonly staticShared: Uint8Array;
  /** Fresh random bytes; kept in the state. */
  readonly ephemeralPrivate: Uint8Array;
  /** 12 bytes of TAI64N. */
  readonly timestamp: Uint8Array;
}

/**
 * Makes an initiation.
 * @returns undefined where the remote static key is no usable point.
 */
export function createInitiation(
  crypto: NoisePrimitives,
  input: InitiationInput,
): { message: Uint8Array; state: InitiatorState } | undefined {
  const message = new Uint8Array(INITIATION_LENGTH);
  let { chain, hash } = initialState(crypto, input.remoteStatic);
  const ephemeral = crypto.publicKey(input.ephemeralPrivate);
  writeU32le(message, 0, input.type);
  writeU32le(message, SENDER_AT, input.senderIndex);
  message.set(ephemeral, INITIATION_EPHEMERAL_AT);
  chain = kdf1(crypto, chain, ephemeral);
  hash = crypto.hash(hash, ephemeral);

  const shared = crypto.x25519(input.ephemeralPrivate, input.remoteStatic);
  if (shared === undefined) return undefined;
  let key: Uint8Array;
  [chain, key] = kdf2(crypto, chain, shared);
  const sealedStatic = crypto.seal(key, 0, input.local.publicKey, hash);
  message.set(sealedStatic, INITIATION_STATIC_AT);
  hash = crypto.hash(hash, sealedStatic);
  erase(shared, key);

  [chain, key] = kdf2(crypto, chain, input.staticShared);
  const sealedTimestamp = crypto.seal(key, 0, input.timestamp, hash);
  message.set(sealedTimestamp, INITIATION_TIMESTAMP_AT);
  hash = crypto.hash(hash, sealedTimestamp);
  erase(key);
  return {
    message,
    state: { chain, hash, ephemeralPrivate: input.ephemeralPrivate },
  };
}

/**
 * Reads an initiation up to the initiator's identity.
 * @returns undefined where it is not authentic.
 */
export function readInitiation(
  crypto: NoisePrimitives,
  local: KeyPair,
  message: Uint8Array,
): ResponderState | undefined {
  let { chain, hash } = initialState(crypto, local.publicKey);
  const remoteEphemeral = message.slice(
    INITIATION_EPHEMERAL_AT,
    INITIATION_STATIC_AT,
  );
  chain = kdf1(crypto, chain, remoteEphemeral);
  hash = crypto.hash(hash, remoteEphemeral);
  const shared = crypto.x25519(local.privateKey, remoteEphemeral);
  if (shared === undefined) return undefined;
  let key: Uint8Array;
  [chain, key] = kdf2(crypto, chain, shared);
  const sealed = message.subarray(
    INITIATION_STATIC_AT,
    INITIATION_TIMESTAMP_AT,
  );
  const remoteStatic = crypto.open(key, 0, sealed, hash);
  erase(shared, key);
  if (remoteStatic === undefined) return undefined;
  hash = crypto.hash(hash, sealed);
  const remoteIndex = readU32le(message, SENDER_AT);
  return { chain, hash, remoteStatic, remoteEphemeral, remoteIndex };
}

/**
 * Reads the timestamp, which proves the initiator's identity.
 * @returns the timestamp and the state to answer from; undefined where it is
 * not authentic.
 */
export function readTimestamp(
  crypto: NoisePrimitives,
  state: ResponderState,
  staticShared: Uint8Array,
  message: Uint8Array,
): { timestamp: Uint8Array; state: ResponderState } | undefined {
  const [chain, key] = kdf2(crypto, state.chain, staticShared);
  const sealed = message.subarray(INITIATION_TIMESTAMP_AT, INITIATION_MAC1_AT);
  const timestamp = crypto.open(key, 0, sealed, state.hash);
  erase(key, state.chain);
  if (timestamp === undefined) return undefined;
  return {
    timestamp,
    state: { ...state, chain, hash: crypto.hash(state.hash, sealed) },
  };
}

/** What a response is made of. */
export interface ResponseInput {
  readonly type: number;
  readonly senderIndex: number;
  readonly presharedKey: Uint8Array;
  /** Fresh random bytes; erased. */
  readonly ephemeralPrivate: Uint8Array;
}

/**
 * Answers an initiation; erases the state.
 * @returns the message and the responder's keys; undefined where one of the
 * initiator's keys is no usable point.
 */
export function createResponse(
  crypto: NoisePrimitives,
  state: ResponderState,
  input: ResponseInput,
): { message: Uint8Array; keys: TransportKeys } | undefined {
  const message = new Uint8Array(RESPONSE_LENGTH);
  const ephemeral = crypto.publicKey(input.ephemeralPrivate);
  writeU32le(message, 0, input.type);
  writeU32le(message, SENDER_AT, input.senderIndex);
  writeU32le(message, RESPONSE_RECEIVER_AT, state.remoteIndex);
  message.set(ephemeral, RESPONSE_EPHEMERAL_AT);

  const ephemeralShared = crypto.x25519(
    input.ephemeralPrivate,
    state.remoteEphemeral,
  );
  const staticShared = crypto.x25519(
    input.ephemeralPrivate,
    state.remoteStatic,
  );
  if (ephemeralShared === undefined || staticShared === undefined) {
    return undefined;
  }
  const hash = crypto.hash(state.hash, ephemeral);
  const end = finish(crypto, state.chain, {
    hash,
    ephemeral,
    ephemeralShared,
    staticShared,
    presharedKey: input.presharedKey,
  });
  message.set(crypto.seal(end.key, 0, EMPTY, end.hash), RESPONSE_EMPTY_AT);
  const [receiveKey, sendKey] = kdf2(crypto, end.chain, EMPTY);
  erase(end.key, end.chain, state.chain, input.ephemeralPrivate);
  return { message, keys: { sendKey, receiveKey } };
}

/**
 * Reads a response. The state stays as it is, so that a forged response does
 * no harm.
 * @returns the initiator's keys and the responder's index; undefined where it
 * is not authentic.
 */
export function readResponse(
  crypto: NoisePrimitives,
  state: InitiatorState,
  local: KeyPair,
  presharedKey: Uint8Array,
  message: Uint8Array,
): { keys: TransportKeys; remoteIndex: number } | undefined {
  const ephemeral = message.slice(RESPONSE_EPHEMERAL_AT, RESPONSE_EMPTY_AT);
  const ephemeralShared = crypto.x25519(state.ephemeralPrivate, ephemeral);
  const staticShared = crypto.x25519(local.privateKey, ephemeral);
  if (ephemeralShared === undefined || staticShared === undefined) {
    return undefined;
  }
  const hash = crypto.hash(state.hash, ephemeral);
  const end = finish(crypto, state.chain, {
    hash,
    ephemeral,
    ephemeralShared,
    staticShared,
    presharedKey,
  });
  const sealed = message.subarray(RESPONSE_EMPTY_AT, RESPONSE_MAC1_AT);
  const empty = crypto.open(end.key, 0, sealed, end.hash);
  if (empty === undefined) {
    erase(end.key, end.chain);
    return undefined;
  }
  const [sendKey, receiveKey] = kdf2(crypto, end.chain, EMPTY);
  erase(end.key, end.chain);
  return {
    keys: { sendKey, receiveKey },
    remoteIndex: readU32le(message, SENDER_AT),
  };
}

interface FinishInput {
  readonly hash: Uint8Array;
  readonly ephemeral: Uint8Array;
  readonly ephemeralShared: Uint8Array;
  readonly staticShared: Uint8Array;
  readonly presharedKey: Uint8Array;
}

/** The tokens e, ee, se, psk, the same for both sides. Erases the DH results. */
function finish(
  crypto: NoisePrimitives,
  start: Uint8Array,
  input: FinishInput,
): { chain: Uint8Array; hash: Uint8Array; key: Uint8Array } {
  const afterE = kdf1(crypto, start, input.ephemeral);
  const afterEe = kdf1(crypto, afterE, input.ephemeralShared);
  const afterSe = kdf1(crypto, afterEe, input.staticShared);
  const [chain, temporary, key] = kdf3(crypto, afterSe, input.presharedKey);
  const hash = crypto.hash(input.hash, temporary);
  erase(
    afterE,
    afterEe,
    afterSe,
    temporary,
    input.ephemeralShared,
    input.staticShared,
  );
  return { chain, hash, key };
}

function withNumber(bytes: Uint8Array, number: number): Uint8Array {
  const result = new Uint8Array(bytes.length + 1);
  result.set(bytes);
  result[bytes.length] = number;
  return result;
}
