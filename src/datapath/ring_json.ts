/** Plain data through a ring: JSON, in which typed arrays of words are kept as what they are. */

const KINDS = { Int32Array, Uint32Array } as const;

/** A value as the bytes of a message. */
export function encodeRingJson(value: unknown): Uint8Array {
  const text = JSON.stringify(value, (_key, item) => {
    for (const [kind, type] of Object.entries(KINDS)) {
      if (item instanceof type) return { [`$${kind}`]: [...item] };
    }
    return item;
  });
  return new TextEncoder().encode(text);
}

/** The value in the bytes of a message that {@linkcode encodeRingJson} made. */
export function decodeRingJson<T>(
  bytes: Uint8Array,
  at: number,
  length: number,
): T {
  // A copy: the decoder takes no bytes that threads share.
  const text = new TextDecoder().decode(bytes.slice(at, at + length));
  return JSON.parse(text, (_key, item) => {
    if (item === null || typeof item !== "object") return item;
    for (const [kind, type] of Object.entries(KINDS)) {
      const words = item[`$${kind}`];
      if (Array.isArray(words)) return type.from(words);
    }
    return item;
  }) as T;
}
