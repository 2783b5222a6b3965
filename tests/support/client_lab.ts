/**
 * The network of `sluice client`'s scenarios, and programs in it.
 *
 *   host --10.2.0.0/24-- router --198.51.100.0/24-- internet
 *                          |
 *                          +--10.3.0.0/24-- vpn (wireguard-go; 10.66.0.0/24 behind)
 *                          +--10.4.0.0/24-- proxies
 *
 * In IPv6 2001:db8:2::/64 (host), :3:: (internet), :4:: (vpn), :5:: (proxies),
 * and fd66::/64 inside the tunnel. The internet has routes to all of them, so
 * that it sees each way by its own address: `SEEN`.
 */
import { denoRun } from "./agent.ts";
import { type GatewayNet, makeGatewayNet, OUTSIDE } from "./gateway_net.ts";
import { generateKeyPair, type KeyPair } from "./keys.ts";
import type { Lab, Namespace } from "./lab.ts";
import type { CommandResult, LoggedProcess } from "./process.ts";
import { runSluice, spawnSluice } from "./sluice.ts";
import { waitFor } from "./wait.ts";
import type { ClientStatus } from "../../src/control/client_port.ts";
import { startWireguardGo, type WireguardGo } from "./wireguard_go.ts";

/** From where the internet sees each way. */
export const SEEN = {
  direct: "10.2.0.1",
  direct6: "2001:db8:2::1",
  wireguard: "10.66.0.2",
  wireguard6: "fd66::2",
  proxy: "10.4.0.2",
  proxy6: "2001:db8:5::2",
} as const;

/** Where wireguard-go and the proxies are. */
export const PLACES = {
  vpn: "10.3.0.2",
  vpnPort: 51820,
  proxies: "10.4.0.2",
  /** Resolvers: of the internet, and of the network behind the tunnel. */
  dns: OUTSIDE.dns,
  tunnelDns: OUTSIDE.second,
} as const;

/** The port that tells callers their address. */
export const ECHO_PORT = 7000;

/** The wired network with its servers. */
export interface ClientLab {
  readonly lab: Lab;
  readonly net: GatewayNet;
  readonly host: Namespace;
  readonly vpn: Namespace;
  readonly proxies: Namespace;
  readonly keys: { readonly host: KeyPair; readonly vpn: KeyPair };
  readonly wireguard: WireguardGo;
  /** Echoes of the internet, by their addresses. */
  readonly echoes: ReadonlyMap<string, LoggedProcess>;
}

/** What processes of the lab's client need to keep to themselves. */
export const CLIENT_ENV = { STATE_DIRECTORY: "/run/state" } as const;

const ECHO = new URL("./source_echo.ts", import.meta.url).pathname;

/** Makes it; the host's resolv.conf and state are the lab's own. */
export async function makeClientLab(lab: Lab): Promise<ClientLab> {
  const net = await makeGatewayNet(lab, 0);
  const [vpn, proxies] = await Promise.all([
    lab.namespace("vpn"),
    lab.namespace("proxies"),
  ]);
  await join(lab, net, { namespace: vpn, name: "vpn", n: 3 });
  await join(lab, net, { namespace: proxies, name: "proxies", n: 4 });
  await net.router.ip(
    "route add 10.66.0.0/24 via 10.3.0.2",
    "route add fd66::/64 via 2001:db8:4::2",
  );
  await vpn.sysctl("net.ipv4.ip_forward", 1);
  await vpn.sysctl("net.ipv6.conf.all.forwarding", 1);
  const [hostKeys, vpnKeys] = await Promise.all([
    generateKeyPair(),
    generateKeyPair(),
  ]);
  const wireguard = await startWireguardGo(vpn, {
    privateKey: vpnKeys.privateKey,
    listenPort: PLACES.vpnPort,
    addresses: ["10.66.0.1/24", "fd66::1/64"],
    peers: [{
      publicKey: hostKeys.publicKey,
      allowedIps: [`${SEEN.wireguard}/32`, `${SEEN.wireguard6}/128`],
    }],
  });
  const echoes = new Map<string, LoggedProcess>();
  const addresses = [
    OUTSIDE.first,
    OUTSIDE.second,
    OUTSIDE.dns,
    OUTSIDE.first6,
  ];
  await Promise.all(addresses.map(async (address) => {
    const process = net.internet.spawn(
      `echo ${address}`,
      denoRun(ECHO, JSON.stringify({ address, port: ECHO_PORT, dnsPort: 53 })),
    );
    await process.waitForLine(/^listening$/);
    echoes.set(address, process);
  }));
  await isolate(net.gateway);
  return {
    lab,
    net,
    host: net.gateway,
    vpn,
    proxies,
    keys: { host: hostKeys, vpn: vpnKeys },
    wireguard,
    echoes,
  };
}

/** A resolv.conf and a state directory that no other lab sees. */
async function isolate(host: Namespace): Promise<void> {
  await host.run([
    "sh",
    "-ec",
    [
      `echo 'nameserver ${PLACES.dns}' > /run/resolv.conf`,
      "mount --bind /run/resolv.conf /etc/resolv.conf",
      "mkdir -p /run/state",
    ].join("\n"),
  ]);
}

