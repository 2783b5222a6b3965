/** The contract of dialers against microsocks, dante, tinyproxy and socat; in a namespace. */
import assert from "node:assert/strict";
import type {
  DialerSetup,
  ProxyCredentials,
  ProxyTls,
} from "../../../src/io/ports/dialer.ts";
import type { LoggedProcess } from "../../support/process.ts";
import { waitFor } from "../../support/wait.ts";
import { PLACE, type Subject, testContract } from "./contract.ts";
import { DialWorld, target } from "./dial_world.ts";
import { BANNER, closedPort, EchoServer } from "./echo_server.ts";
import {
  HTTP_USER,
  PORTS,
  preparePlace,
  startProxies,
  USER,
} from "./real_proxies.ts";
import { makeCertificate } from "./tls_proxy.ts";

const directory = await Deno.makeTempDir({ prefix: "sluice-proxies-" });
await Deno.chmod(directory, 0o755);
await preparePlace(directory);
const certificate = await makeCertificate();
let proxies: LoggedProcess[] = [];
let echo: EchoServer;

Deno.test.beforeAll(async () => {
  proxies = await startProxies(directory, certificate);
  echo = new EchoServer(PLACE.destination4, PLACE.destination6);
});

Deno.test.afterAll(async () => {
  echo[Symbol.dispose]();
  await Promise.all(proxies.map((proxy) => proxy.stop(0)));
  await Deno.remove(directory, { recursive: true });
});

type ProxySetup = Exclude<DialerSetup, { kind: "direct" }>;

function by(
  kind: ProxySetup["kind"],
  port: number,
  more: { credentials?: ProxyCredentials; tls?: ProxyTls } = {},
): DialerSetup {
  const { words } = target("127.0.0.1", 0);
  return { kind, proxy: { words, port, host: "127.0.0.1" }, ...more };
}

const tls = {
  serverName: "proxy.test",
  authorities: certificate.certificate,
};
const SOCKS5 = {
  names: "proxy",
  failures: {
    refused: "refused",
    lost: "host-unreachable",
    nowhere: "network-unreachable",
    unknownName: "host-unreachable",
  },
} as const;
const MICROSOCKS = {
  names: "proxy",
  halfClose: "proxy-ends",
  failures: { ...SOCKS5.failures, unknownName: "proxy-refused" },
} as const;
/** It tells all failures by one status. */
const TINYPROXY = {
  names: "proxy",
  halfClose: "proxy-ends",
  failures: {
    refused: "proxy-refused",
    lost: "proxy-refused",
    nowhere: "proxy-refused",
    unknownName: "proxy-refused",
  },
} as const;

const subjects: readonly Subject[] = [
  {
    name: "direct",
    setup: () => ({ kind: "direct" }),
    names: "none",
    halfClose: "kept",
    failures: { ...SOCKS5.failures, unknownName: "unsupported" },
  },
  {
    name: "microsocks",
    setup: () => by("socks5", PORTS.microsocksOpen),
    ...MICROSOCKS,
  },
  {
    name: "microsocks with a password",
    setup: () => by("socks5", PORTS.microsocks, { credentials: USER }),
    ...MICROSOCKS,
  },
  {
    name: "dante with a password",
    setup: () => by("socks5", PORTS.dante, { credentials: USER }),
    ...SOCKS5,
    halfClose: "kept",
  },
  {
    name: "tinyproxy with a password",
    setup: () => by("http", PORTS.tinyproxy, { credentials: HTTP_USER }),
    ...TINYPROXY,
  },
  {
    name: "tinyproxy behind TLS by socat",
    setup: () => by("http", PORTS.socat, { credentials: HTTP_USER, tls }),
    ...TINYPROXY,
  },
];

for (const subject of subjects) testContract(subject, () => echo);

