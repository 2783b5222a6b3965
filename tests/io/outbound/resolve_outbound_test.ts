/** From ways out as users name them to what a worker opens. */
import assert from "node:assert/strict";
import { parseProxyUrl } from "../../../src/config/proxy_url.ts";
import { resolveOutbound } from "../../../src/io/outbound/resolve_outbound.ts";
import type { OutboundAddress } from "../../../src/io/ports/dialer.ts";
import { formatAddress } from "../../../src/core/wire/address.ts";

function outbound(text: string): OutboundAddress {
  const parsed = parseProxyUrl(text);
  if (parsed.kind === "invalid") throw new Error(parsed.text);
  return parsed;
}

Deno.test("resolve outbound: setups are plain data with addresses", async () => {
  const origin = { interfaceName: "eth0", mark: 3 };
  assert.deepEqual(await resolveOutbound(outbound("direct://"), { origin }), {
    kind: "direct",
    origin,
  });
  const socks = await resolveOutbound(outbound("me:pw@[2001:db8::1]:1080"), {
    origin,
  });
  assert.ok(socks.kind === "socks5");
  assert.equal(formatAddress(socks.proxy.words), "2001:db8::1");
  assert.equal(socks.proxy.port, 1080);
  assert.equal(socks.proxy.host, "2001:db8::1");
  assert.deepEqual(socks.credentials, { user: "me", password: "pw" });
  assert.deepEqual(socks.origin, origin);

  const plain = await resolveOutbound(outbound("http://127.0.0.1:3128"));
  assert.ok(plain.kind === "http");
  assert.equal(plain.tls, undefined);
  const secure = await resolveOutbound(outbound("https://localhost:443"), {
    authorities: "PEM",
  });
  assert.ok(secure.kind === "http");
  assert.match(formatAddress(secure.proxy.words), /^(127\.0\.0\.1|::1)$/);
  assert.deepEqual(secure.tls, {
    serverName: "localhost",
    authorities: "PEM",
  });
  for (const setup of [socks, plain, secure]) {
    assert.deepEqual(structuredClone(setup), setup);
  }
});

Deno.test("resolve outbound: a name that nobody can have", async () => {
  // Too long for DNS, so that nobody is asked.
  const host = "x".repeat(64);
  await assert.rejects(resolveOutbound({ kind: "socks5", host, port: 1080 }), {
    name: "ResolveError",
    message: /^cannot resolve x{64}: /,
  });
});