async function join(
  lab: Lab,
  { router }: GatewayNet,
  { namespace, name, n }: {
    readonly namespace: Namespace;
    readonly name: string;
    readonly n: number;
  },
): Promise<void> {
  await lab.link(
    {
      namespace: router,
      name,
      addresses: [`10.${n}.0.1/24`, `2001:db8:${n + 1}::1/64`],
    },
    {
      namespace,
      name: "eth0",
      addresses: [`10.${n}.0.2/24`, `2001:db8:${n + 1}::2/64`],
    },
  );
  await namespace.ip(
    `route add default via 10.${n}.0.1`,
    `route add ::/0 via 2001:db8:${n + 1}::1`,
  );
}

/** The tunnel to wireguard-go as client.yaml has it. */
export function wireguardTunnel(
  { keys }: ClientLab,
  name = "wg",
): Record<string, unknown> {
  return {
    name,
    type: "wireguard",
    privateKey: keys.host.privateKey,
    addresses: [`${SEEN.wireguard}/32`, `${SEEN.wireguard6}/128`],
    peers: [{
      publicKey: keys.vpn.publicKey,
      endpoint: `${PLACES.vpn}:${PLACES.vpnPort}`,
    }],
  };
}

/** Starts `sluice client` with a config and waits until it is up. */
export async function startClient(
  { lab, host }: ClientLab,
  config: Record<string, unknown>,
  options: {
    readonly logLevel?: string;
    readonly name?: string;
    readonly env?: Readonly<Record<string, string>>;
  } = {},
): Promise<LoggedProcess> {
  const path = await lab.write(
    options.name ?? "client.yaml",
    JSON.stringify(config, undefined, 2),
  );
  const process = spawnSluice(host, "client", {
    args: ["client", "-c", path, "--log-level", options.logLevel ?? "debug"],
    env: { ...CLIENT_ENV, ...options.env },
  });
  await process.waitForLine(/client up:/);
  return process;
}

/** Programs under names of their own: copies of nc, dig and the like. */
export async function makeProgram(
  lab: Lab,
  source: string,
  name: string,
): Promise<string> {
  const folder = `${lab.directory}/bin`;
  await Deno.mkdir(folder, { recursive: true });
  const path = `${folder}/${name}`;
  await Deno.copyFile(source, path);
  await Deno.chmod(path, 0o755);
  return path;
}

/** What the internet sees of a program by TCP; undefined where nothing comes back. */
export async function seenByTcp(
  host: Namespace,
  program: string,
  address: string,
): Promise<string | undefined> {
  const { stdout } = await host.run(
    [program, "-N", "-w", "3", address, String(ECHO_PORT)],
    { input: "GET / HTTP/1.0\r\n\r\n", exit: "any", timeoutMs: 10_000 },
  );
  return stdout.trim().split("\n").at(-1)?.trim() || undefined;
}

/** The same by proxies that end both ways where one has ended: without -N. */
export async function seenByProxy(
  host: Namespace,
  program: string,
  address: string = OUTSIDE.first,
): Promise<string | undefined> {
  const { stdout } = await host.run(
    [program, "-w", "3", address, String(ECHO_PORT)],
    { input: "GET / HTTP/1.0\r\n\r\n", exit: "any", timeoutMs: 10_000 },
  );
  return stdout.trim().split("\n").at(-1)?.trim() || undefined;
}

/** The same by UDP. */
export async function seenByUdp(
  host: Namespace,
  program: string,
  address: string,
): Promise<string | undefined> {
  const { stdout } = await host.run(
    [program, "-u", "-w", "2", address, String(ECHO_PORT)],
    { input: "hello\n", exit: "any", timeoutMs: 10_000 },
  );
  return stdout.trim() || undefined;
}

/** The source that a resolver saw of a program's question; undefined without an answer. */
export async function seenByDns(
  host: Namespace,
  program: string,
  resolver?: string,
): Promise<string | undefined> {
  const at = resolver === undefined ? [] : [`@${resolver}`];
  const { stdout } = await host.run(
    [program, ...at, "+short", "+time=2", "+tries=2", "who.example", "TXT"],
    { exit: "any", timeoutMs: 10_000 },
  );
  return /^"(.*)"$/m.exec(stdout)?.[1];
}

/** Runs `sluice ARGS` beside the client. */
export function ask(
  host: Namespace,
  ...args: readonly string[]
): Promise<CommandResult> {
  return runSluice(host, args, { env: CLIENT_ENV, timeoutMs: 30_000 });
}

/** What the client says of itself. */
export async function clientStatus(host: Namespace): Promise<ClientStatus> {
  const { stdout, stderr, code } = await ask(host, "status", "--json");
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

/** Waits until a tunnel is in a state. */
export async function tunnelIs(
  host: Namespace,
  name: string,
  state: string,
): Promise<void> {
  await waitFor(`tunnel ${name} to be ${state}`, async () => {
    const { tunnels } = await clientStatus(host);
    return tunnels.find((tunnel) => tunnel.name === name)?.state === state;
  }, { timeoutMs: 30_000, intervalMs: 200 });
}
