import assert from "node:assert/strict";
import fc from "fast-check";
import { readPrefix } from "../../src/config/prefix.ts";
import { allocateAddresses } from "../../src/control/address_pool.ts";
import { PeerError } from "../../src/control/peer_error.ts";
import { formatPrefix } from "../../src/core/wire/address.ts";

const at = (text: string) => readPrefix(text)!;

function next(homes: string[], taken: string[]): string[] {
  return allocateAddresses(homes.map(at), taken.map(at)).map(formatPrefix);
}

Deno.test("the lowest free address of each prefix", () => {
  assert.deepEqual(next(["10.66.0.1/24", "fd00::1/64"], []), [
    "10.66.0.2/32",
    "fd00::2/128",
  ]);
  assert.deepEqual(
    next(["10.66.0.1/24"], ["10.66.0.2", "10.66.0.3", "10.66.0.5"]),
    ["10.66.0.4/32"],
  );
});

Deno.test("a gateway anywhere in the prefix is stepped over", () => {
  assert.deepEqual(next(["10.66.0.254/24"], []), ["10.66.0.1/32"]);
  assert.deepEqual(next(["10.66.0.2/24"], ["10.66.0.1"]), ["10.66.0.3/32"]);
});

Deno.test("prefixes of peers are stepped over whole", () => {
  assert.deepEqual(next(["10.66.0.1/24"], ["10.66.0.0/25"]), [
    "10.66.0.128/32",
  ]);
  assert.deepEqual(next(["10.66.0.1/24"], ["192.168.0.0/16", "fd00::/8"]), [
    "10.66.0.2/32",
  ]);
});

Deno.test("neither network nor broadcast; then the pool is full", () => {
  assert.deepEqual(next(["10.66.0.1/30"], []), ["10.66.0.2/32"]);
  assert.throws(() => next(["10.66.0.1/30"], ["10.66.0.2"]), (error) => {
    assert.ok(error instanceof PeerError);
    assert.equal(error.message, "the address pool 10.66.0.0/30 is full");
    assert.match(error.hint!, /sluice peer remove NAME/);
    return true;
  });
  assert.throws(
    () => next(["10.66.0.1/24", "fd00::1/126"], ["fd00::2/127"]),
    PeerError,
  );
  assert.throws(() => next(["10.66.0.1/24"], ["0.0.0.0/0"]), PeerError);
});

Deno.test("handing out one after the other fills a prefix exactly", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 62 }), (gateway) => {
      const home = `10.9.8.${gateway}/26`;
      const taken: string[] = [];
      for (let i = 0; i < 61; i++) taken.push(...next([home], taken));
      assert.equal(new Set(taken).size, 61);
      assert.ok(!taken.includes(`10.9.8.${gateway}/32`));
      assert.ok(
        !taken.includes("10.9.8.0/32") && !taken.includes("10.9.8.63/32"),
      );
      assert.throws(() => next([home], taken), PeerError);
    }),
    { numRuns: 10 },
  );
});
