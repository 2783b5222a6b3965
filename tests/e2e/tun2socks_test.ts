/**
 * `sluice tun2socks` with real proxies and clients. The host is the gateway of
 * the drawing in gateway_net.ts; proxies and servers are in its internet.
 */
import assert from "node:assert/strict";
import { Agent } from "../support/agent.ts";
import { e2eTest } from "../support/e2e.ts";
import {
  type GatewayNet,
  makeGatewayNet,
  OUTSIDE,
} from "../support/gateway_net.ts";
import { hostState } from "../support/host_state.ts";
import type { Lab, Namespace } from "../support/lab.ts";
import type { LoggedProcess } from "../support/process.ts";
import { dropCount } from "../support/sluice.ts";
import { makeCertificate } from "../io/outbound/tls_proxy.ts";
import {
  lastStatistic,
  startDanteIn,
  startHttpBytes,
  startMicrosocks,
  startTinyproxy,
  startTls,
  startTun2socks,
} from "../support/tun2socks.ts";
import { waitFor } from "../support/wait.ts";

const NEEDS = ["tun", { program: "curl" }, { program: "ss" }] as const;
const MICROSOCKS = { program: "microsocks" } as const;
const HTTP_PORT = 8080;
const SOCKS = { address: OUTSIDE.second, port: 1080 } as const;
const SOCKS_URL = `${SOCKS.address}:${SOCKS.port}`;
const SITES = [
  { name: "IPv4", address: OUTSIDE.first, site: `http://${OUTSIDE.first}` },
  { name: "IPv6", address: OUTSIDE.first6, site: `http://[${OUTSIDE.first6}]` },
] as const;

interface Place {
  readonly net: GatewayNet;
  readonly host: Namespace;
  readonly servers: readonly LoggedProcess[];
}

/** The network with an HTTP server of each family. */
async function makePlace(lab: Lab): Promise<Place> {
  const net = await makeGatewayNet(lab, 0);
  const servers = await Promise.all(
    SITES.map(({ address }) =>
      startHttpBytes(net.internet, { address, port: HTTP_PORT })
    ),
  );
  return { net, host: net.gateway, servers };
}

/** Downloads and uploads by both families; all hashes are right. */
async function transfer(
  { host, servers }: Place,
  megabytes: number,
): Promise<void> {
  for (const [n, { site }] of SITES.entries()) {
    const url = `${site}:${HTTP_PORT}`;
    const { stdout } = await host.run([
      "sh",
      "-c",
      `curl -sS --fail -m 50 "${url}/bytes?count=${
        megabytes * 1e6
      }" | sha256sum`,
    ], { timeoutMs: 60_000 });
    const lines = () => servers[n].lines.filter((line) => /^sent /.test(line));
    await servers[n].waitForLine(/^sent /);
    assert.equal(stdout.slice(0, 64), lines().at(-1)?.slice(5));
    const up = await host.run([
      "sh",
      "-c",
      `head -c ${
        megabytes * 1e6
      } /dev/urandom > /run/up; sha256sum < /run/up; ` +
      `curl -sS --fail -m 50 -T /run/up "${url}/hash"; rm /run/up`,
    ], { timeoutMs: 60_000 });
    const [here, there] = up.stdout.split("\n");
    assert.equal(there, here.slice(0, 64));
  }
}

/** curl's exit code for a URL. */
async function curlCode(host: Namespace, url: string): Promise<number> {
  const command = ["curl", "-sS", "-m", "5", "-o", "/dev/null", url];
  return (await host.run(command, { exit: "any", timeoutMs: 10_000 })).code;
}

/** curl: could not connect; timed out. */
const NOT_CONNECTED = 7;

await e2eTest({
  name: "tun2socks: curl by microsocks over IPv4 and IPv6, hashes right",
  needs: [...NEEDS, MICROSOCKS, { program: "ping" }],
  run: async (lab) => {
    const place = await makePlace(lab);
    const { host, net } = place;
    await startMicrosocks(net.internet, SOCKS);
    const process = await startTun2socks(host, [
      ...["-x", SOCKS_URL, "--default-route"],
    ]);
    await transfer(place, 30);
    assert.equal(
      await curlCode(host, `http://${OUTSIDE.first}:81`),
      NOT_CONNECTED,
    );
    // Nobody has these addresses: the answer is the program's own.
    await host.waitUntilReaches("192.0.2.77", 5000);
    await host.waitUntilReaches("2001:db8:77::1", 5000);
    assert.equal(await process.stop(), 0);
    assert.equal(lastStatistic(process, /([0-9 ]+) opened in all/), 4);
    assert.equal(lastStatistic(process, /TCP failed: refused ([0-9]+)/), 1);
    // The proxy's own connections never came into the interface.
    assert.equal(
      lastStatistic(process, /TCP new connections: ([0-9 ]+) packets/),
      5,
    );
  },
});

