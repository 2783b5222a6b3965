import assert from "node:assert/strict";
import { encode, qrWidth, renderQr } from "../../src/control/qr.ts";

/** Reads a drawn code back into its modules: true is dark. */
function readBack(drawn: string, style: "ansi" | "plain"): boolean[][] {
  const ink = style === "ansi";
  const rows: boolean[][] = [];
  for (const line of drawn.trimEnd().split("\n")) {
    // deno-lint-ignore no-control-regex
    const cells = [...line.replaceAll(/\x1b\[[0-9;]*m/g, "")];
    rows.push(cells.map((cell) => (cell === "█" || cell === "▀") === ink));
    rows.push(cells.map((cell) => (cell === "█" || cell === "▄") === ink));
  }
  return rows;
}

Deno.test("what is drawn are the modules, with a light margin of 4", () => {
  const text = "[Interface]\nPrivateKey = ...";
  const { size, isDark } = encode(text);
  for (const style of ["ansi", "plain"] as const) {
    const rows = readBack(renderQr(text, { style }), style);
    assert.ok(rows.length >= size + 8);
    for (const [y, row] of rows.entries()) {
      assert.equal(row.length, size + 8);
      for (const [x, dark] of row.entries()) {
        assert.equal(dark, isDark(x - 4, y - 4), `${style} ${x} ${y}`);
      }
    }
  }
  assert.equal(qrWidth(text), size + 8);
});

Deno.test("the corners are finder patterns", () => {
  const { size, isDark } = encode("hello");
  const ring = (x: number, y: number) => {
    for (let i = 0; i < 7; i++) assert.ok(isDark(x + i, y) && isDark(x, y + i));
    assert.ok(!isDark(x + 1, y + 1) && isDark(x + 3, y + 3));
  };
  ring(0, 0);
  ring(size - 7, 0);
  ring(0, size - 7);
});

Deno.test("colours only where they were asked for", () => {
  assert.ok(!renderQr("a", { style: "plain" }).includes("\x1b"));
  assert.ok(renderQr("a", { style: "ansi" }).startsWith("\x1b["));
});

Deno.test("a text too long for a code", () => {
  assert.throws(
    () => renderQr("x".repeat(3000), { style: "plain" }),
    RangeError,
  );
});
