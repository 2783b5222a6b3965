/**
 * One contender of the comparison: the same program at both ends of a tunnel
 * over a veth pair, MTU 1420. The client end has 10.66.0.2, the server end
 * 10.66.0.1.
 */
import { generateKeyPair } from "../support/keys.ts";
import type { Lab, Namespace } from "../support/lab.ts";
import type { LoggedProcess } from "../support/process.ts";
import { wireguardGoServer } from "../support/scenario.ts";
import {
  makeClient,
  PORT,
  startConnect,
  startServer,
  TUNNEL,
} from "../support/sluice.ts";
import { startWireguardGo } from "../support/wireguard_go.ts";

/** Programs that can be compared. */
export const CONTENDERS = ["wireguard-go", "sluice", "none"] as const;
/** One of them; `none` is the bare veth pair. */
export type ContenderName = typeof CONTENDERS[number];

const UNDERLAY = { client: "10.1.1.2", server: "10.1.1.1" } as const;

/** A running contender. */
export interface Contender {
  readonly name: ContenderName;
  readonly client: Namespace;
  readonly server: Namespace;
  /** The server end's address that load is sent to. */
  readonly address: string;
  /** The program at the server end; undefined for the bare link. */
  readonly process: LoggedProcess | undefined;
}

/** How to start one. */
export interface ContenderOptions {
  /** Value of SLUICE_CRYPTO for our own. */
  readonly crypto?: string;
  /** More environment for our own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether the veth pair has its offloads (segmentation, checksums, GRO). */
  readonly underlay: "offloads" | "plain";
}

/** Starts a contender in namespaces of its own and waits until it carries a ping. */
export async function startContender(
  lab: Lab,
  name: ContenderName,
  options: ContenderOptions,
): Promise<Contender> {
  const [client, server] = await Promise.all([
    lab.namespace(`${name}-client`),
    lab.namespace(`${name}-server`),
  ]);
  await lab.link(
    {
      namespace: client,
      name: "eth0",
      addresses: [`${UNDERLAY.client}/24`],
    },
    {
      namespace: server,
      name: "eth0",
      addresses: [`${UNDERLAY.server}/24`],
    },
  );
  if (options.underlay === "plain") {
    for (const namespace of [client, server]) {
      await namespace.run([
        "ethtool",
        ...["-K", "eth0", "tso", "off", "gso", "off", "gro", "off"],
        ...["tx", "off", "tx-udp-segmentation", "off"],
      ]);
    }
  }
  const process = await startEnds(name, client, server, options);
  const address = name === "none" ? UNDERLAY.server : TUNNEL.gateway;
  await client.waitUntilReaches(address);
  return { name, client, server, address, process };
}

async function startEnds(
  name: ContenderName,
  client: Namespace,
  server: Namespace,
  options: ContenderOptions,
): Promise<LoggedProcess | undefined> {
  if (name === "none") return undefined;
  const identity = await makeClient(1);
  const endpoint = `${UNDERLAY.server}:${PORT}`;
  if (name === "wireguard-go") {
    const keys = await generateKeyPair();
    const { process } = await startWireguardGo(
      server,
      wireguardGoServer(keys, [identity]),
    );
    await startWireguardGo(client, {
      privateKey: identity.privateKey,
      addresses: [`${identity.address}/24`],
      peers: [{
        publicKey: keys.publicKey,
        endpoint,
        allowedIps: ["10.66.0.0/24"],
      }],
    });
    return process;
  }
  const env = {
    ...options.env,
    ...(options.crypto ? { SLUICE_CRYPTO: options.crypto } : {}),
  };
  const running = await startServer(server, {
    clients: [identity],
    logLevel: "info",
    env,
  });
  await startConnect(client, {
    client: identity,
    serverKey: running.keys.publicKey,
    endpoint,
    allowedIps: ["10.66.0.0/24"],
    env,
  });
  return running.process;
}
