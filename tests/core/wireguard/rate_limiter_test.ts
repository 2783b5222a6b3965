import assert from "node:assert/strict";
import {
  HANDSHAKE_LIMITS,
  RateLimiter,
} from "../../../src/core/wireguard/rate_limiter.ts";
import { Random } from "./hex.ts";

const ipv4 = (address: number) => Uint32Array.of(0, 0, 0xffff, address);

Deno.test("a burst of 5, then one each 50 ms", () => {
  const limiter = new RateLimiter(HANDSHAKE_LIMITS, 1);
  let now = 1000;
  for (let i = 0; i < 5; i++) assert.ok(limiter.allow(ipv4(1), now), `${i}`);
  assert.ok(!limiter.allow(ipv4(1), now));
  assert.ok(limiter.allow(ipv4(2), now), "another source is not hit");
  now += 49;
  assert.ok(!limiter.allow(ipv4(1), now));
  now += 1;
  assert.ok(limiter.allow(ipv4(1), now));
  assert.ok(!limiter.allow(ipv4(1), now));
  now += 10_000;
  for (let i = 0; i < 5; i++) assert.ok(limiter.allow(ipv4(1), now));
  assert.ok(
    !limiter.allow(ipv4(1), now),
    "idle time saves no more than the burst",
  );
});

Deno.test("20 a second in the long run", () => {
  const limiter = new RateLimiter(HANDSHAKE_LIMITS, 1);
  let allowed = 0;
  for (let now = 1; now <= 10_000; now++) {
    if (limiter.allow(ipv4(7), now)) allowed++;
  }
  assert.ok(allowed >= 200 && allowed <= 205, `${allowed}`);
});

Deno.test("an IPv6 /64 is one source", () => {
  const limiter = new RateLimiter(HANDSHAKE_LIMITS, 1);
  const random = new Random(6);
  const host = () =>
    Uint32Array.of(0x20010db8, 7, random.next(), random.next());
  for (let i = 0; i < 5; i++) assert.ok(limiter.allow(host(), 1));
  assert.ok(!limiter.allow(host(), 1));
  assert.ok(limiter.allow(Uint32Array.of(0x20010db8, 8, 0, 1), 1));
});

Deno.test("a flood from many addresses is refused, others come back after it", () => {
  const limits = { perSecond: 20, burst: 5, buckets: 64 };
  const limiter = new RateLimiter(limits, 99);
  const random = new Random(8);
  let allowed = 0;
  for (let i = 0; i < 100_000; i++) {
    if (limiter.allow(ipv4(random.next()), 1000)) allowed++;
  }
  assert.ok(allowed <= 64 * 5, `${allowed} passed a table of 64 buckets`);
  assert.ok(limiter.allow(ipv4(42), 1300));
});
