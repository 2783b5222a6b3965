/** What `sluice tun2socks` is asked for: flags as text, checked and read. */
import {
  equalWords,
  isMappedIpv4,
  parsePrefix,
  type Prefix,
  prefixContains,
} from "../core/wire/address.ts";
import { isSpecial } from "../core/route/destination.ts";
import { networkOf } from "../config/prefix.ts";
import { parseProxyUrl } from "../config/proxy_url.ts";
import type { OutboundAddress } from "../io/ports.ts";
import { ExitCode, UserError } from "./errors.ts";

/** The flags as the command line gives them. */
export type Tun2socksFlags = {
  readonly tunIp: string;
  readonly tunIp6: string;
  readonly tunMtu: string;
  readonly proxy: string;
  readonly proxyCa?: string;
  readonly name: string;
  readonly route: readonly string[];
  readonly exclude: readonly string[];
  readonly defaultRoute?: true;
  readonly egress?: string;
  readonly icmp: "local" | "forward";
};

/** What they come to. */
export interface Tun2socksOptions {
  /** Addresses of the adapter, IPv4 first. */
  readonly addresses: readonly Prefix[];
  readonly mtu: number;
  readonly outbound: OutboundAddress;
  /** A file with certificates that the proxy's may be signed by. */
  readonly proxyCa: string | undefined;
  readonly name: string;
  /** What is routed to the adapter; a default route has length 0. */
  readonly routes: readonly Prefix[];
  /** What is not, although routes hold it. */
  readonly excluded: readonly Prefix[];
  /** The interface that connections to the outside leave by. */
  readonly egress: string | undefined;
  readonly icmp: "local" | "forward";
}

/** What holds where a flag is left out. */
export const TUN2SOCKS_DEFAULTS = {
  tunIp: "10.0.0.1",
  tunIp6: "fd73:6c75:6963:6600::1",
  tunMtu: "1500",
  proxy: "127.0.0.1:1080",
  name: "sluice-tun",
  icmp: "local",
} as const;

/** RFC 791: every host takes 576 bytes. */
const LEAST_MTU = 576;
const MOST_MTU = 65_535;

/**
 * Checks flags and reads them.
 * @throws {UserError} one line that says what is wrong, and what would be right.
 */
export function readTun2socksOptions(
  flags: Tun2socksFlags,
): Tun2socksOptions {
  const addresses = [
    readAddress("--tun-ip", flags.tunIp, 4),
    readAddress("--tun-ip6", flags.tunIp6, 6),
  ];
  const outbound = parseProxyUrl(flags.proxy);
  if (outbound.kind === "invalid") {
    throw usage(`--proxy: ${outbound.text}`);
  }
  return {
    addresses,
    mtu: readMtu(flags.tunMtu),
    outbound,
    proxyCa: readProxyCa(flags.proxyCa, outbound),
    name: flags.name,
    routes: readRoutes(flags),
    excluded: readPrefixes("--exclude", flags.exclude),
    egress: flags.egress,
    icmp: flags.icmp,
  };
}

/** Whether the routes would carry packets to an address. */
export function covers(
  { routes, excluded }: Pick<Tun2socksOptions, "routes" | "excluded">,
  words: Uint32Array | Int32Array,
): boolean {
  return routes.some((route) => prefixContains(route, words)) &&
    !excluded.some((prefix) => prefixContains(prefix, words));
}

function readAddress(flag: string, text: string, family: 4 | 6): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) {
    throw usage(
      `${flag}: "${text}" is no IPv${family} address`,
      family === 4
        ? "write one such as 10.0.0.1 or 10.0.0.1/24"
        : "write one such as fd00::1 or fd00::1/64",
    );
  }
  if (prefix.family !== family) {
    throw usage(
      `${flag}: ${text} is an IPv${prefix.family} address`,
      family === 4 ? "give it to --tun-ip6" : "give it to --tun-ip",
    );
  }
  const bits = family === 4 ? 32 : 128;
  const special = isSpecial(Int32Array.from(prefix.words), 0) ||
    (family === 6 && isMappedIpv4(prefix.words));
  if (
    special || (prefix.length < bits - 1 &&
      equalWords(networkOf(prefix).words, 0, prefix.words, 0))
  ) {
    throw usage(
      `${flag}: no adapter can have the address ${text}`,
      "take an unused private one, such as 10.0.0.1",
    );
  }
  return prefix;
}

function readProxyCa(
  file: string | undefined,
  outbound: OutboundAddress,
): string | undefined {
  const isTls = outbound.kind === "http" && outbound.transport === "tls";
  if (file === undefined || isTls) return file;
  throw usage(
    "--proxy-ca: only a proxy that is spoken to by TLS has a certificate",
    "write --proxy https://…, or leave --proxy-ca out",
  );
}

function readMtu(text: string): number {
  const mtu = /^\d{1,6}$/.test(text) ? Number(text) : NaN;
  if (mtu >= LEAST_MTU && mtu <= MOST_MTU) return mtu;
  throw usage(
    `--tun-mtu: ${JSON.stringify(text)} is no MTU`,
    `write a number from ${LEAST_MTU} to ${MOST_MTU}; 1500 is usual`,
  );
}

function readRoutes(flags: Tun2socksFlags): Prefix[] {
  const routes = readPrefixes("--route", flags.route);
  if (flags.defaultRoute) {
    routes.push(parsePrefix("0.0.0.0/0")!, parsePrefix("::/0")!);
  }
  return routes;
}

function readPrefixes(flag: string, texts: readonly string[]): Prefix[] {
  return texts.map((text) => {
    const prefix = parsePrefix(text);
    if (prefix !== undefined) return prefix;
    throw usage(
      `${flag}: "${text}" is no prefix`,
      "write one such as 192.0.2.0/24 or 2001:db8::/32",
    );
  });
}

function usage(message: string, hint?: string): UserError {
  return new UserError(message, hint, ExitCode.Usage);
}
