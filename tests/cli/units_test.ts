import assert from "node:assert/strict";
import { formatTable, styled } from "../../src/cli/output.ts";
import {
  formatAge,
  formatBitRate,
  formatBytes,
  formatCount,
} from "../../src/cli/units.ts";

Deno.test("bytes and rates with three digits that count", () => {
  const bytes: [number, string][] = [
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.00 KiB"],
    [1536, "1.50 KiB"],
    [102_400, "100 KiB"],
    [52_428_800, "50.0 MiB"],
    [2 ** 50 * 3000, "3000 PiB"],
  ];
  for (const [value, text] of bytes) assert.equal(formatBytes(value), text);
  assert.equal(formatBitRate(0), "0 bit/s");
  assert.equal(formatBitRate(12_345_678), "12.3 Mbit/s");
  assert.equal(formatBitRate(999), "999 bit/s");
});

Deno.test("counts in groups", () => {
  assert.equal(formatCount(0), "0");
  assert.equal(formatCount(999), "999");
  assert.equal(formatCount(1000), "1 000");
  assert.equal(formatCount(1_234_567), "1 234 567");
});

Deno.test("ages in the unit that fits", () => {
  assert.equal(formatAge(-5), "0 s ago");
  assert.equal(formatAge(119_999), "119 s ago");
  assert.equal(formatAge(120_000), "2 min ago");
  assert.equal(formatAge(2 * 3_600_000), "2 h ago");
  assert.equal(formatAge(3 * 86_400_000), "3 d ago");
});

Deno.test("tables are aligned, without blanks at the ends", () => {
  assert.equal(
    formatTable([["NAME", "B"], ["x", "yy"], ["long name", ""]]),
    "NAME       B\nx          yy\nlong name\n",
  );
});

Deno.test("styles only where colours are wanted", () => {
  assert.equal(styled("a", "red", false), "a");
  assert.equal(styled("a", "red", true), "\x1b[31ma\x1b[0m");
});
