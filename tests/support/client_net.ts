/**
 * The network of a split tunnel: programs, and all that they can go by, each
 * seen from the outside by an address of its own.
 *
 *   app 10.2.0.1 ── router ── outside 198.51.100.10, .11, .53
 *                     ├────── proxy   203.0.113.2      SOCKS5
 *                     └────── vpn     192.0.2.2        wireguard-go; 10.77.0.2 are its clients
 *
 * In IPv6 the same: 2001:db8:2::1, 2001:db8:3::10, 2001:db8:4::2, 2001:db8:5::2; fd77::2.
 */
import { denoRun } from "./agent.ts";
import type { ClientProgramSetup, TableWay } from "./client_program.ts";
import { startDanteIn, startMicrosocks } from "./tun2socks.ts";
import { type GatewayNet, makeGatewayNet, OUTSIDE } from "./gateway_net.ts";
import { generateKeyPair } from "./keys.ts";
import type { Lab, Namespace } from "./lab.ts";
import type { LoggedProcess } from "./process.ts";
import { startWireguardGo } from "./wireguard_go.ts";

const WHOAMI = new URL("./whoami.ts", import.meta.url).pathname;
const CLIENT = new URL("./client_program.ts", import.meta.url).pathname;

/** How each way is seen from outside. */
export const SEEN = {
  direct: "10.2.0.1",
  direct6: "2001:db8:2::1",
  proxy: "203.0.113.2",
  proxy6: "2001:db8:4::2",
  tunnel: "10.77.0.2",
  tunnel6: "fd77::2",
} as const;

const PROXY_PORT = 1080;
const WG_PORT = 51820;
const MARK = 0x51c1;
const TABLE = 5100;
const TUN = "cap0";
const HOST = ["10.90.0.2/24", "fd90::2/64"] as const;

/** A running split tunnel in its network. */
export interface ClientNet {
  readonly net: GatewayNet;
  /** Where programs run. */
  readonly app: Namespace;
  readonly outside: Namespace;
  readonly vpn: Namespace;
  readonly client: LoggedProcess;
  /** Sends a command to the client and waits until it is done. */
  tell(command: string): Promise<void>;
}

/** Makes it; the outside tells on `ports` whom it sees, by TCP and UDP. */
export async function makeClientNet(
  lab: Lab,
  options: {
    readonly ports: readonly number[];
    readonly table: Readonly<Record<string, TableWay>>;
    readonly proxy?: "microsocks" | "dante";
    /** MTU of the tunnel. */
    readonly mtu?: number;
  },
): Promise<ClientNet> {
  const net = await makeGatewayNet(lab, 0);
  const { gateway: app, router, internet: outside } = net;
  const [proxy, vpn] = await Promise.all([
    lab.namespace("proxy"),
    lab.namespace("vpn"),
  ]);
  await joinRouter(lab, router, proxy, "203.0.113", "2001:db8:4");
  await joinRouter(lab, router, vpn, "192.0.2", "2001:db8:5");
  await vpn.sysctl("net.ipv4.ip_forward", 1);
  await vpn.sysctl("net.ipv6.conf.all.forwarding", 1);
  await router.ip(
    "route add 10.77.0.0/24 via 192.0.2.2",
    "route add fd77::/64 via 2001:db8:5::2",
  );
  const server = await generateKeyPair();
  const own = await generateKeyPair();
  const { mtu = 1420 } = options;
  await startWireguardGo(vpn, {
    privateKey: server.privateKey,
    listenPort: WG_PORT,
    addresses: ["10.77.0.1/24", "fd77::1/64"],
    mtu,
    peers: [{
      publicKey: own.publicKey,
      allowedIps: ["10.77.0.2/32", "fd77::2/128"],
    }],
  });
  const place = { address: SEEN.proxy, port: PROXY_PORT };
  if (options.proxy === "dante") {
    await startDanteIn(proxy, { ...place, external: ["eth0"] });
  } else await startMicrosocks(proxy, place);
  const whoami = outside.spawn(
    "whoami",
    denoRun(
      WHOAMI,
      JSON.stringify({
        ports: options.ports,
        addresses: [
          OUTSIDE.first,
          OUTSIDE.second,
          OUTSIDE.dns,
          OUTSIDE.first6,
        ],
      }),
    ),
  );
  await whoami.waitForLine(/whoami is ready/);
  const setup: ClientProgramSetup = {
    name: TUN,
    mark: MARK,
    egress: "out",
    addresses: HOST,
    wireguard: {
      2: {
        privateKey: own.privateKey,
        publicKey: server.publicKey,
        endpoint: `192.0.2.2:${WG_PORT}`,
        addresses: ["10.77.0.2/32", "fd77::2/128"],
        mtu,
      },
    },
    proxies: { 1: `socks5://${SEEN.proxy}:${PROXY_PORT}` },
    table: options.table,
  };
  const client = app.spawn("client", denoRun(CLIENT, JSON.stringify(setup)), {
    stdin: "piped",
  });
  await client.waitForLine(/client is up/);
  await capture(app);
  let commands = 0;
  return {
    net,
    app,
    outside,
    vpn,
    client,
    async tell(command) {
      // Each ends in another number, so that its end is known.
      const text = `${command} ${++commands}`;
      await client.writeLine(text);
      await client.waitForLine(new RegExp(`^done ${text}$`));
    },
  };
}

/** Leads all that programs send into the interface, but what has the mark. */
async function capture(app: Namespace): Promise<void> {
  for (const family of ["-4", "-6"]) {
    await app.run(["ip", family, "rule", "add", ...fromMark()]);
    await app.run([
      ...["ip", family, "rule", "add", "pref", "200"],
      ...["lookup", String(TABLE)],
    ]);
    const route = ["default", "dev", TUN, "table", String(TABLE)];
    await app.run(["ip", family, "route", "add", ...route]);
  }
}

function fromMark(): string[] {
  return ["pref", "100", "fwmark", String(MARK), "lookup", "main"];
}

async function joinRouter(
  lab: Lab,
  router: Namespace,
  namespace: Namespace,
  net4: string,
  net6: string,
): Promise<void> {
  await lab.link(
    {
      namespace: router,
      name: namespace.name,
      addresses: [`${net4}.1/24`, `${net6}::1/64`],
    },
    {
      namespace,
      name: "eth0",
      addresses: [`${net4}.2/24`, `${net6}::2/64`],
    },
  );
  await namespace.ip(
    `route add default via ${net4}.1`,
    `route add ::/0 via ${net6}::1`,
  );
}