Deno.test("real proxies: wrong passwords and none", async () => {
  using world = new DialWorld();
  const to = target(PLACE.destination4, echo.port);
  const wrong = { user: USER.user, password: "Geheim" };
  const unknown = { user: "mallory", password: USER.password };
  const places = [
    ["socks5", PORTS.microsocks, {}],
    ["socks5", PORTS.dante, {}],
    ["http", PORTS.tinyproxy, {}],
    ["http", PORTS.socat, { tls }],
  ] as const;
  for (const [kind, port, more] of places) {
    for (const credentials of [wrong, unknown, undefined]) {
      const dialer = world.open(by(kind, port, { ...more, credentials }));
      const failure = await world.failure(dialer, to);
      const what = `${port} ${credentials?.user}: ${failure.text}`;
      assert.equal(failure.kind, "proxy-auth", what);
      assert.match(
        failure.text,
        credentials === undefined ? /wants a user|none/ : /refuses this user/,
      );
      assert.doesNotMatch(failure.text, /Geheim/);
    }
  }
});

Deno.test("real proxies: killed in the middle, the tunnel ends at once", async () => {
  using world = new DialWorld();
  const dialer = world.open(
    by("socks5", PORTS.microsocks, { credentials: USER }),
  );
  const to = target(PLACE.destination4, echo.port);
  using connection = await world.connect(dialer, to);
  await connection.receiveExactly(BANNER.length);
  const [microsocks] = proxies;
  microsocks.signal("SIGKILL");
  const end = await connection.receive().catch((error) => error.message);
  assert.ok(end.length === 0 || /reset/.test(String(end)));
  await microsocks.ended;
  const failure = await world.failure(dialer, to);
  assert.equal(failure.kind, "proxy-unreachable");
});

Deno.test("direct: local address, interface, mark", async () => {
  using world = new DialWorld();
  const to = target(PLACE.destination4, echo.port);
  const { words: localAddress } = target("127.0.0.9", 0);
  {
    const dialer = world.open({ kind: "direct", origin: { localAddress } });
    using _connection = await world.connect(dialer, to);
    await waitFor("the echo to see it", () => echo.from.at(-1) === "127.0.0.9");
    // An address of the other family is of no matter.
    const six = target(PLACE.destination6, echo.port);
    using _six = await world.connect(dialer, six);
  }
  const { words: foreign } = target("192.0.2.99", 0);
  const origins = [
    [{ localAddress: foreign }, "system", /assign requested address/],
    [{ interfaceName: "none0" }, "system", /No such device/],
    [{ interfaceIndex: 99 }, "system", /No such device/],
    [{ mark: 7 }, "network-unreachable", /Network is unreachable/],
  ] as const;
  for (const [origin, kind, text] of origins) {
    const dialer = world.open({ kind: "direct", origin });
    const failure = await world.failure(dialer, to);
    assert.equal(failure.kind, kind, failure.text);
    assert.match(failure.text, text);
  }
  for (const origin of [{ interfaceName: "lo" }, { interfaceIndex: 1 }]) {
    const dialer = world.open({
      kind: "direct",
      origin: { ...origin, mark: 8 },
    });
    using _connection = await world.connect(dialer, to);
  }
});

Deno.test("real proxies: reached by an origin, or not", async () => {
  using world = new DialWorld();
  const to = target(PLACE.destination4, echo.port);
  const setup = by("socks5", PORTS.microsocksOpen) as ProxySetup;
  const unmarked = world.open({ ...setup, origin: { mark: 8 } });
  using _connection = await world.connect(unmarked, to);
  const marked = world.open({ ...setup, origin: { mark: 7 } });
  const failure = await world.failure(marked, to);
  assert.equal(failure.kind, "proxy-unreachable");
  assert.match(
    failure.text,
    /^cannot reach the proxy: Network is unreachable$/,
  );
  const tlsless = by("http", closedPort(), { tls });
  const refused = await world.failure(world.open(tlsless), to);
  assert.equal(refused.kind, "proxy-unreachable");
  assert.match(refused.text, /Connection refused$/);
});
