/**
 * A QR code (ISO/IEC 18004) as text: two modules a character cell by half
 * blocks, with the quiet zone of 4 modules that readers need.
 */
import QRCode from "qrcode";

/** How to draw. */
export interface QrOptions {
  /**
   * `ansi` sets black on white by escape codes, so that it reads on any
   * terminal; `plain` uses characters alone and suits a dark background.
   */
  readonly style: "ansi" | "plain";
}

const QUIET_ZONE = 4;
const BLACK_ON_WHITE = "\x1b[30;107m";
const RESET = "\x1b[0m";

/**
 * Draws a text as a QR code, a newline at its end.
 * @throws RangeError where the text is too long for a code (about 2,300 bytes).
 */
export function renderQr(text: string, options: QrOptions): string {
  const { size, isDark } = encode(text);
  const lines: string[] = [];
  for (let y = -QUIET_ZONE; y < size + QUIET_ZONE; y += 2) {
    let line = "";
    for (let x = -QUIET_ZONE; x < size + QUIET_ZONE; x++) {
      line += cell(isDark(x, y), isDark(x, y + 1), options);
    }
    lines.push(
      options.style === "ansi" ? `${BLACK_ON_WHITE}${line}${RESET}` : line,
    );
  }
  return lines.join("\n") + "\n";
}

/** How many characters wide a text's code is, quiet zone included. */
export function qrWidth(text: string): number {
  return encode(text).size + 2 * QUIET_ZONE;
}

/** The modules of a text's code; outside of it everything is light. */
export function encode(
  text: string,
): { size: number; isDark: (x: number, y: number) => boolean } {
  let modules: { size: number; get: (row: number, column: number) => number };
  try {
    modules = QRCode.create(text, { errorCorrectionLevel: "L" }).modules;
  } catch {
    throw new RangeError(
      `${text.length} characters are too many for a QR code`,
    );
  }
  const { size } = modules;
  const inside = (at: number) => at >= 0 && at < size;
  return {
    size,
    isDark: (x, y) => inside(x) && inside(y) && modules.get(y, x) === 1,
  };
}

/** One character for an upper and a lower module. */
function cell(upper: boolean, lower: boolean, { style }: QrOptions): string {
  // In plain style the ink is light, in ansi style it is dark.
  const ink = style === "ansi";
  if (upper === ink) return lower === ink ? "█" : "▀";
  return lower === ink ? "▄" : " ";
}
