/** Text as Windows has it: UTF-16, little-endian, ended by a zero. */

/** A text with its ending zero, as bytes to be handed over as a pointer. */
export function wideText(text: string): Uint8Array<ArrayBuffer> {
  const units = new Uint16Array(text.length + 1);
  for (let i = 0; i < text.length; i++) units[i] = text.charCodeAt(i);
  return new Uint8Array(units.buffer);
}

/** Reads a text of at most so many bytes; it ends at the first zero. */
export function readWideText(
  bytes: Uint8Array,
  at: number,
  length: number,
): string {
  let text = "";
  for (let i = at; i + 1 < at + length && i + 1 < bytes.length; i += 2) {
    const unit = bytes[i] | bytes[i + 1] << 8;
    if (unit === 0) break;
    text += String.fromCharCode(unit);
  }
  return text;
}

/** Reads a text that the system holds. */
export function wideTextAt(pointer: Deno.PointerValue): string {
  if (pointer === null) return "";
  const view = new Deno.UnsafePointerView(pointer);
  let text = "";
  for (let at = 0;; at += 2) {
    const unit = view.getUint16(at);
    if (unit === 0) return text;
    text += String.fromCharCode(unit);
  }
}
