/**
 * Primitives with X25519 by node:crypto: several times faster than the portable
 * one, and an implementation of its own.
 */
import { Buffer } from "node:buffer";
import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type KeyObject,
} from "node:crypto";
import { noblePrimitives } from "../../../src/core/wireguard/noble_primitives.ts";
import type { NoisePrimitives } from "../../../src/core/wireguard/primitives.ts";

// DER before the 32 bytes of a key (RFC 8410).
const PKCS8 = Buffer.from("302e020100300506032b656e04220420", "hex");
const SPKI = Buffer.from("302a300506032b656e032100", "hex");

function privateObject(key: Uint8Array): KeyObject {
  const der = Buffer.concat([PKCS8, key]);
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
}

function publicObject(key: Uint8Array): KeyObject {
  const der = Buffer.concat([SPKI, key]);
  return createPublicKey({ key: der, format: "der", type: "spki" });
}

/** Noble but for X25519. */
export const nodePrimitives: NoisePrimitives = {
  ...noblePrimitives,
  publicKey(privateKey) {
    const object = createPublicKey(privateObject(privateKey) as never);
    const der = object.export({ type: "spki", format: "der" });
    return Uint8Array.from(der.subarray(SPKI.length));
  },
  x25519(privateKey, publicKey) {
    try {
      const shared = Uint8Array.from(diffieHellman({
        privateKey: privateObject(privateKey),
        publicKey: publicObject(publicKey),
      }));
      return shared.every((byte) => byte === 0) ? undefined : shared;
    } catch {
      return undefined;
    }
  },
};
