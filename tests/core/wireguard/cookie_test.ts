import assert from "node:assert/strict";
import {
  checkMac1,
  CookieJar,
  CookieMaker,
  macKeys,
} from "../../../src/core/wireguard/cookie.ts";
import {
  INITIATION_MAC1_AT,
  RESPONSE_MAC1_AT,
} from "../../../src/core/wireguard/messages.ts";
import { noblePrimitives as crypto } from "../../../src/core/wireguard/noble_primitives.ts";
import { Random, toHex } from "./hex.ts";
import { TRANSCRIPT } from "./vectors.ts";

const LIFETIME = 120_000;
const MAC1 = INITIATION_MAC1_AT;
const MAC2 = MAC1 + 16;
const responder = macKeys(crypto, TRANSCRIPT.responderPublic);
const remote = Uint32Array.of(0, 0, 0xffff, 0x7f000001);

function maker(seed = 1): CookieMaker {
  return new CookieMaker(crypto, new Random(seed).fill, LIFETIME);
}

function reply(
  cookies: CookieMaker,
  message: Uint8Array,
  now: number,
  port = 5,
): Uint8Array {
  return cookies.createReply(responder, message, {
    type: 3,
    receiver: TRANSCRIPT.initiatorIndex,
    mac1At: MAC1,
    remote,
    port,
    now,
  });
}

function sign(jar: CookieJar, now: number): Uint8Array {
  const message = TRANSCRIPT.initiation.slice();
  message.fill(0, MAC1);
  jar.writeMacs(crypto, responder, message, {
    mac1At: MAC1,
    now,
    lifetimeMs: LIFETIME,
  });
  return message;
}

Deno.test("mac1 of the transcript's messages holds, and no byte may change", () => {
  const initiator = macKeys(crypto, TRANSCRIPT.initiatorPublic);
  assert.ok(checkMac1(crypto, responder, TRANSCRIPT.initiation, MAC1));
  assert.ok(
    checkMac1(crypto, initiator, TRANSCRIPT.response, RESPONSE_MAC1_AT),
  );
  assert.ok(!checkMac1(crypto, initiator, TRANSCRIPT.initiation, MAC1));
  for (let at = 0; at < MAC2; at++) {
    const changed = TRANSCRIPT.initiation.slice();
    changed[at] ^= 1;
    assert.ok(!checkMac1(crypto, responder, changed, MAC1), `byte ${at}`);
  }
});

Deno.test("a cookie goes to the sender and comes back as mac2", () => {
  const jar = new CookieJar();
  const cookies = maker();
  const first = sign(jar, 1000);
  assert.equal(toHex(first.subarray(MAC2)), "0".repeat(32));
  const at = { mac1At: MAC1, remote, port: 5, now: 1001 };
  assert.ok(!cookies.checkMac2(first, at));
  const answer = reply(cookies, first, 1000);
  assert.equal(answer.length, 64);
  assert.equal(toHex(answer.subarray(0, 8)), "0300000044332211");
  assert.ok(jar.readReply(crypto, responder, answer, 1010));
  const second = sign(jar, 1020);
  assert.ok(cookies.checkMac2(second, at));
  assert.ok(!cookies.checkMac2(second, { ...at, port: 6 }));
  const elsewhere = Uint32Array.of(0, 0, 0xffff, 0x7f000002);
  assert.ok(!cookies.checkMac2(second, { ...at, remote: elsewhere }));
  assert.ok(!maker(2).checkMac2(second, at), "another secret");
});

Deno.test("a reply is taken once and only to the last message sent", () => {
  const jar = new CookieJar();
  const cookies = maker();
  const other = TRANSCRIPT.initiation.slice();
  other[MAC1] ^= 1;
  assert.ok(
    !jar.readReply(crypto, responder, reply(cookies, other, 1), 1),
    "nothing was sent",
  );
  const message = sign(jar, 1);
  assert.ok(
    !jar.readReply(crypto, responder, reply(cookies, other, 1), 1),
    "to another message",
  );
  const answer = reply(cookies, message, 1);
  for (let at = 8; at < 64; at++) {
    const changed = answer.slice();
    changed[at] ^= 1;
    assert.ok(!jar.readReply(crypto, responder, changed, 1), `byte ${at}`);
  }
  assert.ok(jar.readReply(crypto, responder, answer, 1));
  assert.ok(!jar.readReply(crypto, responder, answer, 1), "again");
});

Deno.test("cookies and the secret have their time", () => {
  const jar = new CookieJar();
  const cookies = maker();
  jar.readReply(crypto, responder, reply(cookies, sign(jar, 1000), 1000), 1000);
  const good = sign(jar, 1000);
  const at = { mac1At: MAC1, remote, port: 5 };
  assert.ok(cookies.checkMac2(good, { ...at, now: 1000 + LIFETIME - 1 }));
  assert.ok(!cookies.checkMac2(good, { ...at, now: 1000 + LIFETIME }));
  assert.notEqual(
    toHex(sign(jar, 1000 + LIFETIME - 1).subarray(MAC2)),
    "0".repeat(32),
  );
  assert.equal(
    toHex(sign(jar, 1000 + LIFETIME).subarray(MAC2)),
    "0".repeat(32),
  );
  // The next reply is made under a new secret.
  reply(cookies, good, 1000 + LIFETIME);
  assert.ok(!cookies.checkMac2(good, { ...at, now: 1000 + LIFETIME }));
});

Deno.test("each reply has a nonce of its own", () => {
  const cookies = maker();
  const message = sign(new CookieJar(), 1);
  const nonces = new Set(
    [1, 2, 3].map((now) => toHex(reply(cookies, message, now).subarray(8, 32))),
  );
  assert.equal(nonces.size, 3);
});
