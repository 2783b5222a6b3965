/**
 * Endpoints as people write them: `host`, `host:port`, `1.2.3.4:51820`,
 * `[2001:db8::1]:51820`. The host may be a name; resolving it is for others.
 */
import { parseIpv4, parseIpv6 } from "../core/wire/address.ts";

/** A host (name or address, IPv6 without brackets) and a port. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

const LABEL = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;

/** Whether the text is a name that DNS could know. */
export function isHostName(text: string): boolean {
  const name = text.endsWith(".") ? text.slice(0, -1) : text;
  if (name.length === 0 || name.length > 253 || /^[\d.]+$/.test(name)) {
    return false;
  }
  return name.split(".").every((label) => LABEL.test(label));
}

/** A port number from its digits (1 to 65535), or undefined. */
export function parsePort(text: string): number | undefined {
  if (!/^\d{1,5}$/.test(text)) return undefined;
  const port = Number(text);
  return port >= 1 && port <= 65535 ? port : undefined;
}

/**
 * A host with an optional port.
 * @returns undefined where the text is no endpoint, or has no port and no
 *          default is given.
 */
export function parseHostPort(
  text: string,
  defaultPort?: number,
): HostPort | undefined {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text);
  const plain = /^([^:\[\]\s]+)(?::(\d+))?$/.exec(text);
  const bare = parseIpv6(text) !== undefined;
  const match = bracketed ?? plain;
  const host = bare ? text : match?.[1];
  if (host === undefined) return undefined;
  const known = bare || bracketed !== null
    ? parseIpv6(host) !== undefined
    : parseIpv4(host) !== undefined || isHostName(host);
  if (!known) return undefined;
  const digits = bare ? undefined : match?.[2];
  const port = digits === undefined ? defaultPort : parsePort(digits);
  return port === undefined ? undefined : { host, port };
}

/** The text of an endpoint, with brackets around an IPv6 address. */
export function formatHostPort(endpoint: HostPort): string {
  const host = endpoint.host.includes(":")
    ? `[${endpoint.host}]`
    : endpoint.host;
  return `${host}:${endpoint.port}`;
}