await e2eTest({
  name: "tun2socks: user and password, and a route alone",
  needs: [...NEEDS, MICROSOCKS],
  run: async (lab) => {
    const place = await makePlace(lab);
    const { host, net } = place;
    const credentials = { user: "me", password: "p@ss word" };
    await startMicrosocks(net.internet, { ...SOCKS, credentials });
    const url = (password: string) =>
      `socks5://me:${encodeURIComponent(password)}@${SOCKS_URL}`;
    const route = ["--route", `${OUTSIDE.first}/32`];
    const process = await startTun2socks(host, [
      ...["-x", url(credentials.password), ...route],
    ]);
    const site = `http://${OUTSIDE.first}:${HTTP_PORT}/bytes?count=1000`;
    assert.equal(await curlCode(host, site), 0);
    assert.equal(await process.stop(), 0);
    assert.ok(!process.text.includes("p@ss"), "no password in the log");
    assert.equal(lastStatistic(process, /([0-9 ]+) opened in all/), 1);

    const wrong = await startTun2socks(host, ["-x", url("other"), ...route]);
    assert.equal(await curlCode(host, site), NOT_CONNECTED);
    await wrong.stop();
    assert.equal(lastStatistic(wrong, /TCP failed: proxy-auth ([0-9]+)/), 1);
  },
});

await e2eTest({
  name: "tun2socks: what is excluded goes past the interface",
  needs: [...NEEDS, MICROSOCKS],
  run: async (lab) => {
    const { host, net } = await makePlace(lab);
    await startMicrosocks(net.internet, SOCKS);
    const second = { address: OUTSIDE.second, port: HTTP_PORT };
    await startHttpBytes(net.internet, second);
    const before = await hostState(host);
    const process = await startTun2socks(host, [
      ...["-x", SOCKS_URL, "--default-route"],
      ...["--exclude", `${OUTSIDE.second}/32`, "--exclude", OUTSIDE.first6],
    ]);
    for (
      const site of [SITES[0].site, SITES[1].site, `http://${OUTSIDE.second}`]
    ) {
      const url = `${site}:${HTTP_PORT}/bytes?count=1000`;
      assert.equal(await curlCode(host, url), 0, url);
    }
    assert.equal(await process.stop(), 0);
    assert.equal(lastStatistic(process, /([0-9 ]+) opened in all/), 1);
    assert.deepEqual(await hostState(host), before);
  },
});

await e2eTest({
  name:
    "tun2socks: a proxy on this machine is warned of where a default route would lead back to it",
  needs: [...NEEDS, MICROSOCKS],
  run: async (lab) => {
    const { host } = await makePlace(lab);
    await startMicrosocks(host, { address: "127.0.0.1", port: 1080 });
    const process = await startTun2socks(host, [
      ...["--route", `${OUTSIDE.second}/32`],
    ]);
    assert.doesNotMatch(process.text, /WARNING/);
    await process.stop();
    const all = await startTun2socks(host, ["--default-route"]);
    assert.match(all.text, /WARNING .*the proxy runs on this machine/);
    await all.stop();
  },
});

await e2eTest({
  name: "tun2socks: by an HTTP proxy; UDP is dropped and counted",
  needs: [...NEEDS, { program: "tinyproxy" }],
  run: async (lab) => {
    const place = await makePlace(lab);
    const { host, net } = place;
    const proxy = { address: OUTSIDE.second, port: 8888 };
    await startTinyproxy(net.internet, proxy);
    const process = await startTun2socks(host, [
      ...["-x", `http://${proxy.address}:${proxy.port}`, "--default-route"],
    ]);
    await transfer(place, 5);
    const agent = await Agent.start(host);
    const { handle } = await agent.call("udpOpen", {});
    await agent.call("udpSend", {
      ...{ handle, address: OUTSIDE.first, port: 4000, text: "lost" },
    });
    await process.waitForLine(/gives no UDP/);
    await process.stop();
    assert.equal(dropCount(process, "UDP refused by the proxy"), 1);
  },
});

