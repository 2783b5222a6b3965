/**
 * What the stand-in for iphlpapi.dll talks to: a Linux program that changes the
 * network of the namespace it runs in, as the lines of iphlp.c ask. It prints
 * each change with its code, for tests to read.
 *
 *     deno run -A network_bridge.ts [PORT]
 */
import { openLibc } from "../../../ffi/libc.ts";
import {
  parseAddress,
  parsePrefix,
  type Prefix,
} from "../../../src/core/wire/address.ts";
import { Netlink, NetlinkError } from "../../../src/io/os/linux/netlink.ts";
import type { RouteRequest } from "../../../src/io/os/network_entities.ts";
import { accepted } from "../../../src/io/accepted.ts";

/** The port that the stand-in asks where nothing says another. */
export const NETWORK_BRIDGE_PORT = 7702;

/** Codes of Windows. Source: winerror.h. */
const Code = {
  Success: 0,
  AccessDenied: 5,
  InvalidParameter: 87,
  NotFound: 1168,
  AlreadyExists: 5010,
} as const;

/** By errno: EPERM, ENOENT, ESRCH, ENXIO, EEXIST, ENODEV, EADDRNOTAVAIL. */
const CODES: Readonly<Record<number, number>> = {
  1: Code.AccessDenied,
  2: Code.NotFound,
  3: Code.NotFound,
  6: Code.NotFound,
  17: Code.AlreadyExists,
  19: Code.NotFound,
  99: Code.NotFound,
};
/** Metric, chosen by the system, no forwarding, routers by DHCP, 3 probes. */
const DEFAULT_SETTINGS = "5 1 0 2 3";
const IPV6_MINIMUM_MTU = 1280;

/** Changes the network that it runs in. */
export class NetworkBridge {
  readonly #netlink = new Netlink(openLibc());
  /** What was set beside the MTU, by interface and family. */
  readonly #settings = new Map<string, string>();

  /** Does what a line asks. @returns the line of the answer. */
  answer(line: string): string {
    const [verb, index, ...words] = line.trim().split(" ");
    try {
      return this.#do(verb, Number(index), words);
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      return String(CODES[error.code] ?? Code.InvalidParameter);
    }
  }

  #do(verb: string, index: number, words: readonly string[]): string {
    const link = this.#netlink.links().find((link) => link.index === index);
    if (link === undefined) return String(Code.NotFound);
    switch (verb) {
      case "address-add":
        this.#netlink.addAddress({
          ...addressOf(words[0], index),
          ...(words[1] === "1" ? { use: "listen-only" } : {}),
        });
        break;
      case "address-delete":
        this.#netlink.removeAddress(addressOf(words[0], index));
        break;
      case "route-add":
        // Windows takes routes of interfaces that are not connected.
        this.#netlink.setLink(index, { up: true });
        return this.#addRoute(routeOf(words, index));
      case "route-delete":
        this.#netlink.removeRoute(routeOf(words.slice(0, 2), index));
        break;
      case "interface-get": {
        const hasFamily = words[0] === "4" || hasIpv6(link.name, link.mtu);
        if (!hasFamily) return String(Code.NotFound);
        const set = this.#settings.get(`${index} ${words[0]}`);
        return `${Code.Success} ${link.mtu} ${set ?? DEFAULT_SETTINGS}`;
      }
      case "interface-set": {
        const [family, mtu, ...settings] = words;
        this.#netlink.setLink(index, { mtu: Number(mtu) });
        this.#settings.set(`${index} ${family}`, settings.join(" "));
        break;
      }
      case "names-set":
        break;
      default:
        return String(Code.InvalidParameter);
    }
    return String(Code.Success);
  }

  /** Of one interface and next hop there is one route, whatever its metric. */
  #addRoute(route: RouteRequest): string {
    const isThere = this.#netlink.routes().some((other) =>
      other.index === route.index && other.family === route.family &&
      other.prefixLength === route.prefixLength &&
      other.words.every((word, i) => word === route.words[i])
    );
    if (isThere) return String(Code.AlreadyExists);
    this.#netlink.addRoute(route);
    return String(Code.Success);
  }
}

function addressOf(text: string, index: number) {
  const { family, words, length } = prefixOf(text);
  return {
    family,
    words: Int32Array.from(words),
    prefixLength: length,
    index,
  };
}

function routeOf(
  [prefix, next, metric]: readonly string[],
  index: number,
): RouteRequest {
  const gateway = parseAddress(next)!;
  const isOnLink = next === "0.0.0.0" || next === "::";
  return {
    ...addressOf(prefix, index),
    ...(isOnLink ? {} : { gateway: Int32Array.from(gateway) }),
    // To Linux none is none; IPv6 has 1024 then.
    ...(metric === undefined || metric === "0"
      ? {}
      : { metric: Number(metric) }),
  };
}

function prefixOf(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new Error(`no prefix: ${text}`);
  return prefix;
}

function hasIpv6(name: string, mtu: number): boolean {
  if (mtu < IPV6_MINIMUM_MTU) return false;
  const path = `/proc/sys/net/ipv6/conf/${name}/disable_ipv6`;
  try {
    return Deno.readTextFileSync(path).trim() === "0";
  } catch {
    return false;
  }
}

async function serve(port: number): Promise<void> {
  const bridge = new NetworkBridge();
  using listener = Deno.listen({ hostname: "127.0.0.1", port });
  console.log("ready");
  for await (const connection of accepted(listener)) {
    using _ = connection;
    const bytes = new Uint8Array(1024);
    const got = await connection.read(bytes) ?? 0;
    const line = new TextDecoder().decode(bytes.subarray(0, got)).trim();
    const answer = bridge.answer(line);
    if (!line.startsWith("interface-get")) console.log(`${line} -> ${answer}`);
    await connection.write(new TextEncoder().encode(`${answer}\n`));
  }
}

if (import.meta.main) {
  await serve(Number(Deno.args[0] ?? NETWORK_BRIDGE_PORT));
}
