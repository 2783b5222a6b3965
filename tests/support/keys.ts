/** X25519 key pairs in WireGuard's text form, made by the runtime's own crypto. */

/** Keys of one side, base64. */
export interface KeyPair {
  readonly privateKey: string;
  readonly publicKey: string;
}

/** Makes a fresh key pair. */
export async function generateKeyPair(): Promise<KeyPair> {
  const pair = await crypto.subtle.generateKey("X25519", true, [
    "deriveBits",
  ]) as CryptoKeyPair;
  const privateKey = await crypto.subtle.exportKey("jwk", pair.privateKey);
  return {
    privateKey: fromBase64Url(privateKey.d!),
    publicKey: fromBase64Url(privateKey.x!),
  };
}

/** Makes a preshared key, base64. */
export function generatePresharedKey(): string {
  return btoa(
    String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))),
  );
}

/** The key's bytes in hex, as the UAPI has them. */
export function keyToHex(key: string): string {
  return Array.from(
    atob(key),
    (c) => c.charCodeAt(0).toString(16).padStart(2, "0"),
  ).join("");
}

function fromBase64Url(text: string): string {
  const base64 = text.replaceAll("-", "+").replaceAll("_", "/");
  return base64.padEnd(Math.ceil(base64.length / 4) * 4, "=");
}
