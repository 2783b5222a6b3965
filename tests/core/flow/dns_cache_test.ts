import assert from "node:assert/strict";
import { DnsCache } from "../../../src/core/flow/dns_cache.ts";
import { parseDns } from "../../../src/core/wire/dns.ts";
import { SeededRandom } from "../columns/seeded_random.ts";
import {
  aRecord,
  buildAnswer,
  buildQuery,
  readMessage,
} from "../../support/dns_messages.ts";

const DAY = 86_400_000;
const OPTIONS = { entries: 100, minTtlMs: 0, maxTtlMs: DAY };

function answerWithTtls(...ttls: readonly number[]): Uint8Array {
  return buildAnswer(buildQuery({ name: "a.test" }), {
    answers: ttls.map((ttl) => aRecord("a.test", ttl, "192.0.2.1")),
  });
}

function keep(
  cache: DnsCache,
  key: string,
  message: Uint8Array,
  now: number,
): void {
  const { ttlOffsets, cacheSeconds: seconds } = parseDns(message)!;
  cache.set(key, message, { ttlOffsets, seconds, now });
}

function ttls(message: Uint8Array | undefined): (number | undefined)[] {
  return readMessage(message!).answers.map(({ ttl }) => ttl);
}

Deno.test("an answer is kept for its least TTL, and ages", () => {
  const cache = new DnsCache(OPTIONS);
  keep(cache, "a", answerWithTtls(30, 100), 5000);
  assert.deepEqual(ttls(cache.get("a", 5000)), [30, 100]);
  assert.deepEqual(ttls(cache.get("a", 5999)), [30, 100]);
  assert.deepEqual(ttls(cache.get("a", 6000)), [29, 99]);
  assert.deepEqual(ttls(cache.get("a", 34_999)), [1, 71]);
  assert.equal(cache.get("a", 35_000), undefined);
  assert.equal(cache.size, 0);
  assert.equal(cache.bytes, 0);
  assert.equal(cache.get("b", 0), undefined);
});

Deno.test("nothing is kept that has no TTL, or one of 0", () => {
  const cache = new DnsCache(OPTIONS);
  const message = answerWithTtls(30);
  cache.set("a", message, { ttlOffsets: [], seconds: -1, now: 0 });
  cache.set("b", message, { ttlOffsets: [], seconds: 0, now: 0 });
  assert.equal(cache.size, 0);
  const least = new DnsCache({ ...OPTIONS, minTtlMs: 1000 });
  least.set("a", message, { ttlOffsets: [], seconds: -1, now: 0 });
  assert.equal(least.size, 0, "the minimum is for answers that may be kept");
});

Deno.test("an answer that may not be kept ends the one before", () => {
  const cache = new DnsCache(OPTIONS);
  keep(cache, "a", answerWithTtls(30), 0);
  keep(cache, "a", answerWithTtls(0), 1000);
  assert.equal(cache.get("a", 1000), undefined);
});

Deno.test("the configured least and greatest time hold", () => {
  const cache = new DnsCache({ entries: 9, minTtlMs: 5000, maxTtlMs: 60_000 });
  keep(cache, "short", answerWithTtls(1), 0);
  assert.deepEqual(ttls(cache.get("short", 4999)), [0]);
  assert.equal(cache.get("short", 5000), undefined);
  keep(cache, "long", answerWithTtls(3600), 0);
  assert.deepEqual(ttls(cache.get("long", 59_999)), [3541]);
  assert.equal(cache.get("long", 60_000), undefined);
});

Deno.test("with 0 entries nothing is kept", () => {
  const cache = new DnsCache({ ...OPTIONS, entries: 0 });
  keep(cache, "a", answerWithTtls(30), 0);
  assert.equal(cache.size, 0);
  assert.equal(cache.bytes, 0);
});

Deno.test("what is kept and what is given are copies", () => {
  const cache = new DnsCache(OPTIONS);
  const message = answerWithTtls(30);
  const original = message.slice();
  keep(cache, "a", message, 0);
  message.fill(0);
  const first = cache.get("a", 0)!;
  assert.deepEqual(first, original);
  first.fill(0);
  assert.deepEqual(cache.get("a", 0), original);
});

Deno.test("the answer used longest ago goes first", () => {
  const cache = new DnsCache({ ...OPTIONS, entries: 3 });
  for (const key of ["a", "b", "c"]) keep(cache, key, answerWithTtls(60), 0);
  cache.get("a", 1);
  keep(cache, "d", answerWithTtls(60), 2);
  const there = ["a", "b", "c", "d"].filter((key) => cache.get(key, 3));
  assert.deepEqual(there, ["a", "c", "d"]);
});

Deno.test("large answers take the place of many small ones", () => {
  const cache = new DnsCache({ ...OPTIONS, entries: 8 });
  for (let n = 0; n < 8; n++) keep(cache, `${n}`, answerWithTtls(60), 0);
  assert.equal(cache.size, 8);
  const large = new Uint8Array(12_000);
  cache.set("large", large, { ttlOffsets: [], seconds: 60, now: 0 });
  assert.ok(cache.get("large", 1));
  assert.ok(cache.bytes <= 8 * 2048);
  const larger = new Uint8Array(17_000);
  cache.set("larger", larger, { ttlOffsets: [], seconds: 60, now: 0 });
  assert.equal(cache.get("larger", 1), undefined, "more than there may be");
  assert.equal(cache.bytes, 0);
});

/** The same by a list in the order of use, and nothing else. */
class SlowCache {
  list: { key: string; length: number; until: number; at: number }[] = [];

  get(key: string, now: number): number | undefined {
    const entry = this.list.find((one) => one.key === key);
    this.list = this.list.filter((one) => one !== entry);
    if (entry === undefined || entry.until <= now) return undefined;
    this.list.push(entry);
    return entry.length;
  }

  set(key: string, length: number, seconds: number, now: number): void {
    this.list = this.list.filter((one) => one.key !== key);
    if (seconds <= 0) return;
    this.list.push({ key, length, until: now + seconds * 1000, at: now });
    const bytes = () =>
      this.list.reduce((sum, one) => sum + one.length + one.key.length, 0);
    while (this.list.length > 16 || bytes() > 16 * 2048) this.list.shift();
  }
}

Deno.test("any sequence of uses goes as in the slow cache", () => {
  const random = new SeededRandom(1035);
  const cache = new DnsCache({ ...OPTIONS, entries: 16 });
  const slow = new SlowCache();
  let now = 0, hits = 0, greatest = 0;
  for (let n = 0; n < 20_000; n++) {
    now += random.below(200);
    const key = `key ${random.below(40)}`;
    if (random.below(3) > 0) {
      const found = slow.get(key, now);
      assert.equal(cache.get(key, now)?.length, found);
      if (found !== undefined) hits++;
    } else {
      const length = random.below(10) === 0
        ? 2000 + random.below(34_000)
        : 40 + random.below(500);
      const seconds = random.below(12) - 1;
      const age = { ttlOffsets: [], seconds, now };
      cache.set(key, new Uint8Array(length), age);
      slow.set(key, length, seconds, now);
    }
    assert.equal(cache.size, slow.list.length);
    assert.ok(cache.size <= 16 && cache.bytes <= 16 * 2048);
    greatest = Math.max(greatest, cache.bytes);
  }
  assert.ok(hits > 1000, `${hits} hits`);
  assert.ok(greatest > 16 * 1024, `${greatest} bytes at most`);
});
