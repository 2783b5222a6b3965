/**
 * Proxies as people write them: `127.0.0.1:1080`, `socks5://user:secret@host:1080`,
 * `http://host:3128`, `https://host:443` (TLS to the proxy), `direct://`.
 *
 * User and password may be percent-encoded (RFC 3986 section 2.1), IPv6
 * addresses stand in brackets. `socks5h` is `socks5`: a name is given to the
 * proxy wherever there is one. No text made here shows a password.
 */
import { parseIpv4, parseIpv6 } from "../core/wire/address.ts";
import { printable } from "../core/proxy/handshake.ts";
import type { OutboundAddress, ProxyCredentials } from "../io/ports.ts";
import { formatHostPort, isHostName, parsePort } from "./endpoint.ts";

/** A text that is no proxy. */
export interface InvalidProxyUrl {
  readonly kind: "invalid";
  /** One line: what is wrong and what to write instead. */
  readonly text: string;
}

type Scheme = "socks5" | "http" | "https";

const SCHEMES: ReadonlyMap<string, Scheme> = new Map([
  ["socks5", "socks5"],
  ["socks5h", "socks5"],
  ["http", "http"],
  ["https", "https"],
]);
const USUAL_PORTS = { socks5: 1080, http: 3128, https: 443 } as const;
const KNOWN = "socks5://, http://, https:// or direct://";
/** RFC 1929: a length of one byte. */
const LONGEST_SOCKS_CREDENTIAL = 255;
/** Keeps the header of a request far below what proxies take. */
const LONGEST_HTTP_CREDENTIAL = 1024;

/** Why a text is no proxy; thrown and caught within this file. */
class Fault {
  constructor(readonly text: string) {}
}

/** Reads a proxy; without a scheme it is SOCKS5. */
export function parseProxyUrl(
  text: string,
): OutboundAddress | InvalidProxyUrl {
  try {
    return read(text.trim());
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    return { kind: "invalid", text: fault.text };
  }
}

/** The text of a way out, for logs: the password is hidden. */
export function formatProxyUrl(outbound: OutboundAddress): string {
  if (outbound.kind === "direct") return "direct://";
  const scheme = outbound.kind === "http" && outbound.transport === "tls"
    ? "https"
    : outbound.kind;
  const { credentials } = outbound;
  const user = credentials === undefined
    ? ""
    : `${encodeURIComponent(credentials.user.toWellFormed())}:***@`;
  return `${scheme}://${user}${formatHostPort(outbound)}`;
}

function read(text: string): OutboundAddress {
  if (text === "") {
    throw new Fault(`no proxy is given: write ${example("socks5")}`);
  }
  const [, scheme, rest] = /^(?:([^:/@]*):\/\/)?(.*)$/s.exec(text)!;
  const name = scheme?.toLowerCase() ?? "socks5";
  if (name === "direct") return readDirect(rest);
  if (name.startsWith("socks4")) {
    throw new Fault("SOCKS4 proxies are not supported: write socks5://");
  }
  const kind = SCHEMES.get(name);
  if (kind === undefined) {
    const shown = printable(scheme, 20);
    throw new Fault(`unknown proxy scheme "${shown}": write ${KNOWN}`);
  }
  const bare = /^(socks5h?|https?|direct):(?!\d+$)/i.exec(rest)?.[1];
  if (scheme === undefined && bare !== undefined) {
    throw new Fault(
      `two slashes follow the proxy's scheme: write ${bare.toLowerCase()}://`,
    );
  }
  return readProxy(kind, rest);
}

function readDirect(rest: string): OutboundAddress {
  if (rest === "" || rest === "/") return { kind: "direct" };
  throw new Fault(
    "direct:// means no proxy and takes no host or user: write direct://",
  );
}

function readProxy(
  kind: Scheme,
  rest: string,
): OutboundAddress {
  // The last @: a password may hold others, a host none.
  const end = rest.lastIndexOf("@");
  const place = readPlace(kind, rest.slice(end + 1));
  const credentials = end < 0
    ? undefined
    : readCredentials(kind, rest.slice(0, end));
  const proxy = credentials === undefined ? place : { ...place, credentials };
  return kind === "socks5"
    ? { kind, ...proxy }
    : { kind: "http", transport: kind === "https" ? "tls" : "plain", ...proxy };
}

