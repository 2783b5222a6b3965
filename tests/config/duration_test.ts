import assert from "node:assert/strict";
import fc from "fast-check";
import { formatDuration, parseDuration } from "../../src/config/duration.ts";

Deno.test("durations in their written forms", () => {
  const forms: [string | number, number][] = [
    ["0s", 0],
    ["500ms", 500],
    ["90s", 90_000],
    ["5m", 300_000],
    ["1h30m", 5_400_000],
    ["1d", 86_400_000],
    ["1d1h1m1s1ms", 90_061_001],
    ["300", 300_000],
    [300, 300_000],
    [0.5, 500],
    [0, 0],
  ];
  for (const [value, expected] of forms) {
    assert.equal(parseDuration(value), expected, String(value));
  }
});

Deno.test("what is no duration", () => {
  for (
    const bad of [
      "",
      "m",
      "5 m",
      "5min",
      "-5s",
      "1.5s",
      "5m1h",
      "5s5s",
      "5mm",
      "99999999999999999999d",
      -1,
      NaN,
      Infinity,
    ]
  ) assert.equal(parseDuration(bad), undefined, String(bad));
});

Deno.test("what is written reads back the same", () => {
  fc.assert(fc.property(fc.nat(10 ** 12), (milliseconds) => {
    assert.equal(parseDuration(formatDuration(milliseconds)), milliseconds);
  }));
  assert.equal(formatDuration(5_400_000), "1h30m");
  assert.equal(formatDuration(0), "0s");
});