await e2eTest({
  name: "tun2socks: by an HTTP proxy through TLS, its certificate checked",
  needs: [
    ...NEEDS,
    ...["tinyproxy", "socat", "openssl"].map((program) => ({ program })),
  ],
  run: async (lab) => {
    const place = await makePlace(lab);
    const { host, net } = place;
    const inner = { address: OUTSIDE.second, port: 8888 };
    const outer = { address: OUTSIDE.second, port: 8443 };
    await startTinyproxy(net.internet, inner);
    const { key, certificate } = await makeCertificate(outer.address);
    await startTls(net.internet, {
      ...outer,
      behind: `${inner.address}:${inner.port}`,
      pem: key + certificate,
    });
    const file = await lab.write("ca.pem", certificate);
    const args = ["-x", `https://${outer.address}:${outer.port}`];
    const refused = await startTun2socks(host, [...args, "--default-route"]);
    const site = `${SITES[0].site}:${HTTP_PORT}/bytes?count=1`;
    const curl = await host.run(["curl", "-sS", "-m", "20", site], {
      exit: "any",
    });
    assert.equal(curl.code, 7, curl.stderr);
    await refused.waitForLine(/certificate/i);
    await refused.stop();
    const process = await startTun2socks(host, [
      ...[...args, "--proxy-ca", file, "--default-route"],
    ]);
    await transfer(place, 5);
    await process.stop();
  },
});

await e2eTest({
  name: "tun2socks: dig by dante's UDP; by microsocks over TCP",
  needs: [...NEEDS, MICROSOCKS, { program: "danted" }, { program: "dig" }],
  run: async (lab) => {
    const { host, net } = await makePlace(lab);
    const resolver = await Agent.start(net.internet);
    await resolver.call("dnsServe", {
      address: OUTSIDE.dns,
      addresses: { "a.test": "192.0.2.55" },
    });
    const dig = async () =>
      (await host.run([
        ...[
          "dig",
          "+short",
          "+tries=1",
          "+time=5",
          `@${OUTSIDE.dns}`,
          "a.test",
        ],
      ])).stdout.trim();

    await startDanteIn(net.internet, { ...SOCKS, external: ["eth0"] });
    const byUdp = await startTun2socks(host, [
      "-x",
      SOCKS_URL,
      "--default-route",
    ]);
    assert.equal(await dig(), "192.0.2.55");
    await byUdp.stop();
    assert.match(byUdp.text, /UDP by the proxy: out 1 datagrams/);

    const other = { address: OUTSIDE.second, port: 1081 };
    await startMicrosocks(net.internet, other);
    const byTcp = await startTun2socks(host, [
      ...["-x", `${other.address}:${other.port}`, "--default-route"],
    ]);
    assert.equal(await dig(), "192.0.2.55");
    await byTcp.stop();
    assert.match(byTcp.text, /DNS over TCP: 1 queries, 1 answers/);
  },
});

await e2eTest({
  name: "tun2socks: direct://, TCP, UDP and ping, and nothing goes in circles",
  needs: [...NEEDS, { program: "ping" }],
  run: async (lab) => {
    const place = await makePlace(lab);
    const { host, net } = place;
    const process = await startTun2socks(host, [
      ...["-x", "direct://", "--default-route", "--icmp", "forward"],
      ...["--log-level", "trace"],
    ]);
    await transfer(place, 30);
    const [client, server] = await Promise.all([
      Agent.start(host),
      Agent.start(net.internet),
    ]);
    const echo = await server.call("udpOpen", {
      ...{ address: OUTSIDE.first, port: 4000 },
    });
    const own = await client.call("udpOpen", {});
    await client.call("udpSend", {
      ...{ handle: own.handle, address: OUTSIDE.first, port: 4000, text: "to" },
    });
    const got = await server.call("udpReceive", {
      ...{ handle: echo.handle, timeoutMs: 3000 },
    });
    assert.equal(got?.text, "to");
    assert.equal(got?.address, "10.2.0.1", "from the host's own address");
    await server.call("udpSend", {
      ...{ handle: echo.handle, address: got!.address, port: got!.port },
      text: "fro",
    });
    const back = await client.call("udpReceive", {
      ...{ handle: own.handle, timeoutMs: 3000 },
    });
    assert.deepEqual([back?.text, back?.address], ["fro", OUTSIDE.first]);

    for (const target of [OUTSIDE.first, OUTSIDE.first6]) {
      const { stdout } = await host.run([
        ...["ping", "-n", "-c", "3", "-i", "0.2", "-s", "3000", target],
      ]);
      assert.match(stdout, /3 packets transmitted, 3 received, 0% packet loss/);
      assert.doesNotMatch(stdout, /DUP|duplicates/);
    }
    // Nobody is there: the router says so, and the program hears it.
    const { stdout } = await host.run(
      ["ping", "-n", "-c", "1", "-W", "5", OUTSIDE.nobody],
      { exit: "any", timeoutMs: 10_000 },
    );
    assert.match(stdout, /Destination Host Unreachable/);
    await process.stop();
    // Resolvers may be asked meanwhile; a circle would be many more.
    const sent = lastStatistic(
      process,
      /UDP to the outside: ([0-9 ]+) packets/,
    );
    assert.ok(sent! < 40, `${sent} datagrams`);
    assert.equal(
      lastStatistic(process, /TCP new connections: ([0-9 ]+) packets/),
      4,
    );
  },
});