function readPlace(
  kind: Scheme,
  text: string,
): { host: string; port: number } {
  const [, place, path] = /^([^/?#]*)(.*)$/s.exec(text)!;
  if (path !== "" && path !== "/") {
    throw new Fault(
      `nothing may follow the proxy's port: write ${example(kind)}`,
    );
  }
  if (/^[0-9a-f.]*:[0-9a-f.:]*:[0-9a-f.:]*$/i.test(place)) {
    throw new Fault(
      "an IPv6 address stands in brackets: write [2001:db8::1]:1080",
    );
  }
  const [, bracketed, plain, port] =
    /^(?:\[([^\]]*)\]|([^:\[\]]*))(?::(.*))?$/s.exec(place) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined) {
    throw new Fault(
      `the proxy's host and port are not clear: write ${example(kind)}`,
    );
  }
  if (host === "") {
    throw new Fault(`the proxy's host is missing: write ${example(kind)}`);
  }
  checkHost(host, bracketed === undefined ? "plain" : "bracketed");
  return { host, port: readPort(kind, host, port) };
}

function checkHost(host: string, form: "plain" | "bracketed"): void {
  const shown = printable(host, 60);
  if (form === "bracketed") {
    if (parseIpv6(host) !== undefined) return;
    throw new Fault(
      `"${shown}" is no IPv6 address: write one such as [2001:db8::1]:1080`,
    );
  }
  if (parseIpv4(host) !== undefined || isHostName(host)) return;
  throw new Fault(
    `"${shown}" is neither an address nor a host name: write one such as 192.0.2.1 or proxy.example.org`,
  );
}

function readPort(
  kind: Scheme,
  host: string,
  text: string | undefined,
): number {
  const place = (port: number) => formatHostPort({ host, port });
  if (text === undefined || text === "") {
    throw new Fault(
      `the proxy's port is missing: write ${place(USUAL_PORTS[kind])}`,
    );
  }
  // Only digits are shown: anything else may be a password in a wrong place.
  if (!/^\d+$/.test(text)) {
    throw new Fault(
      `the proxy's port is no number: write ${place(USUAL_PORTS[kind])}`,
    );
  }
  const port = parsePort(text);
  if (port !== undefined) return port;
  throw new Fault(
    `port ${printable(text, 10)} is out of range: write one from 1 to 65535`,
  );
}

function readCredentials(
  kind: Scheme,
  text: string,
): ProxyCredentials {
  const colon = text.indexOf(":");
  const user = decode(colon < 0 ? text : text.slice(0, colon));
  const password = decode(colon < 0 ? "" : text.slice(colon + 1));
  if (user === "") {
    throw new Fault(
      "the user before @ is missing: write USER:PASSWORD@HOST:PORT",
    );
  }
  const limit = kind === "socks5"
    ? LONGEST_SOCKS_CREDENTIAL
    : LONGEST_HTTP_CREDENTIAL;
  checkLength("user", user, limit);
  checkLength("password", password, limit);
  if (kind !== "socks5") checkBasic(user, password);
  return { user, password };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Fault(
      "the user or password has a percent sign that encodes nothing: write %25 for the sign itself",
    );
  }
}

function checkLength(what: string, text: string, limit: number): void {
  const length = new TextEncoder().encode(text).length;
  if (length <= limit) return;
  throw new Fault(
    `the ${what} has ${length} bytes: write one of at most ${limit}`,
  );
}

/** What RFC 7617 section 2 excludes. */
function checkBasic(user: string, password: string): void {
  if (user.includes(":")) {
    throw new Fault(
      "a user of an HTTP proxy has no colon: write the one that the proxy knows",
    );
  }
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(user + password)) {
    throw new Fault(
      "the user or password has a control character: write it without",
    );
  }
}

function example(kind: Scheme): string {
  return `${kind}://127.0.0.1:${USUAL_PORTS[kind]}`;
}
