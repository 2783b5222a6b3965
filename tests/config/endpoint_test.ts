import assert from "node:assert/strict";
import {
  formatHostPort,
  isHostName,
  parseHostPort,
  parsePort,
} from "../../src/config/endpoint.ts";

Deno.test("endpoints with their own port", () => {
  const forms: [string, string, number][] = [
    ["1.2.3.4:51820", "1.2.3.4", 51820],
    ["[2001:db8::1]:53", "2001:db8::1", 53],
    ["vpn.example.org:1", "vpn.example.org", 1],
    ["localhost:65535", "localhost", 65535],
  ];
  for (const [text, host, port] of forms) {
    assert.deepEqual(parseHostPort(text), { host, port }, text);
    assert.equal(formatHostPort({ host, port }), text);
  }
});

Deno.test("a default port fills in where none stands", () => {
  for (const host of ["1.2.3.4", "2001:db8::1", "vpn.example.org"]) {
    assert.deepEqual(parseHostPort(host, 53), { host, port: 53 });
    assert.equal(parseHostPort(host), undefined);
  }
  assert.deepEqual(parseHostPort("[2001:db8::1]", 53), {
    host: "2001:db8::1",
    port: 53,
  });
  assert.deepEqual(parseHostPort("1.2.3.4:54", 53), {
    host: "1.2.3.4",
    port: 54,
  });
});

Deno.test("what is no endpoint", () => {
  for (
    const bad of [
      "",
      ":53",
      "1.2.3.4:",
      "1.2.3.4:0",
      "1.2.3.4:65536",
      "1.2.3:53",
      "1.2.3.4.5:53",
      "256.1.1.1:53",
      "2001:db8::1:x",
      "[2001:db8::1:53",
      "[nonsense]:53",
      "a b:53",
      "-a.example:53",
      "http://example.org:80",
      `${"a".repeat(64)}.example:53`,
    ]
  ) assert.equal(parseHostPort(bad, 53), undefined, JSON.stringify(bad));
});

Deno.test("names and ports", () => {
  assert.ok(isHostName("example.org."));
  assert.ok(!isHostName("example..org"));
  assert.ok(!isHostName("1.2.3"));
  assert.equal(parsePort("00053"), 53);
  assert.equal(parsePort("123456"), undefined);
});
