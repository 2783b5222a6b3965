/** Proxies as text: what is taken, what each mistake is told, what is hidden. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { formatProxyUrl, parseProxyUrl } from "../../src/config/proxy_url.ts";

const LONG = "x".repeat(256);

Deno.test("proxy url: forms that are taken", () => {
  const table: [string, ReturnType<typeof parseProxyUrl>][] = [
    ["127.0.0.1:1080", { kind: "socks5", host: "127.0.0.1", port: 1080 }],
    [" proxy.example:1 ", { kind: "socks5", host: "proxy.example", port: 1 }],
    ["[::1]:1080", { kind: "socks5", host: "::1", port: 1080 }],
    ["socks5://h:65535", { kind: "socks5", host: "h", port: 65535 }],
    ["SOCKS5H://h:1080/", { kind: "socks5", host: "h", port: 1080 }],
    ["socks5:1080", { kind: "socks5", host: "socks5", port: 1080 }],
    ["socks5://user:password@h:1080", {
      kind: "socks5",
      host: "h",
      port: 1080,
      credentials: { user: "user", password: "password" },
    }],
    ["user@[2001:db8::1]:1080", {
      kind: "socks5",
      host: "2001:db8::1",
      port: 1080,
      credentials: { user: "user", password: "" },
    }],
    ["socks5://a%40b%3A:p%2F%25%20%C3%BC@h:1080", {
      kind: "socks5",
      host: "h",
      port: 1080,
      credentials: { user: "a@b:", password: "p/% ü" },
    }],
    ["socks5://u:p@ss/w:rd?#@h:1080", {
      kind: "socks5",
      host: "h",
      port: 1080,
      credentials: { user: "u", password: "p@ss/w:rd?#" },
    }],
    ["http://h:3128", {
      kind: "http",
      transport: "plain",
      host: "h",
      port: 3128,
    }],
    ["https://u:p@h:443", {
      kind: "http",
      transport: "tls",
      host: "h",
      port: 443,
      credentials: { user: "u", password: "p" },
    }],
    ["direct://", { kind: "direct" }],
    ["Direct:///", { kind: "direct" }],
  ];
  for (const [text, expected] of table) {
    assert.deepEqual(parseProxyUrl(text), expected, text);
  }
});

Deno.test("proxy url: each mistake is told with what to write", () => {
  const table: [string, RegExp][] = [
    ["", /^no proxy is given: write socks5:\/\/127\.0\.0\.1:1080$/],
    ["ftp://h:21", /^unknown proxy scheme "ftp": write socks5:\/\/, http/],
    ["constructor://h:1", /^unknown proxy scheme "constructor"/],
    ["://h:1", /^unknown proxy scheme ""/],
    ["socks4://h:1080", /^SOCKS4 .* write socks5:\/\/$/],
    ["socks4a://h:1080", /^SOCKS4 /],
    ["socks5:127.0.0.1:1080", /^two slashes .* write socks5:\/\/$/],
    ["http:h:80", /^two slashes .* write http:\/\/$/],
    ["socks5://h", /^the proxy's port is missing: write h:1080$/],
    ["http://h", /^the proxy's port is missing: write h:3128$/],
    ["https://[::1]", /^the proxy's port is missing: write \[::1\]:443$/],
    ["socks5://h:", /^the proxy's port is missing/],
    ["socks5://h:0", /^port 0 is out of range: write one from 1 to 65535$/],
    ["h:65536", /^port 65536 is out of range/],
    ["h:99999999999999", /^port 9999999999\.\.\. is out of range/],
    ["socks5://h:http", /^the proxy's port is no number: write h:1080$/],
    ["socks5://h:-1", /^the proxy's port is no number/],
    ["socks5://:1080", /^the proxy's host is missing: write socks5/],
    ["http://u:p@", /^the proxy's host is missing: write http:/],
    ["socks5://[]:1080", /^the proxy's host is missing/],
    ["socks5://[1.2.3.4]:1080", /^"1\.2\.3\.4" is no IPv6 address: write/],
    ["socks5://[fe80::1%25eth0]:1", /is no IPv6 address/],
    ["2001:db8::1:1080", /^an IPv6 address stands in brackets: write \[/],
    ["socks5://[::1:1080", /^the proxy's host and port are not clear: write/],
    ["socks5://a b:1080", /^"a b" is neither an address nor a host name/],
    ["socks5://a\r\nb:1080", /^"a\?\?b" is neither an address nor a host name/],
    ["socks5://1.2.3.256:1080", /^"1\.2\.3\.256" is neither/],
    ["http://h:80/path", /^nothing may follow the proxy's port: write http:/],
    ["http://h:80?q", /^nothing may follow/],
    ["socks5://:password@h:1", /^the user before @ is missing: write USER:/],
    ["socks5://@h:1", /^the user before @ is missing/],
    ["socks5://u:%zz@h:1", /percent sign .* write %25/],
    ["socks5://u:%ff@h:1", /percent sign .* write %25/],
    [`socks5://${LONG}:p@h:1`, /^the user has 256 bytes: .* at most 255$/],
    [`socks5://u:${LONG}@h:1`, /^the password has 256 bytes: .* at most 255$/],
    [`socks5://${"%C3%BC".repeat(128)}@h:1`, /^the user has 256 bytes/],
    [`http://u:${"y".repeat(1025)}@h:1`, /^the password has 1025 bytes/],
    ["http://a%3Ab:p@h:1", /^a user of an HTTP proxy has no colon: write/],
    ["http://a:p%0d%0aX@h:1", /has a control character: write it without$/],
    ["direct://h:1", /^direct:\/\/ means no proxy .* write direct:\/\/$/],
    ["direct://user@", /^direct:\/\/ means no proxy and takes no host or user/],
  ];
  for (const [text, expected] of table) {
    const result = parseProxyUrl(text);
    assert.equal(result.kind, "invalid", text);
    assert.match((result as { text: string }).text, expected);
    assert.doesNotMatch((result as { text: string }).text, /[^\x20-\x7e]/);
  }
});

Deno.test("proxy url: formatting hides the password and keeps the rest", () => {
  const table: [string, string][] = [
    ["user:geheim@[::1]:1080", "socks5://user:***@[::1]:1080"],
    ["https://u%40x:geheim@h:443", "https://u%40x:***@h:443"],
    ["http://h:3128", "http://h:3128"],
    ["direct://", "direct://"],
  ];
  for (const [text, expected] of table) {
    const parsed = parseProxyUrl(text);
    assert.ok(parsed.kind !== "invalid");
    assert.equal(formatProxyUrl(parsed), expected);
  }
});

Deno.test("proxy url: no mistake shows a password", () => {
  const secret = "Geh3imnis";
  const wrongs = [
    `socks5://user:${secret}`,
    `user:${secret}`,
    `socks5://user:${secret}@`,
    `socks5://user:${secret}@h`,
    `socks5://user:${secret}@h:99999`,
    `socks5://user:${secret}%@h:1`,
    `ftp://user:${secret}@h:1`,
    `http://us%3Aer:${secret}@h:1`,
    `direct://user:${secret}@h`,
    `http://user:${secret}@h:1/${secret}`,
    `socks5:user:${secret}@h:1`,
    `socks5://user:${secret}${LONG}@h:1`,
  ];
  for (const wrong of wrongs) {
    const result = parseProxyUrl(wrong);
    assert.equal(result.kind, "invalid", wrong);
    assert.ok(!JSON.stringify(result).includes(secret), JSON.stringify(result));
  }
});

Deno.test("proxy url: any user and password survive percent-encoding", () => {
  const wellFormed = (longest: number) =>
    fc.string({ unit: "grapheme", minLength: 1, maxLength: longest })
      .filter((text) => new TextEncoder().encode(text).length <= 255);
  fc.assert(
    fc.property(wellFormed(20), wellFormed(20), (user, password) => {
      const encode = encodeURIComponent;
      assert.deepEqual(
        parseProxyUrl(`socks5://${encode(user)}:${encode(password)}@h:1`),
        { kind: "socks5", host: "h", port: 1, credentials: { user, password } },
      );
    }),
  );
});

Deno.test("proxy url: any text gives a proxy or one printable line", () => {
  const pieces = fc.oneof(
    fc.constantFrom("socks5", "http", "://", ":", "@", "[", "]", "/", "%"),
    fc.constantFrom("::1", "1.2.3.4", "1080", "direct", "\n", "host"),
    fc.string({ unit: "binary", maxLength: 5 }),
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
      const result = parseProxyUrl(parts.join(""));
      if (result.kind === "invalid") {
        assert.match(result.text, /^[\x20-\x7e]{1,200}$/);
      } else {
        assert.ok(formatProxyUrl(result).length > 0);
      }
    }),
    { numRuns: 2000 },
  );
});