await e2eTest({
  name: "tun2socks: a proxy that comes later is found by the next connection",
  needs: [...NEEDS, MICROSOCKS],
  run: async (lab) => {
    const { host, net } = await makePlace(lab);
    const process = await startTun2socks(host, [
      ...["-x", SOCKS_URL, "--default-route"],
    ]);
    await process.waitForLine(/WARNING .*can't be reached now \(.*refused/i);
    const site = `http://${OUTSIDE.first}:${HTTP_PORT}/bytes?count=1000`;
    assert.equal(await curlCode(host, site), NOT_CONNECTED);
    await startMicrosocks(net.internet, SOCKS);
    assert.equal(await curlCode(host, site), 0);
    await process.stop();
    assert.equal(
      lastStatistic(process, /TCP failed: proxy-unreachable ([0-9]+)/),
      1,
    );
  },
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  await e2eTest({
    name: `tun2socks: ${signal} undoes everything, an open connection ends`,
    needs: [...NEEDS, MICROSOCKS],
    run: async (lab) => {
      const { host, net } = await makePlace(lab);
      await startMicrosocks(net.internet, SOCKS);
      const before = await hostState(host);
      const process = await startTun2socks(host, [
        ...["-x", SOCKS_URL, "--default-route", "--tun-ip", "10.9.0.1/24"],
      ]);
      assert.notDeepEqual(await hostState(host), before);
      const download = host.spawn("curl", [
        ...["curl", "-sS", "-m", "20", "-o", "/dev/null", "--limit-rate", "1M"],
        `http://${OUTSIDE.first}:${HTTP_PORT}/bytes?count=1000000000`,
      ]);
      await waitForOpen(process);
      process.signal(signal);
      assert.equal(await process.waitForExit(), 0, process.tail());
      assert.notEqual(await download.waitForExit(), 0);
      assert.deepEqual(await hostState(host), before);
    },
  });
}

await e2eTest({
  name:
    "tun2socks: after kill -9 the next start works, and its end leaves nothing",
  needs: [...NEEDS, MICROSOCKS],
  run: async (lab) => {
    const { host, net } = await makePlace(lab);
    await startMicrosocks(net.internet, SOCKS);
    const before = await hostState(host);
    const site = `http://${OUTSIDE.first}:${HTTP_PORT}/bytes?count=1000`;
    for (const end of ["SIGKILL", "SIGTERM"] as const) {
      const process = await startTun2socks(host, [
        ...["-x", SOCKS_URL, "--default-route"],
      ]);
      assert.equal(await curlCode(host, site), 0);
      process.signal(end);
      await process.waitForExit();
    }
    assert.deepEqual(await hostState(host), before);
  },
});

await e2eTest({
  name:
    "tun2socks: a strict reverse path filter is loosened, and strict again at the end or after a crash",
  needs: [...NEEDS, MICROSOCKS],
  run: async (lab) => {
    const { host, net } = await makePlace(lab);
    await startMicrosocks(net.internet, SOCKS);
    for (const name of ["all", "out"]) {
      await host.sysctl(`net.ipv4.conf.${name}.rp_filter`, 1);
    }
    const filter = async () =>
      (await host.run(["cat", "/proc/sys/net/ipv4/conf/out/rp_filter"])).stdout;
    const site = `http://${OUTSIDE.first}:${HTTP_PORT}/bytes?count=1000`;
    for (const proxy of [SOCKS_URL, "direct://"]) {
      const process = await startTun2socks(host, [
        ...["-x", proxy, "--default-route"],
      ]);
      assert.equal(await filter(), "2\n");
      assert.equal(await curlCode(host, site), 0);
      await process.stop();
      assert.equal(await filter(), "1\n");
    }
    const killed = await startTun2socks(host, ["-x", "direct://"]);
    killed.signal("SIGKILL");
    await killed.waitForExit();
    assert.equal(await filter(), "2\n");
    const next = await startTun2socks(host, [
      ...["-x", SOCKS_URL, "--route", "192.0.2.0/24"],
    ]);
    assert.match(next.text, /gave out its reverse path filter back, left by/);
    assert.equal(await filter(), "1\n");
    await next.stop();
  },
});

await e2eTest({
  name: "tun2socks: two at once, each with addresses of its own",
  needs: [...NEEDS, MICROSOCKS],
  run: async (lab) => {
    const { host, net } = await makePlace(lab);
    await startMicrosocks(net.internet, SOCKS);
    const before = await hostState(host);
    const first = await startTun2socks(host, [
      ...["-x", SOCKS_URL, "--route", `${OUTSIDE.first}/32`],
    ]);
    const second = await startTun2socks(host, [
      ...["-x", SOCKS_URL, "--route", `${OUTSIDE.first6}/128`],
      ...["-n", "second", "-i", "10.0.0.2", "--tun-ip6", "fd00::2"],
    ]);
    for (const { site } of SITES) {
      const url = `${site}:${HTTP_PORT}/bytes?count=100000`;
      assert.equal(await curlCode(host, url), 0, url);
    }
    for (const process of [first, second]) {
      assert.equal(await process.stop(), 0);
      assert.equal(lastStatistic(process, /([0-9 ]+) opened in all/), 1);
    }
    assert.deepEqual(await hostState(host), before);
  },
});

await e2eTest({
  name: "tun2socks: an interface that somebody removes ends it with a message",
  needs: NEEDS,
  run: async (lab) => {
    const { gateway: host } = await makeGatewayNet(lab, 0);
    const before = await hostState(host);
    const process = await startTun2socks(host, [
      ...["-x", "direct://", "--default-route"],
    ]);
    await host.ip("link del sluice-tun");
    assert.equal(await process.waitForExit(), 1, process.tail());
    assert.match(process.text, /error: .*sluice-tun was removed/);
    assert.deepEqual(await hostState(host), before);
  },
});

for (const mtu of ["576", "1280", "9000", "65535"]) {
  await e2eTest({
    name: `tun2socks: MTU ${mtu}`,
    needs: NEEDS,
    run: async (lab) => {
      const place = await makePlace(lab);
      const process = await startTun2socks(place.host, [
        ...["-x", "direct://", "--default-route", "-m", mtu],
      ]);
      await transfer(place, 5);
      await process.stop();
      const warns =
        /WARNING .*no IPv6, which goes past it: its MTU is below 1280/;
      const warnings = process.lines.filter((line) => warns.test(line));
      assert.equal(warnings.length, Number(mtu) < 1280 ? 1 : 0);
    },
  });
}

await e2eTest({
  name: "tun2socks: SIGUSR1 prints all counters and opens no debugger",
  needs: [...NEEDS, MICROSOCKS],
  run: async (lab) => {
    const { host, net } = await makePlace(lab);
    await startMicrosocks(net.internet, SOCKS);
    const process = await startTun2socks(host, ["-x", SOCKS_URL]);
    await waitForOpen(process, /0 open/);
    await waitFor("the debugger to be closed", async () => {
      const { stdout } = await host.run(["ss", "-Hltn"]);
      return !stdout.includes(":9229 ");
    });
    assert.match(process.text, /from the interface: [0-9 ]+ packets/);
    await process.stop();
  },
});

/** Asks for the counters until they show a connection. */
async function waitForOpen(
  process: LoggedProcess,
  pattern = /TCP: [1-9][0-9]* open/,
): Promise<void> {
  for (let tries = 50; tries > 0 && !pattern.test(process.text); tries--) {
    process.signal("SIGUSR1");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.match(process.text, pattern);
}
