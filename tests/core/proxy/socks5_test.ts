/** SOCKS5 handshakes against annotated bytes, every truncation, any bytes. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  Socks5Handshake,
  type Socks5Options,
} from "../../../src/core/proxy/socks5.ts";
import { formatAddress, parseAddress } from "../../../src/core/wire/address.ts";
import { bytes, converse, give, sendAll, visible } from "./conversation.ts";

const NONE = bytes("05 00");
const PASSWORD = bytes("05 02");
const ACCEPTED = bytes("01 00");
const OPEN_4 = bytes("05 00 00 01  c0 00 02 07  1f 90 ; 192.0.2.7:8080");
const OPEN_6 = bytes(`
  05 00 00 04
  20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 09   ; 2001:db8::9
  04 38                                             ; 1080
`);
const OPEN_NAME = bytes("05 00 00 03  04 68 6f 73 74  00 50 ; host:80");

function to(address: string, port: number, name?: string) {
  const words = Int32Array.from(parseAddress(address)!);
  return name === undefined ? { words, port } : { words, port, name };
}

function start(options: Partial<Socks5Options> = {}): Socks5Handshake {
  return new Socks5Handshake({ target: to("1.2.3.4", 443), ...options });
}

const credentials = { user: "me", password: "pw" };

Deno.test("socks5: a connection without authentication, byte by byte", () => {
  const handshake = start();
  const sent = converse(handshake, [NONE, OPEN_4]);
  assert.deepEqual(sent, [
    bytes("05 01 00          ; greeting, one method, none"),
    bytes("05 01 00 01       ; connect, IPv4"
      .concat("\n01 02 03 04 01 bb ; 1.2.3.4:443")),
  ]);
  assert.equal(handshake.state, "established");
  assert.equal(formatAddress(handshake.bound), "192.0.2.7");
  assert.equal(handshake.boundPort, 8080);
  const by6 = start({
    command: "udp-associate",
    target: { words: new Int32Array(4), port: 0 },
  });
  assert.deepEqual(
    converse(by6, [NONE, OPEN_4])[1],
    Uint8Array.of(5, 3, 0, 4, ...new Array(18).fill(0)),
  );
});

Deno.test("socks5: user and password, IPv6 and names", () => {
  const six = start({ credentials, target: to("2001:db8::1", 0x1234) });
  assert.deepEqual(converse(six, [PASSWORD, ACCEPTED, OPEN_6]), [
    bytes("05 02 00 02       ; none, user and password"),
    bytes("01 02 6d 65 02 70 77"),
    bytes(`
      05 01 00 04
      20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01
      12 34
    `),
  ]);
  assert.equal(six.state, "established");
  assert.equal(formatAddress(six.bound), "2001:db8::9");

  const name = start({ target: to("::", 80, "a.example") });
  assert.deepEqual(
    converse(name, [NONE, OPEN_NAME])[1],
    bytes(
      "05 01 00 03  09 61 2e 65 78 61 6d 70 6c 65  00 50",
    ),
  );
  assert.equal(name.state, "established");
  assert.deepEqual([...name.bound], [0, 0, 0, 0]);
  assert.equal(name.boundPort, 80);
});

Deno.test("socks5: with credentials a proxy may still want none", () => {
  const handshake = start({ credentials });
  converse(handshake, [NONE, OPEN_4]);
  assert.equal(handshake.state, "established");
});

Deno.test("socks5: an association asks from anywhere and tells the relay", () => {
  const handshake = start({
    command: "udp-associate",
    target: { words: Int32Array.of(0, 0, 0xffff, 0), port: 0 },
  });
  const sent = converse(handshake, [NONE, OPEN_4]);
  assert.deepEqual(sent[1], bytes("05 03 00 01 00 00 00 00 00 00"));
  assert.equal(handshake.state, "established");
  assert.equal(formatAddress(handshake.bound), "192.0.2.7");
  assert.equal(handshake.boundPort, 8080);
});

Deno.test("socks5: each reply code has its kind and its text", () => {
  const table: [number, string, RegExp][] = [
    [1, "proxy-refused", /failed for a reason .* \(reply 1\)$/],
    [2, "not-permitted", /rules do not allow .* \(reply 2\)$/],
    [3, "network-unreachable", /no route to the network \(reply 3\)$/],
    [4, "host-unreachable", /cannot reach the host \(reply 4\)$/],
    [5, "refused", /destination refused .* \(reply 5\)$/],
    [6, "timed-out", /waited in vain .* \(reply 6\)$/],
    [7, "unsupported", /does not know the command \(reply 7\)$/],
    [8, "unsupported", /does not know the address type \(reply 8\)$/],
    [9, "proxy-refused", /^the proxy refuses \(reply 9\)$/],
    [255, "proxy-refused", /^the proxy refuses \(reply 255\)$/],
  ];
  for (const [code, kind, text] of table) {
    const handshake = start();
    const reply = OPEN_4.slice();
    reply[1] = code;
    converse(handshake, [NONE, reply]);
    assert.equal(handshake.state, "failed");
    assert.equal(handshake.failure?.kind, kind);
    assert.match(handshake.failure!.text, text);
  }
  assert.equal(new Set(table.map(([, , text]) => text.source)).size, 10);
});

Deno.test("socks5: refused and wrong authentication", () => {
  const cases: [Socks5Options["credentials"], string, string, RegExp][] = [
    [undefined, "05 ff", "proxy-auth", /wants a user and password/],
    [credentials, "05 ff", "proxy-auth", /neither user and password nor none/],
    [undefined, "05 02", "proxy-garbage", /method 2, which was not offered/],
    [credentials, "05 01", "proxy-garbage", /method 1, which was not offered/],
  ];
  for (const [who, answer, kind, text] of cases) {
    const handshake = start(who === undefined ? {} : { credentials: who });
    converse(handshake, [bytes(answer)]);
    assert.equal(handshake.failure?.kind, kind, answer);
    assert.match(handshake.failure!.text, text);
  }
  const wrong = start({ credentials });
  converse(wrong, [PASSWORD, bytes("01 01")]);
  assert.equal(wrong.failure?.kind, "proxy-auth");
  assert.match(wrong.failure!.text, /refuses this user and password/);
  assert.ok(!wrong.failure!.text.includes("pw"));
});

Deno.test("socks5: garbage is told as such, at its first byte", () => {
  const garbage: [Uint8Array[], RegExp][] = [
    [[bytes("48 54 54 50")], /begins with 72, not 5: no SOCKS5 proxy/],
    [[bytes("04")], /begins with 4, not 5/],
    [[NONE, bytes("00")], /begins with 0, not 5/],
    [[NONE, bytes("05 00 00 02 00")], /address type 2 is unknown/],
  ];
  for (const [answers, text] of garbage) {
    const handshake = start();
    converse(handshake, answers);
    assert.equal(handshake.failure?.kind, "proxy-garbage");
    assert.match(handshake.failure!.text, text);
  }
  const auth = start({ credentials });
  converse(auth, [PASSWORD, bytes("05")]);
  assert.match(auth.failure!.text, /begins with 5, not 1/);
});

Deno.test("socks5: an answer before its question is garbage", () => {
  const early = start();
  assert.equal(give(early, NONE), 0);
  assert.equal(early.failure?.kind, "proxy-garbage");
  const both = start();
  sendAll(both);
  assert.equal(give(both, Uint8Array.of(...NONE, ...OPEN_4)), 2);
  assert.match(both.failure!.text, /speaks before it is asked/);
});

Deno.test("socks5: what follows the reply belongs to the tunnel", () => {
  for (const open of [OPEN_4, OPEN_6, OPEN_NAME]) {
    const handshake = start();
    converse(handshake, [NONE]);
    sendAll(handshake);
    const taken = give(handshake, Uint8Array.of(...open, 0x53, 0x53, 0x48));
    assert.equal(taken, open.length);
    assert.equal(handshake.state, "established");
    assert.equal(give(handshake, bytes("53")), 0);
  }
});

Deno.test("socks5: every truncation waits, or ends with the connection", () => {
  for (const reply of [OPEN_4, OPEN_6, OPEN_NAME]) {
    for (let length = 0; length < reply.length; length++) {
      const handshake = start({ credentials });
      converse(handshake, [PASSWORD, ACCEPTED]);
      sendAll(handshake);
      assert.equal(give(handshake, reply.subarray(0, length)), length);
      assert.equal(handshake.state, "talking");
      handshake.closed();
      assert.equal(handshake.failure?.kind, "proxy-closed");
      assert.match(handshake.failure!.text, /without an answer$/);
    }
  }
  const greeting = start();
  sendAll(greeting);
  give(greeting, bytes("05"));
  greeting.closed();
  assert.match(greeting.failure!.text, /at the greeting$/);
  const auth = start({ credentials });
  converse(auth, [PASSWORD]);
  auth.closed();
  assert.match(auth.failure!.text, /at user and password$/);
});

Deno.test("socks5: pieces of any size come to the same", () => {
  const answers = [PASSWORD, ACCEPTED, OPEN_NAME];
  for (const size of [1, 2, 3, 5]) {
    const handshake = start({ credentials });
    for (const answer of answers) {
      sendAll(handshake);
      for (let at = 0; at < answer.length; at += size) {
        const piece = answer.subarray(at, at + size);
        assert.equal(give(handshake, piece), piece.length);
      }
    }
    assert.equal(handshake.state, "established");
  }
});

Deno.test("socks5: partial sends keep the rest", () => {
  const handshake = start({ credentials });
  handshake.sent(1);
  assert.deepEqual(handshake.output, bytes("02 00 02"));
  handshake.sent(3);
  assert.equal(handshake.output.length, 0);
});

Deno.test("socks5: impossible targets fail before anything is sent", () => {
  const targets = [
    to("1.2.3.4", 80, "a b"),
    to("1.2.3.4", 80, "a\r\nb"),
    to("1.2.3.4", 80, ""),
    to("1.2.3.4", 80, "ü.example"),
    to("1.2.3.4", 80, "x".repeat(254)),
    to("0.0.0.0", 80),
    to("::", 80),
  ];
  for (const target of targets) {
    const handshake = start({ target });
    assert.equal(handshake.state, "failed");
    assert.equal(handshake.failure?.kind, "unsupported");
    assert.equal(handshake.output.length, 0);
    assert.match(handshake.failure!.text, /^[\x20-\x7e]+$/);
  }
});

Deno.test("socks5: credentials that have no room are the caller's mistake", () => {
  const long = "ü".repeat(128);
  assert.throws(
    () => start({ credentials: { user: long, password: "" } }),
    /the user has 256/,
  );
  assert.throws(
    () => start({ credentials: { user: "u", password: long } }),
    RangeError,
  );
  const most = { user: "x".repeat(255), password: "y".repeat(255) };
  const handshake = start({ credentials: most });
  converse(handshake, [PASSWORD]);
  assert.equal(handshake.output.length, 3 + 510);
});

Deno.test("socks5: any bytes in any pieces end in a state, never in an exception", () => {
  const plausible = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(NONE, PASSWORD, ACCEPTED, OPEN_4) },
    { weight: 1, arbitrary: fc.constantFrom(OPEN_6, OPEN_NAME) },
    { weight: 2, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  );
  fc.assert(
    fc.property(
      fc.array(plausible, { maxLength: 8 }),
      fc.boolean(),
      (answers, known) => {
        const handshake = start(known ? { credentials } : {});
        const bytewise = start(known ? { credentials } : {});
        for (const answer of answers) {
          sendAll(handshake);
          sendAll(bytewise);
          const taken = give(handshake, answer);
          assert.ok(taken >= 0 && taken <= answer.length);
          if (handshake.state === "talking") {
            assert.equal(taken, answer.length);
          }
          for (const byte of answer) give(bytewise, Uint8Array.of(byte));
          assert.deepEqual(visible(bytewise), visible(handshake));
        }
        handshake.closed();
        assert.notEqual(handshake.state, "talking");
        assert.equal(
          handshake.failure === undefined,
          handshake.state === "established",
        );
      },
    ),
    { numRuns: 1500 },
  );
});
