/**
 * Where clients reach this gateway: what the user says, else what the
 * configuration says, else this host's own primary address as a guess.
 */
import { createSocket } from "node:dgram";
import { formatAddress, parseAddress } from "../core/wire/address.ts";
import {
  formatHostPort,
  type HostPort,
  parseHostPort,
} from "../config/endpoint.ts";
import type { ServerConfig } from "../config/server_config.ts";
import { PeerError } from "./peer_error.ts";

/** An endpoint, and how sure it is. */
export interface PublicEndpoint {
  readonly endpoint: HostPort;
  /** What to tell the user of a guess; undefined where it was given. */
  readonly note: string | undefined;
}

const HOW =
  "say it with --endpoint HOST[:PORT], or set interface.publicEndpoint in the config";
/** Only looked up in the routing table; nothing is sent there (RFC 5737, RFC 3849). */
const PROBES = [{ type: "udp4", address: "192.0.2.1" }, {
  type: "udp6",
  address: "2001:db8::1",
}] as const;
const PROBE_PORT = 9;

/**
 * The endpoint to write into a client's file.
 * @param given HOST or HOST:PORT from the command line.
 * @param guess finds this host's address; undefined where there is none.
 * @throws PeerError where it is malformed or not to be found.
 */
export async function publicEndpoint(
  config: ServerConfig,
  given: string | undefined,
  guess: () => Promise<string | undefined> = primaryAddress,
): Promise<PublicEndpoint> {
  const { listenPort, publicEndpoint: configured } = config.interface;
  const defaultPort = listenPort === 0 ? undefined : listenPort;
  if (given !== undefined) {
    const endpoint = parseHostPort(given, defaultPort);
    if (endpoint !== undefined) return { endpoint, note: undefined };
    throw new PeerError(
      `"${given}" is not an endpoint`,
      defaultPort === undefined
        ? "interface.listenPort is 0, so write HOST:PORT"
        : "write HOST or HOST:PORT, such as vpn.example.org, 203.0.113.7:51820 or [2001:db8::7]:51820",
    );
  }
  if (configured !== undefined) {
    return { endpoint: configured, note: undefined };
  }
  const address = await guess();
  if (address === undefined || defaultPort === undefined) {
    throw new PeerError("where clients reach this gateway is not known", HOW);
  }
  const endpoint = { host: address, port: defaultPort };
  const reach = isPrivate(address)
    ? "which only this local network can reach"
    : "this host's own address";
  return {
    endpoint,
    note: `the endpoint ${
      formatHostPort(endpoint)
    } is a guess, ${reach}; ${HOW}`,
  };
}

/** The address that this host sends from to the outside, IPv4 first. */
export async function primaryAddress(): Promise<string | undefined> {
  for (const { type, address } of PROBES) {
    const local = await sourceAddress(type, address);
    if (local !== undefined) return local;
  }
  return undefined;
}

/** Whether an address can't be reached from the internet (RFC 1918, 6598, 3927, 4193, 4291). */
export function isPrivate(text: string): boolean {
  const words = parseAddress(text);
  if (words === undefined) return false;
  if (text.includes(":")) {
    return (words[0] >>> 25) === 0xfc >> 1 || (words[0] >>> 22) === 0x3fa;
  }
  const address = words[3];
  const within = (network: number, length: number) =>
    (address ^ network) >>> (32 - length) === 0;
  return within(0x0a000000, 8) || within(0xac100000, 12) ||
    within(0xc0a80000, 16) ||
    within(0x64400000, 10) || within(0xa9fe0000, 16) || within(0x7f000000, 8);
}

/** Asks the routing table by connecting a UDP socket, which sends nothing. */
function sourceAddress(
  type: "udp4" | "udp6",
  target: string,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(type);
    const finish = (address: string | undefined) => {
      socket.close();
      resolve(address);
    };
    socket.on("error", () => finish(undefined));
    socket.connect(PROBE_PORT, target, () => {
      const words = parseAddress(socket.address().address);
      finish(words === undefined ? undefined : formatAddress(words));
    });
  });
}
