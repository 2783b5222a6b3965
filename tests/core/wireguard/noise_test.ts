import assert from "node:assert/strict";
import { CookieJar, macKeys } from "../../../src/core/wireguard/cookie.ts";
import {
  INITIATION_MAC1_AT,
  RESPONSE_MAC1_AT,
} from "../../../src/core/wireguard/messages.ts";
import { noblePrimitives as crypto } from "../../../src/core/wireguard/noble_primitives.ts";
import {
  createInitiation,
  createResponse,
  initialState,
  kdf1,
  kdf2,
  kdf3,
  type KeyPair,
  readInitiation,
  readResponse,
  readTimestamp,
} from "../../../src/core/wireguard/noise.ts";
import { hex, Random, toHex } from "./hex.ts";
import { NoiseTwin } from "./noise_twin.ts";
import { TRANSCRIPT } from "./vectors.ts";

const NO_PSK = new Uint8Array(32);
const EMPTY = new Uint8Array(0);
const IDENTIFIER = new TextEncoder().encode(
  "WireGuard v1 zx2c4 Jason@zx2c4.com",
);

const initiator: KeyPair = {
  privateKey: TRANSCRIPT.initiatorPrivate,
  publicKey: TRANSCRIPT.initiatorPublic,
};
const responder: KeyPair = {
  privateKey: TRANSCRIPT.responderPrivate,
  publicKey: TRANSCRIPT.responderPublic,
};

function staticShared(local: KeyPair, remote: KeyPair): Uint8Array {
  const shared = crypto.x25519(local.privateKey, remote.publicKey);
  assert.ok(shared);
  return shared;
}

function initiate() {
  const initiation = createInitiation(crypto, {
    type: 1,
    senderIndex: TRANSCRIPT.initiatorIndex,
    local: initiator,
    remoteStatic: responder.publicKey,
    staticShared: staticShared(initiator, responder),
    ephemeralPrivate: TRANSCRIPT.initiatorEphemeralPrivate.slice(),
    timestamp: TRANSCRIPT.timestamp,
  });
  assert.ok(initiation);
  return initiation;
}

function withMacs(
  message: Uint8Array,
  mac1At: number,
  publicKey: Uint8Array,
): Uint8Array {
  const keys = macKeys(crypto, publicKey);
  const options = { mac1At, now: 1, lifetimeMs: 120_000 };
  new CookieJar().writeMacs(crypto, keys, message, options);
  return message;
}

Deno.test("the chaining key and hash begin as two other implementations have them", () => {
  const { chain } = initialState(crypto, responder.publicKey);
  assert.equal(
    toHex(chain),
    "60e26daef327efc02ec335e2a025d2d016eb4206f87277f52d38d1988b78cd36",
  );
  const hash = crypto.hash(chain, IDENTIFIER);
  assert.equal(
    toHex(hash),
    "2211b361081ac566691243db458ad5322d9c6c662293e8b70ee19c65ba079ef3",
  );
});

Deno.test("the key derivation gives what wireguard-go gives", () => {
  const table = [
    [
      "",
      "8387b46bf43eccfcf349552a095d8315c4055beb90208fb1be23b894bc2ed5d0",
      "58a0e5f6faefccf4807bff1f05fa8a9217945762040bcec2f4b4a62bdfe0e86e",
      "0ce6ea98ec548f8e281e93e32db65621c45eb18dc6f0a7ad94178610a2f7338e",
    ],
    [
      "deadbeef",
      "55329dc80e690fd86bd9661f0851c9b3686df2b1fda0347bc3d27958254b32c6",
      "8dfc6d33a8118ffe408b31ddac25f72aee9115a45b69ba176ad012b243834fee",
      "d69e852a2896569ea54a67969aa1800287921dac53ce6db4b4e12192f263c4c4",
    ],
  ];
  for (const [key, first, second, third] of table) {
    assert.equal(toHex(kdf1(crypto, hex(key), EMPTY)), first);
    assert.deepEqual(kdf2(crypto, hex(key), EMPTY).map(toHex), [first, second]);
    assert.deepEqual(
      kdf3(crypto, hex(key), EMPTY).map(toHex),
      [first, second, third],
    );
  }
});

