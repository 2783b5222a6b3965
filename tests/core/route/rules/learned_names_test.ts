import assert from "node:assert/strict";
import { LearnedNames } from "../../../../src/core/route/rules/learned_names.ts";
import { formatAddress } from "../../../../src/core/wire/address.ts";
import { SeededRandom } from "../../columns/seeded_random.ts";
import {
  aRecord,
  buildAnswer,
  buildQuery,
} from "../../../support/dns_messages.ts";
import { words } from "./samples.ts";

const SECOND = 1000;
const OPTIONS = {
  capacity: 100,
  capacityPerOwner: 50,
  leastMs: 30 * SECOND,
  mostMs: 3600 * SECOND,
};
const A = words("192.0.2.1");

function answer(name: string, ttl: number, ...addresses: string[]): Uint8Array {
  const answers = addresses.map((address) => aRecord(name, ttl, address));
  return buildAnswer(buildQuery({ name }), { answers });
}

Deno.test("a name lives as long as its TTL, within the bounds", () => {
  const known = new LearnedNames(OPTIONS);
  assert.equal(
    known.learn("curl", answer("Www.Example.org", 100, "192.0.2.1"), 0),
    1,
  );
  assert.deepEqual(known.names("curl", A, 100 * SECOND - 1), [
    "www.example.org",
  ]);
  assert.deepEqual(known.names("curl", A, 100 * SECOND), []);
  known.learn("curl", answer("short.test", 0, "192.0.2.2"), 0);
  assert.deepEqual(known.names("curl", words("192.0.2.2"), 30 * SECOND - 1), [
    "short.test",
  ]);
  known.learn("curl", answer("long.test", 99_999, "192.0.2.3"), 0);
  assert.deepEqual(known.names("curl", words("192.0.2.3"), 3600 * SECOND), []);
});

Deno.test("a shorter answer does not shorten what is known", () => {
  const known = new LearnedNames(OPTIONS);
  known.learn("curl", answer("a.test", 600, "192.0.2.1"), 0);
  known.learn("curl", answer("a.test", 60, "192.0.2.1"), SECOND);
  assert.deepEqual(known.names("curl", A, 599 * SECOND), ["a.test"]);
});

Deno.test("names are a program's own", () => {
  const known = new LearnedNames(OPTIONS);
  known.learn("curl", answer("a.test", 60, "192.0.2.1"), 0);
  assert.deepEqual(known.names("wget", A, 1), []);
  known.learn("wget", answer("b.test", 60, "192.0.2.1"), 0);
  assert.deepEqual(known.names("curl", A, 1), ["a.test"]);
  known.forget("curl");
  assert.deepEqual(known.names("curl", A, 1), []);
  assert.equal(known.size, 1);
  known.clear();
  assert.equal(known.size, 0);
});

Deno.test("several names of one address, the last learned first, not without end", () => {
  const known = new LearnedNames(OPTIONS);
  for (let i = 0; i < 40; i++) {
    known.learn("curl", answer(`n${i}.test`, 60, "192.0.2.1"), 0);
  }
  const names = known.names("curl", A, 1);
  assert.equal(names.length, 16);
  assert.equal(names[0], "n39.test");
  assert.equal(known.size, 1);
});

Deno.test("IPv6 as well, and an address is one in either form", () => {
  const known = new LearnedNames(OPTIONS);
  const query = buildQuery({ name: "six.test", type: "AAAA" });
  const message = buildAnswer(query, {
    answers: [{ name: "six.test", type: "AAAA", ttl: 60, data: "2001:db8::7" }],
  });
  assert.equal(known.learn("curl", message, 0), 1);
  const signed = Int32Array.from(words("2001:db8::7"));
  assert.deepEqual(known.names("curl", signed, 1), ["six.test"]);
});

Deno.test("no owner pushes out another's, and all together stay within the capacity", () => {
  const known = new LearnedNames({
    ...OPTIONS,
    capacity: 10,
    capacityPerOwner: 4,
  });
  known.learn("quiet", answer("q.test", 60, "192.0.2.1"), 0);
  for (let i = 1; i < 200; i++) {
    known.learn("loud", answer(`l${i}.test`, 60, `198.51.100.${i}`), 0);
  }
  assert.equal(known.size, 5);
  assert.deepEqual(known.names("quiet", A, 1), ["q.test"]);
  assert.deepEqual(known.names("loud", words("198.51.100.199"), 1), [
    "l199.test",
  ]);
  for (let i = 0; i < 30; i++) {
    known.learn(`owner-${i}`, answer("x.test", 60, "192.0.2.9"), 0);
    assert.ok(known.size <= 10);
  }
});

Deno.test("as many as a slow twin counts, over learning, forgetting and sweeping", () => {
  const random = new SeededRandom(7);
  const known = new LearnedNames({
    ...OPTIONS,
    capacity: 1e6,
    capacityPerOwner: 1e6,
  });
  const twin = new Map<string, number>();
  let now = 0;
  for (let i = 0; i < 4000; i++) {
    now += random.below(500);
    const owner = `p${random.below(4)}`;
    const address = `192.0.2.${random.below(20)}`;
    const name = `n${random.below(5)}.test`;
    const seconds = random.below(120);
    switch (random.below(40)) {
      case 0:
        known.sweep(now);
        break;
      case 1:
        known.forget(owner);
        for (const key of twin.keys()) {
          if (key.startsWith(`${owner} `)) twin.delete(key);
        }
        break;
      default: {
        known.learnName(owner, { name, words: words(address), seconds }, now);
        const key = `${owner} ${address} ${name}`;
        const until = now + Math.max(30, seconds) * SECOND;
        twin.set(key, Math.max(until, twin.get(key) ?? 0));
      }
    }
    const asked = `192.0.2.${random.below(20)}`;
    const wanted = [...twin].filter(([key, until]) =>
      key.startsWith(`${owner} ${asked} `) && until > now
    ).map(([key]) => key.split(" ")[2]).sort();
    assert.deepEqual(known.names(owner, words(asked), now).sort(), wanted);
  }
  known.sweep(now);
  const living = new Set(
    [...twin].filter(([, until]) => until > now).map(([key]) =>
      key.split(" ").slice(0, 2).join(" ")
    ),
  );
  assert.equal(known.size, living.size);
  const listed = [...known.entries(now)].map(({ owner, words }) =>
    `${owner} ${formatAddress(words)}`
  );
  assert.deepEqual(listed.sort(), [...living].sort());
});

Deno.test("what is no answer teaches nothing", () => {
  const known = new LearnedNames(OPTIONS);
  const good = answer("a.test", 60, "192.0.2.1");
  for (let length = 0; length < good.length; length++) {
    assert.equal(known.learn("curl", good.slice(0, length), 0), 0);
  }
  assert.equal(known.learn("curl", buildQuery({ name: "a.test" }), 0), 0);
  assert.equal(known.size, 0);
});
