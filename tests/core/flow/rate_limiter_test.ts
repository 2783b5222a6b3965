import assert from "node:assert/strict";
import { RateLimiter } from "../../../src/core/flow/rate_limiter.ts";

Deno.test("a burst, then so many a second", () => {
  const limiter = new RateLimiter({ lanes: 4, perSecond: 10, burst: 3 });
  const take = (count: number, now: number) =>
    Array.from({ length: count }, () => limiter.take(1, now)).filter(Boolean)
      .length;
  assert.equal(take(10, 0), 3);
  assert.equal(take(10, 99), 0);
  assert.equal(take(10, 200), 2);
  assert.equal(take(10, 60_000), 3);
});

Deno.test("a clock that steps back gives nothing", () => {
  const limiter = new RateLimiter({ lanes: 1, perSecond: 1000, burst: 1 });
  assert.equal(limiter.take(0, 1000), true);
  assert.equal(limiter.take(0, 0), false);
});
