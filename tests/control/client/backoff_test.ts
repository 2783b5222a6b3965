import assert from "node:assert/strict";
import fc from "fast-check";
import { Backoff } from "../../../src/control/client/backoff.ts";

Deno.test("backoff: twice as long each time, up to the limit, from half to the whole", () => {
  const delays = (random: number) => {
    const backoff = new Backoff({
      firstMs: 1000,
      mostMs: 10_000,
      random: () => random,
    });
    return Array.from({ length: 6 }, () => backoff.next());
  };
  assert.deepEqual(delays(0), [500, 1000, 2000, 4000, 5000, 5000]);
  assert.deepEqual(delays(0.5), [750, 1500, 3000, 6000, 7500, 7500]);
});

Deno.test("backoff: begins anew after a reset; the longest is the limit's", () => {
  const backoff = new Backoff({ firstMs: 8, mostMs: 64, random: () => 0 });
  for (let i = 0; i < 100; i++) backoff.next();
  assert.equal(backoff.next(), 32);
  backoff.reset();
  assert.equal(backoff.failures, 0);
  assert.equal(backoff.next(), 4);
  assert.equal(backoff.longest(), 32);
});

Deno.test("backoff: never less than half of the first nor more than the limit", () => {
  fc.assert(fc.property(
    fc.array(fc.double({ min: 0, max: 0.999999, noNaN: true }), {
      minLength: 1,
      maxLength: 60,
    }),
    (draws) => {
      let i = 0;
      const backoff = new Backoff({
        firstMs: 1000,
        mostMs: 60_000,
        random: () => draws[i++],
      });
      for (const _ of draws) {
        const delay = backoff.next();
        assert.ok(delay >= 500 && delay <= 60_000);
      }
    },
  ));
});
