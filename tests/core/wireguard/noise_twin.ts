/**
 * Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s written straight from the Noise
 * specification (revision 34, sections 5 and 9), with any prologue and any
 * payload: the slow, obvious twin of src/core/wireguard/noise.ts. Checked
 * against a vector of the cacophony implementation.
 */
import { noblePrimitives as crypto } from "../../../src/core/wireguard/noble_primitives.ts";

const NAME = new TextEncoder().encode("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s");
const EMPTY = new Uint8Array(0);

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function dh(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const shared = crypto.x25519(privateKey, publicKey);
  if (shared === undefined) throw new Error("a point of low order");
  return shared;
}

function hkdf(
  chain: Uint8Array,
  input: Uint8Array,
  outputs: number,
): Uint8Array[] {
  const temporary = crypto.hmac(chain, input);
  const results: Uint8Array[] = [];
  let last: Uint8Array = EMPTY;
  for (let i = 1; i <= outputs; i++) {
    last = crypto.hmac(temporary, join(last, Uint8Array.of(i)));
    results.push(last);
  }
  return results;
}

/** What one party knows before the handshake. */
export interface TwinInput {
  readonly prologue: Uint8Array;
  readonly psk: Uint8Array;
  readonly localStatic: Uint8Array;
  readonly localEphemeral: Uint8Array;
  /** The responder's static public key. */
  readonly responderStatic: Uint8Array;
}

/** A party of the handshake. */
export class NoiseTwin {
  chain: Uint8Array;
  hash: Uint8Array;
  #key: Uint8Array = EMPTY;
  #nonce = 0;
  readonly #input: TwinInput;
  #remoteEphemeral: Uint8Array = EMPTY;
  #remoteStatic: Uint8Array = EMPTY;

  constructor(input: TwinInput) {
    this.#input = input;
    // The name is longer than 32 bytes, so it is hashed.
    this.hash = crypto.hash(NAME, EMPTY);
    this.chain = this.hash;
    this.#mixHash(input.prologue);
    this.#mixHash(input.responderStatic);
  }

  /** -> e, es, s, ss and the payload. */
  writeFirst(payload: Uint8Array): Uint8Array {
    const { localStatic, localEphemeral, responderStatic } = this.#input;
    const ephemeral = this.#writeEphemeral();
    this.#mixKey(dh(localEphemeral, responderStatic));
    const sealed = this.#encrypt(crypto.publicKey(localStatic));
    this.#mixKey(dh(localStatic, responderStatic));
    return join(ephemeral, sealed, this.#encrypt(payload));
  }

  /** Reads the first message. */
  readFirst(message: Uint8Array): Uint8Array {
    const { localStatic } = this.#input;
    this.#readEphemeral(message.slice(0, 32));
    this.#mixKey(dh(localStatic, this.#remoteEphemeral));
    this.#remoteStatic = this.#decrypt(message.slice(32, 80));
    this.#mixKey(dh(localStatic, this.#remoteStatic));
    return this.#decrypt(message.slice(80));
  }

  /** <- e, ee, se, psk and the payload. */
  writeSecond(payload: Uint8Array): Uint8Array {
    const { localEphemeral, psk } = this.#input;
    const ephemeral = this.#writeEphemeral();
    this.#mixKey(dh(localEphemeral, this.#remoteEphemeral));
    this.#mixKey(dh(localEphemeral, this.#remoteStatic));
    this.#mixKeyAndHash(psk);
    return join(ephemeral, this.#encrypt(payload));
  }

  /** Reads the second message. */
  readSecond(message: Uint8Array): Uint8Array {
    const { localStatic, localEphemeral, psk } = this.#input;
    this.#readEphemeral(message.slice(0, 32));
    this.#mixKey(dh(localEphemeral, this.#remoteEphemeral));
    this.#mixKey(dh(localStatic, this.#remoteEphemeral));
    this.#mixKeyAndHash(psk);
    return this.#decrypt(message.slice(32));
  }

  /** The keys of the initiator's and of the responder's messages. */
  split(): Uint8Array[] {
    return hkdf(this.chain, EMPTY, 2);
  }

  #writeEphemeral(): Uint8Array {
    const ephemeral = crypto.publicKey(this.#input.localEphemeral);
    this.#mixHash(ephemeral);
    this.#mixKey(ephemeral);
    return ephemeral;
  }

  #readEphemeral(ephemeral: Uint8Array): void {
    this.#remoteEphemeral = ephemeral;
    this.#mixHash(ephemeral);
    this.#mixKey(ephemeral);
  }

  #mixHash(data: Uint8Array): void {
    this.hash = crypto.hash(this.hash, data);
  }

  #mixKey(input: Uint8Array): void {
    [this.chain, this.#key] = hkdf(this.chain, input, 2);
    this.#nonce = 0;
  }

  #mixKeyAndHash(input: Uint8Array): void {
    const [chain, temporary, key] = hkdf(this.chain, input, 3);
    this.chain = chain;
    this.#mixHash(temporary);
    this.#key = key;
    this.#nonce = 0;
  }

  #encrypt(plaintext: Uint8Array): Uint8Array {
    const sealed = crypto.seal(this.#key, this.#nonce++, plaintext, this.hash);
    this.#mixHash(sealed);
    return sealed;
  }

  #decrypt(sealed: Uint8Array): Uint8Array {
    const plaintext = crypto.open(this.#key, this.#nonce++, sealed, this.hash);
    if (plaintext === undefined) throw new Error("not authentic");
    this.#mixHash(sealed);
    return plaintext;
  }
}
