/**
 * The program's icon, drawn: a gate across water. An .ico of three sizes.
 * Source: "Icons", Microsoft Win32 documentation (ICONDIR, ICONDIRENTRY).
 */

const SIZES = [16, 32, 48, 256];
const DIRECTORY = 6, ENTRY = 16, BITMAP_HEADER = 40;

type Color = readonly [red: number, green: number, blue: number];
const FRAME: Color = [38, 50, 66];
const GATE: Color = [226, 138, 48];
const WATER: Color = [46, 134, 193];

/** The colour at a point of the unit square, y downwards; undefined: nothing. */
function colorAt(x: number, y: number): Color | undefined {
  if (x < 0.08 || x > 0.92 || y < 0.06 || y > 0.94) return undefined;
  if (x < 0.22 || x > 0.78 || y < 0.18) return FRAME;
  const wave = 0.62 + 0.03 * Math.sin(x * 6 * Math.PI);
  if (x > 0.3 && x < 0.7 && y < 0.56) return GATE;
  return y > wave ? WATER : undefined;
}

/** The bytes of the .ico file. */
export function drawIcon(): Uint8Array {
  const images = SIZES.map(drawBitmap);
  const head = DIRECTORY + ENTRY * images.length;
  const total = images.reduce((sum, image) => sum + image.length, head);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  view.setUint16(2, 1, true);
  view.setUint16(4, images.length, true);
  let at = head;
  images.forEach((image, i) => {
    const entry = DIRECTORY + ENTRY * i;
    bytes[entry] = bytes[entry + 1] = SIZES[i] & 0xff; // 256 is written as 0
    view.setUint16(entry + 4, 1, true);
    view.setUint16(entry + 6, 32, true);
    view.setUint32(entry + 8, image.length, true);
    view.setUint32(entry + 12, at, true);
    bytes.set(image, at);
    at += image.length;
  });
  return bytes;
}

/** BITMAPINFOHEADER, pixels as BGRA from the bottom up, a mask of no use. */
function drawBitmap(size: number): Uint8Array {
  const mask = Math.ceil(size / 32) * 4 * size;
  const bytes = new Uint8Array(BITMAP_HEADER + 4 * size * size + mask);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, BITMAP_HEADER, true);
  view.setInt32(4, size, true);
  view.setInt32(8, 2 * size, true);
  view.setUint16(12, 1, true);
  view.setUint16(14, 32, true);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const color = colorAt((column + 0.5) / size, (row + 0.5) / size);
      if (color === undefined) continue;
      const [red, green, blue] = color;
      const at = BITMAP_HEADER + 4 * ((size - 1 - row) * size + column);
      bytes.set([blue, green, red, 255], at);
    }
  }
  return bytes;
}
