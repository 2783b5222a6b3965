/** `sluice client` on Windows: to our own server, children of a program, a proxy through TLS. */
import { AMNEZIA } from "../support/amnezia.ts";
import assert from "node:assert/strict";
import type { ClientStatus, FlowView } from "../../src/control/client_port.ts";
import { PLACES, SEEN, wireguardTunnel } from "../support/client_lab.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import { generateKeyPair } from "../support/keys.ts";
import { makeClient, PORT, startServer, TUNNEL } from "../support/sluice.ts";
import { authorityPath, makeAuthority } from "../support/tls_authority.ts";
import { startTinyproxy, startTls } from "../support/tun2socks.ts";
import { waitFor } from "../support/wait.ts";
import { windowsPath } from "../../scripts/wine/place.ts";
import type { WineMachine } from "./support/machine.ts";
import {
  IN_VAIN,
  NOTHING,
  ProbeProgram,
  seenAs,
} from "./support/probe_program.ts";
import {
  ask,
  CLIENT_NEEDS,
  makePlace,
  sluice,
  startClient,
  tunnelsAreUp,
} from "./support/windows_client.ts";

/** By Wintun; without a kill switch, which Wine has not. */
const WINTUN = {
  default: "direct",
  capture: { mode: "wintun" },
  killSwitch: { enabled: false },
};

const HTTP = { address: PLACES.proxies, port: 3128 };
const TLS = { address: PLACES.proxies, port: 8443 };

const KINDS = [
  { title: "WireGuard", type: "wireguard", ofServer: {}, ofClient: {} },
  {
    title: "AmneziaWG",
    type: "amneziawg",
    ofServer: { amnezia: AMNEZIA },
    ofClient: { amnezia: { ...AMNEZIA, i1: "<b 0xc0ff00ee><r 25><t>" } },
  },
] as const;

for (const { title, type, ofServer, ofClient } of KINDS) {
  await e2eTest({
    name:
      `windows client: a program by ${title} to our server, TCP by its proxy, UDP and its DNS, both families`,
    needs: CLIENT_NEEDS,
    run: async (lab) => {
      const member = await makeClient(1);
      const keys = await generateKeyPair();
      const { place, machine } = await makePlace(lab, {
        prepare: async ({ proxies }) => {
          await startServer(proxies, {
            clients: [member],
            keys,
            config: {
              interface: ofServer,
              forward: { tcp: "proxy", ipv6: "nat" },
            },
          });
        },
      });
      const client = await startClient(place, machine, {
        ...WINTUN,
        tunnels: [{
          ...ofClient,
          name: "home",
          type,
          privateKey: member.privateKey,
          addresses: [`${member.address}/32`, `${member.address6}/128`],
          peers: [{
            publicKey: keys.publicKey,
            endpoint: `${PLACES.proxies}:${PORT}`,
          }],
          dns: [TUNNEL.gateway, TUNNEL.gateway6],
        }],
        rules: [{ process: "alpha.exe", tunnel: "home" }],
      });
      await tunnelsAreUp(client, ["home"]);
      const [alpha, gamma] = await Promise.all(
        ["alpha", "gamma"].map((name) => ProbeProgram.start(machine, name)),
      );
      assert.deepEqual(await alpha.ask(), seenAs(SEEN.proxy));
      assert.deepEqual(await gamma.ask(), seenAs(SEEN.direct));
      // The server asks its own resolver, which has IPv4.
      assert.deepEqual(
        await alpha.ask({
          address: OUTSIDE.first6,
          resolver: OUTSIDE.first6,
        }),
        { ...seenAs(SEEN.proxy6), dns: SEEN.proxy },
      );
      const status = await ask<ClientStatus>(machine, "status", "--json");
      assert.ok(status.tunnels[0].receivedBytes > 0);
      assert.equal(await client.stop(), 0, client.tail());
    },
  });
}

/** What runs on the machine. */
async function tasks(machine: WineMachine): Promise<string> {
  return (await machine.run(["tasklist.exe"])).stdout;
}

await e2eTest({
  name:
    "windows client: a child follows its parent, also after that has ended; explain says why",
  needs: CLIENT_NEEDS,
  run: async (lab) => {
    const { place, machine } = await makePlace(lab);
    // Before the client: of a program that is being made Wine tells a start time
    // that is not its own.
    const [worker, stranger] = await Promise.all([
      ProbeProgram.startBy("launcher", machine, "worker"),
      ProbeProgram.start(machine, "stranger"),
    ]);
    const client = await startClient(place, machine, {
      ...WINTUN,
      tunnels: [{ ...wireguardTunnel(place), dns: [PLACES.tunnelDns] }],
      rules: [{ process: "launcher.exe", children: true, tunnel: "wg" }],
    });
    await tunnelsAreUp(client, ["wg"]);
    assert.deepEqual(await worker.ask(), seenAs(SEEN.wireguard));
    assert.deepEqual(await stranger.ask(), seenAs(SEEN.direct));
    assert.match(await tasks(machine), /launcher\.exe/);
    worker.process.signal("SIGKILL");
    await waitFor(
      "the launcher to be gone",
      async () => !(await tasks(machine)).includes("launcher.exe"),
    );
    assert.deepEqual(await worker.ask(), seenAs(SEEN.wireguard));
    const flows = await ask<FlowView[]>(machine, "flows", "--json");
    const { program } = flows.find(({ program }) =>
      program?.name === "worker.exe"
    )!;
    const { stdout } = await sluice(
      machine,
      ...["explain", String(program!.processId), `${OUTSIDE.first}:7000`],
    );
    assert.match(stdout, /children: .*\\launcher\.exe is an ancestor/);
    assert.match(stdout, /^verdict: tunnel wg, by rule 1$/m);
    assert.equal(await client.stop(), 0, client.tail());
  },
});

await e2eTest({
  name:
    "windows client: a program by an HTTP proxy through TLS, its certificate checked; UDP is dropped",
  needs: [
    ...CLIENT_NEEDS,
    ...["tinyproxy", "socat", "openssl"].map((program) => ({ program })),
  ],
  run: async (lab) => {
    const { place, machine } = await makePlace(lab, {
      env: { DENO_CERT: windowsPath(authorityPath(lab, "safe")) },
      prepare: async ({ proxies }) => {
        await startTinyproxy(proxies, HTTP);
        for (const [n, name] of ["safe", "stranger"].entries()) {
          const { pem } = await makeAuthority(lab, {
            name,
            address: TLS.address,
          });
          await startTls(proxies, {
            ...TLS,
            port: TLS.port + n,
            behind: `${HTTP.address}:${HTTP.port}`,
            pem,
          });
        }
      },
    });
    const client = await startClient(place, machine, {
      ...WINTUN,
      tunnels: ["safe", "stranger"].map((name, n) => ({
        name,
        type: "http",
        url: `https://${TLS.address}:${TLS.port + n}`,
        dns: [PLACES.tunnelDns],
      })),
      rules: [
        { process: "alpha.exe", tunnel: "safe" },
        { process: "beta.exe", tunnel: "stranger" },
      ],
    });
    await tunnelsAreUp(client, ["safe"]);
    const [alpha, beta] = await Promise.all(
      ["alpha", "beta"].map((name) => ProbeProgram.start(machine, name)),
    );
    assert.deepEqual(await alpha.ask(), { ...seenAs(SEEN.proxy), udp: null });
    await client.waitForLine(/stranger is down: .*certificate/i);
    assert.deepEqual(await beta.ask(IN_VAIN), NOTHING);
    assert.equal(await client.stop(), 0, client.tail());
  },
});
