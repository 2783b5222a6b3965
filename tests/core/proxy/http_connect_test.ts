/** HTTP CONNECT against texts, every truncation, any bytes. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  HttpConnectHandshake,
  type HttpConnectOptions,
  LONGEST_HTTP_ANSWER,
} from "../../../src/core/proxy/http_connect.ts";
import { parseAddress } from "../../../src/core/wire/address.ts";
import { ascii, give, sendAll, visible } from "./conversation.ts";

const OK = "HTTP/1.1 200 Connection established\r\n\r\n";

function to(address: string, port: number, name?: string) {
  const words = Int32Array.from(parseAddress(address)!);
  return name === undefined ? { words, port } : { words, port, name };
}

function start(options: Partial<HttpConnectOptions> = {}) {
  return new HttpConnectHandshake({ target: to("1.2.3.4", 443), ...options });
}

function answered(answer: string, options: Partial<HttpConnectOptions> = {}) {
  const handshake = start(options);
  sendAll(handshake);
  give(handshake, ascii(answer));
  return handshake;
}

const credentials = { user: "Aladdin", password: "open sesame" };

Deno.test("http connect: requests", () => {
  const table: [Partial<HttpConnectOptions>, string[]][] = [
    [{}, ["CONNECT 1.2.3.4:443 HTTP/1.1", "Host: 1.2.3.4:443"]],
    [{ target: to("2001:db8::1", 80) }, [
      "CONNECT [2001:db8::1]:80 HTTP/1.1",
      "Host: [2001:db8::1]:80",
    ]],
    [{ target: to("::", 80, "a.example"), credentials }, [
      "CONNECT a.example:80 HTTP/1.1",
      "Host: a.example:80",
      // RFC 7617, section 2.
      "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
    ]],
    // RFC 7617, section 2.1: as UTF-8.
    [{ credentials: { user: "test", password: "123£" } }, [
      "CONNECT 1.2.3.4:443 HTTP/1.1",
      "Host: 1.2.3.4:443",
      "Proxy-Authorization: Basic dGVzdDoxMjPCow==",
    ]],
  ];
  for (const [options, lines] of table) {
    const text = new TextDecoder().decode(start(options).output);
    assert.equal(text, [...lines, "", ""].join("\r\n"));
  }
});

Deno.test("http connect: any 2xx opens, whatever its headers say", () => {
  const answers = [
    OK,
    "HTTP/1.0 200 OK\r\n\r\n",
    "HTTP/1.1 200\r\n\r\n",
    "HTTP/1.1 299 \r\nA: b\r\n\r\n",
    "HTTP/1.1 200 OK\nA: b\n\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 500\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    `HTTP/1.1 200 ${"x".repeat(400)}\r\n\r\n`,
  ];
  for (const answer of answers) {
    const handshake = start();
    sendAll(handshake);
    assert.equal(give(handshake, ascii(`${answer}tunnel\r\n`)), answer.length);
    assert.equal(handshake.state, "established", answer);
    assert.equal(handshake.failure, undefined);
  }
});

Deno.test("http connect: other answers fail with their status line", () => {
  const table: [string, string, string][] = [
    [
      "HTTP/1.0 407 Proxy Authentication Required\r\n",
      "proxy-auth",
      "the proxy wants a user and password: HTTP/1.0 407 Proxy Authentication Required",
    ],
    [
      "HTTP/1.1 403 Access denied\r\n",
      "not-permitted",
      "the proxy says: HTTP/1.1 403 Access denied",
    ],
    [
      "HTTP/1.1 504 Gateway Timeout\n",
      "timed-out",
      "the proxy says: HTTP/1.1 504 Gateway Timeout",
    ],
    [
      "HTTP/1.1 502 a\x1b[31m\x00\x7f\xff\tb\r\n",
      "proxy-refused",
      "the proxy says: HTTP/1.1 502 a?[31m????b",
    ],
    [
      "HTTP/1.1 301 Moved\r\n",
      "proxy-refused",
      "the proxy says: HTTP/1.1 301 Moved",
    ],
    [
      `HTTP/1.1 500 ${"y".repeat(1000)}\r\n`,
      "proxy-refused",
      `the proxy says: HTTP/1.1 500 ${"y".repeat(107)}...`,
    ],
  ];
  for (const [answer, kind, text] of table) {
    const handshake = answered(`${answer}Header: x\r\n`);
    assert.equal(handshake.state, "failed");
    assert.deepEqual(handshake.failure, { kind, text });
  }
  const wrong = answered("HTTP/1.1 407 No\r\n", { credentials });
  assert.match(wrong.failure!.text, /^the proxy refuses this user and/);
  const tinyproxy = answered("HTTP/1.0 401 Unauthorized\r\n", { credentials });
  assert.equal(tinyproxy.failure?.kind, "proxy-auth");
  assert.ok(!wrong.failure!.text.includes("sesame"));
});

Deno.test("http connect: garbage is told at the first byte that shows it", () => {
  const table: [string, RegExp][] = [
    ["\x05", /does not begin with HTTP\/1/],
    ["SSH-2.0-", /does not begin with HTTP\/1/],
    ["HTTP/2 200\r\n", /does not begin with HTTP\/1/],
    ["\r\n", /does not begin/],
    ["\n", /no status line: $/],
    ["HTTP/1.1\r\n", /no status line: HTTP\/1\.1$/],
    ["HTTP/1.1 20\r\n", /no status line: HTTP\/1\.1 20$/],
    ["HTTP/1.1 2000\r\n", /no status line/],
    ["HTTP/1.1  200 OK\r\n", /no status line/],
    ["HTTP/1.1 099 no\r\n", /no status line/],
    ["HTTP/1.x 200 OK\r\n", /no status line/],
    ["HTTP/1.1 101 Switching\r\n", /changes protocols/],
  ];
  for (const [answer, text] of table) {
    const handshake = answered(answer);
    assert.equal(handshake.failure?.kind, "proxy-garbage", answer);
    assert.match(handshake.failure!.text, text);
  }
});

Deno.test("http connect: the answer is bounded", () => {
  const endless = [
    `HTTP/1.1 200 OK\r\nA: ${"x".repeat(LONGEST_HTTP_ANSWER)}`,
    `HTTP/1.1 200 ${"x".repeat(LONGEST_HTTP_ANSWER)}`,
    "HTTP/1.1 100 Continue\r\n\r\n".repeat(LONGEST_HTTP_ANSWER / 16),
  ];
  for (const answer of endless) {
    const handshake = start();
    sendAll(handshake);
    assert.equal(give(handshake, ascii(answer)), LONGEST_HTTP_ANSWER);
    assert.equal(handshake.failure?.kind, "proxy-garbage");
    assert.match(handshake.failure!.text, /do not end within 16384 bytes/);
  }
  const head = "HTTP/1.1 200 OK\r\nA: ";
  const most = `${head}${"x".repeat(LONGEST_HTTP_ANSWER - head.length - 4)}`;
  assert.equal(answered(`${most}\r\n\r\n`).state, "established");
  assert.equal(answered(`${most}x\r\n\r\n`).state, "failed");
});

Deno.test("http connect: every truncation waits, or ends with the connection", () => {
  const answer = "HTTP/1.1 200 OK\r\nVia: x\r\n\r\n";
  for (let length = 0; length < answer.length; length++) {
    const handshake = start();
    sendAll(handshake);
    assert.equal(give(handshake, ascii(answer.slice(0, length))), length);
    assert.equal(handshake.state, "talking", `${length}`);
    handshake.closed();
    assert.equal(handshake.failure?.kind, "proxy-closed");
    assert.match(
      handshake.failure!.text,
      length === 0 ? /without an answer$/ : /within its answer$/,
    );
  }
});

Deno.test("http connect: no target name reaches a request that could change it", () => {
  const names = [
    "a\r\nX: y",
    "a b",
    "a\tb",
    "a:80",
    "a/b",
    "a@b",
    "a?b",
    "a#b",
    "[::1]",
    "a\0b",
    "ä",
    "",
    "x".repeat(254),
  ];
  for (const name of names) {
    const handshake = start({ target: to("1.2.3.4", 80, name) });
    assert.equal(handshake.failure?.kind, "unsupported", name);
    assert.equal(handshake.output.length, 0);
  }
  fc.assert(
    fc.property(
      fc.string({ unit: "binary", maxLength: 260 }),
      (name) => {
        const { output } = start({ target: to("1.2.3.4", 80, name) });
        if (output.length === 0) return;
        assert.equal(
          new TextDecoder().decode(output),
          `CONNECT ${name}:80 HTTP/1.1\r\nHost: ${name}:80\r\n\r\n`,
        );
        assert.match(name, /^[\w.-]{1,253}$/);
      },
    ),
    { numRuns: 2000 },
  );
});

Deno.test("http connect: credentials that a header can't hold are the caller's mistake", () => {
  for (const user of ["a:b", "a\nb", "\x7f"]) {
    assert.throws(() => start({ credentials: { user, password: "" } }), {
      name: "TypeError",
    });
  }
  assert.throws(() =>
    start({ credentials: { user: "u", password: "p\r\nX: y" } })
  );
});

Deno.test("http connect: any bytes in any pieces end in a state, never in an exception", () => {
  const pieces = fc.oneof(
    fc.constantFrom("HTTP/1.1 ", "200", "407", "100", " OK", "\r\n", "\n"),
    fc.constantFrom("\r", "\r\n\r\n", "Header: x", OK),
    fc.string({ unit: "binary-ascii", maxLength: 12 }),
  );
  fc.assert(
    fc.property(
      fc.array(pieces, { maxLength: 20 }),
      fc.integer({ min: 1, max: 9 }),
      fc.boolean(),
      (parts, size, plausible) => {
        const answer = ascii((plausible ? "HTTP/1.1 " : "") + parts.join(""));
        const whole = start();
        sendAll(whole);
        const taken = give(whole, answer);
        assert.ok(taken <= answer.length);
        if (whole.state === "talking") assert.equal(taken, answer.length);
        const pieced = start();
        sendAll(pieced);
        let sum = 0;
        for (let at = 0; at < answer.length; at += size) {
          sum += give(pieced, answer.subarray(at, at + size));
        }
        assert.deepEqual(visible(pieced), visible(whole));
        assert.equal(sum, taken);
        if (whole.failure !== undefined) {
          assert.match(whole.failure.text, /^[\x20-\x7e]{1,250}$/);
        }
      },
    ),
    { numRuns: 2000 },
  );
});