Deno.test("the initiation is the transcript's", () => {
  const { message } = initiate();
  withMacs(message, INITIATION_MAC1_AT, responder.publicKey);
  assert.equal(toHex(message), toHex(TRANSCRIPT.initiation));
});

Deno.test("the response and both directions' keys are the transcript's", () => {
  const read = readInitiation(crypto, responder, TRANSCRIPT.initiation);
  assert.ok(read);
  assert.deepEqual(read.remoteStatic, initiator.publicKey);
  assert.equal(read.remoteIndex, TRANSCRIPT.initiatorIndex);
  const proven = readTimestamp(
    crypto,
    read,
    staticShared(responder, initiator),
    TRANSCRIPT.initiation,
  );
  assert.ok(proven);
  assert.deepEqual(proven.timestamp, TRANSCRIPT.timestamp);
  const response = createResponse(crypto, proven.state, {
    type: 2,
    senderIndex: TRANSCRIPT.responderIndex,
    presharedKey: NO_PSK,
    ephemeralPrivate: TRANSCRIPT.responderEphemeralPrivate.slice(),
  });
  assert.ok(response);
  withMacs(response.message, RESPONSE_MAC1_AT, initiator.publicKey);
  assert.equal(toHex(response.message), toHex(TRANSCRIPT.response));

  const { state } = initiate();
  const taken = readResponse(
    crypto,
    state,
    initiator,
    NO_PSK,
    TRANSCRIPT.response,
  );
  assert.ok(taken);
  assert.equal(taken.remoteIndex, TRANSCRIPT.responderIndex);
  assert.deepEqual(taken.keys.sendKey, response.keys.receiveKey);
  assert.deepEqual(taken.keys.receiveKey, response.keys.sendKey);
  assert.deepEqual(
    crypto.seal(taken.keys.sendKey, 0, EMPTY, EMPTY),
    TRANSCRIPT.initiatorKeepalive.subarray(16),
  );
  assert.deepEqual(
    crypto.seal(taken.keys.receiveKey, 0, EMPTY, EMPTY),
    TRANSCRIPT.responderKeepalive.subarray(16),
  );
});

Deno.test("the twin gives the vector of another Noise implementation", () => {
  const prologue = hex("4a6f686e2047616c74");
  const psk = hex(
    "54686973206973206d7920417573747269616e20706572737065637469766521",
  );
  const responderStatic = hex(
    "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
  );
  const first = new NoiseTwin({
    prologue,
    psk,
    responderStatic,
    localStatic: hex(
      "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
    ),
    localEphemeral: hex(
      "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
    ),
  });
  const second = new NoiseTwin({
    prologue,
    psk,
    responderStatic,
    localStatic: hex(
      "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
    ),
    localEphemeral: hex(
      "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
    ),
  });
  const one = first.writeFirst(hex("4c756477696720766f6e204d69736573"));
  assert.equal(
    toHex(one),
    "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944" +
      "001e21de9f98ddd8e2ad57527207feb56253c9c94a9e496782ecfcb2a75fbcaf" +
      "1b52948cc48daefe660c62119ab5000980c84831215f2441eba616548e832985" +
      "464cf17e51ee93109008399a21f7e13f",
  );
  second.readFirst(one);
  const two = second.writeSecond(hex("4d757272617920526f746862617264"));
  assert.equal(
    toHex(two),
    "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843" +
      "cb765f2caef0751b8f007572dab0322217755c0632f365717edbf34d33e87a",
  );
  assert.equal(
    toHex(first.readSecond(two)),
    "4d757272617920526f746862617264",
  );
  assert.deepEqual(first.hash, second.hash);
  const [send, receive] = first.split();
  assert.equal(
    toHex(crypto.seal(send, 0, hex("462e20412e20486179656b"), EMPTY)),
    "8153ca9833bc3c1b91a7e66e5f4d4f5b59bf9e64c2f20d15f0bba7",
  );
  assert.equal(
    toHex(crypto.seal(receive, 0, hex("4361726c204d656e676572"), EMPTY)),
    "07af0c9c86e1b4e80f36b04ff7688d51141af3debd0332f0a705ef",
  );
});

