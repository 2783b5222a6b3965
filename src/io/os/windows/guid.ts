/**
 * GUIDs: 16 bytes as they lie in memory, the first three parts with the low byte
 * first, and their text.
 */

const ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

/** A GUID's text, in braces, as the registry has it. */
export function formatGuid(bytes: Uint8Array): string {
  const hex = ORDER.map((i) => bytes[i].toString(16).padStart(2, "0")).join("");
  const parts = [[0, 8], [8, 12], [12, 16], [16, 20], [20, 32]]
    .map(([from, to]) => hex.slice(from, to));
  return `{${parts.join("-")}}`;
}

/**
 * The bytes of a GUID's text.
 * @param text 8-4-4-4-12 hexadecimal digits, in braces or without
 */
export function parseGuid(text: string): Uint8Array<ArrayBuffer> {
  const hex = text.replaceAll(/[^0-9a-f]/gi, "");
  return Uint8Array.from(
    ORDER.map((i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16)),
  );
}