Deno.test("with random keys and preshared keys it agrees with the twin", () => {
  const random = new Random(7);
  for (let round = 0; round < 4; round++) {
    const a = random.bytes(32);
    const b = random.bytes(32);
    const left: KeyPair = { privateKey: a, publicKey: crypto.publicKey(a) };
    const right: KeyPair = { privateKey: b, publicKey: crypto.publicKey(b) };
    const psk = random.bytes(32);
    const timestamp = random.bytes(12);
    const ephemerals = [random.bytes(32), random.bytes(32)];
    const common = {
      prologue: IDENTIFIER,
      psk,
      responderStatic: right.publicKey,
    };
    const first = new NoiseTwin({
      ...common,
      localStatic: a,
      localEphemeral: ephemerals[0],
    });
    const second = new NoiseTwin({
      ...common,
      localStatic: b,
      localEphemeral: ephemerals[1],
    });
    const initiation = createInitiation(crypto, {
      type: 1,
      senderIndex: 5,
      local: left,
      remoteStatic: right.publicKey,
      staticShared: staticShared(left, right),
      ephemeralPrivate: ephemerals[0].slice(),
      timestamp,
    });
    assert.ok(initiation);
    const one = first.writeFirst(timestamp);
    assert.deepEqual(initiation.message.subarray(8, 116), one);
    second.readFirst(one);
    const two = second.writeSecond(EMPTY);
    const read = readInitiation(crypto, right, initiation.message);
    assert.ok(read);
    const proven = readTimestamp(
      crypto,
      read,
      staticShared(right, left),
      initiation.message,
    );
    assert.ok(proven);
    const response = createResponse(crypto, proven.state, {
      type: 2,
      senderIndex: 6,
      presharedKey: psk,
      ephemeralPrivate: ephemerals[1].slice(),
    });
    assert.ok(response);
    assert.deepEqual(response.message.subarray(12, 60), two);
    assert.deepEqual(
      [response.keys.receiveKey, response.keys.sendKey],
      second.split(),
    );
    const wrong = readResponse(
      crypto,
      initiation.state,
      left,
      NO_PSK,
      response.message,
    );
    assert.equal(wrong, undefined, "another preshared key");
    const taken = readResponse(
      crypto,
      initiation.state,
      left,
      psk,
      response.message,
    );
    assert.deepEqual(taken?.keys.sendKey, response.keys.receiveKey);
  }
});

Deno.test("no byte of the authenticated part can be changed", () => {
  const shared = staticShared(responder, initiator);
  for (let at = 8; at < INITIATION_MAC1_AT; at++) {
    const message = TRANSCRIPT.initiation.slice();
    message[at] ^= 0x40;
    const read = readInitiation(crypto, responder, message);
    const proven = read === undefined
      ? undefined
      : readTimestamp(crypto, read, shared, message);
    assert.equal(proven, undefined, `byte ${at}`);
  }
  const { state } = initiate();
  for (let at = 12; at < RESPONSE_MAC1_AT; at++) {
    const message = TRANSCRIPT.response.slice();
    message[at] ^= 0x40;
    const taken = readResponse(crypto, state, initiator, NO_PSK, message);
    assert.equal(taken, undefined, `byte ${at}`);
  }
});

Deno.test("points of low order are refused, not thrown at", () => {
  const lowOrder = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  ];
  const { state } = initiate();
  for (const point of lowOrder.map(hex)) {
    const initiation = TRANSCRIPT.initiation.slice();
    initiation.set(point, 8);
    assert.equal(readInitiation(crypto, responder, initiation), undefined);
    const response = TRANSCRIPT.response.slice();
    response.set(point, 12);
    assert.equal(
      readResponse(crypto, state, initiator, NO_PSK, response),
      undefined,
    );
    const input = {
      type: 1,
      senderIndex: 1,
      local: initiator,
      remoteStatic: point,
      staticShared: NO_PSK,
      ephemeralPrivate: TRANSCRIPT.initiatorEphemeralPrivate.slice(),
      timestamp: TRANSCRIPT.timestamp,
    };
    assert.equal(createInitiation(crypto, input), undefined);
  }
});
