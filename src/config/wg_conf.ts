/**
 * Parser of WireGuard's `.conf` files as `wg setconf`, `wg-quick` and AmneziaWG
 * know them: sections `[Interface]` and `[Peer]`, lines `Key = value`, comments
 * from `#`. Keys and section names ignore letter case.
 */
import { parseAddress, type Prefix } from "../core/wire/address.ts";
import type {
  AmneziaParameter,
  AmneziaParameters,
} from "../core/wireguard/amnezia.ts";
import { parseHeaderRange } from "../core/wireguard/amnezia.ts";
import {
  AMNEZIA_PARAMETERS,
  amneziaKey,
  amneziaParameters,
  amneziaProblems,
} from "./amnezia_config.ts";
import { type HostPort, isHostName, parseHostPort } from "./endpoint.ts";
import { parseKey } from "./keys.ts";
import { readPrefix } from "./prefix.ts";
import { ConfigError, type ConfigProblem, sortProblems } from "./problems.ts";
import {
  type ConfEntry,
  type ConfSection,
  readConfSections,
} from "./conf_sections.ts";
import { suggest } from "./suggest.ts";

/** `[Interface]`. */
export interface WgInterface {
  readonly privateKey: Uint8Array;
  readonly addresses: readonly Prefix[];
  /** Addresses of DNS servers. */
  readonly dns: readonly string[];
  /** Search domains, which stand under DNS as well. */
  readonly dnsSearch: readonly string[];
  readonly mtu: number | undefined;
  readonly listenPort: number | undefined;
  readonly amnezia: AmneziaParameters | undefined;
}

/** `[Peer]`. */
export interface WgPeer {
  readonly publicKey: Uint8Array;
  readonly presharedKey: Uint8Array | undefined;
  readonly allowedIps: readonly Prefix[];
  readonly endpoint: HostPort | undefined;
  /** Seconds; 0 is off. */
  readonly persistentKeepalive: number;
}

/** A whole file. */
export interface WgConf {
  readonly interface: WgInterface;
  readonly peers: readonly WgPeer[];
  /** Lines that were understood but do nothing here (PostUp and the like). */
  readonly warnings: readonly ConfigProblem[];
}

const INTERFACE_KEYS = ["PrivateKey", "Address", "DNS", "MTU", "ListenPort"];
const PEER_KEYS = [
  "PublicKey",
  "PresharedKey",
  "AllowedIPs",
  "Endpoint",
  "PersistentKeepalive",
];
/** Known to wg-quick; sluice sets routes itself and runs no commands from a file. */
const IGNORED_KEYS = [
  "FwMark",
  "Table",
  "PreUp",
  "PostUp",
  "PreDown",
  "PostDown",
  "SaveConfig",
  "AdvancedSecurity",
];
const LIST_KEYS = ["Address", "DNS", "AllowedIPs"];

/**
 * Reads a `.conf` file.
 * @param file its name for messages.
 * @throws ConfigError with every problem, each with line and column.
 */
export function parseWireguardConf(text: string, file: string): WgConf {
  const { sections, errors } = readConfSections(text, file);
  const reader = new ConfReader(file, errors);
  const interfaces = sections.filter(({ name }) => name === "Interface");
  if (interfaces.length === 0) {
    reader.error(
      0,
      0,
      "",
      "has no [Interface] section; is it a WireGuard .conf file?",
    );
  }
  for (const extra of interfaces.slice(1)) {
    reader.error(extra.line, 1, "", "a second [Interface]; a file has one");
  }
  const wgInterface = interfaces.slice(0, 1).map((section) =>
    reader.readInterface(section)
  );
  const peers = sections.filter(({ name }) => name === "Peer").map((section) =>
    reader.readPeer(section)
  );
  if (reader.errors.length > 0) {
    throw new ConfigError(sortProblems(reader.errors));
  }
  return {
    interface: wgInterface[0],
    peers,
    warnings: sortProblems(reader.warnings),
  };
}

/** Reads sections into values and collects what is wrong on the way. */
class ConfReader {
  readonly errors: ConfigProblem[];
  readonly warnings: ConfigProblem[] = [];
  readonly #file: string;

  constructor(file: string, errors: ConfigProblem[]) {
    this.#file = file;
    this.errors = errors;
  }

  error(line: number, column: number, path: string, message: string): void {
    this.errors.push({ file: this.#file, line, column, path, message });
  }

  readInterface(section: ConfSection): WgInterface {
    const values = this.#collect(section, [
      ...INTERFACE_KEYS,
      ...AMNEZIA_PARAMETERS,
    ]);
    const dns = this.#list(
      values.get("DNS"),
      "address or search domain",
      (text) =>
        parseAddress(text) !== undefined || isHostName(text) ? text : undefined,
    );
    return {
      privateKey: this.#required(
        section,
        values.get("PrivateKey"),
        "PrivateKey",
      ),
      addresses: this.#list(
        values.get("Address"),
        "address, such as 10.66.0.2/32",
        readPrefix,
      ),
      dns: dns.filter((text) => parseAddress(text) !== undefined),
      dnsSearch: dns.filter((text) => parseAddress(text) === undefined),
      mtu: this.#number(values.get("MTU"), 576, 65_535),
      listenPort: this.#number(values.get("ListenPort"), 0, 65_535),
      amnezia: this.#amnezia(section, values),
    };
  }

  readPeer(section: ConfSection): WgPeer {
    const values = this.#collect(section, PEER_KEYS);
    const keepalive = values.get("PersistentKeepalive");
    const off = keepalive?.[0].value.toLowerCase() === "off";
    return {
      publicKey: this.#required(section, values.get("PublicKey"), "PublicKey"),
      presharedKey: this.#key(values.get("PresharedKey")),
      allowedIps: this.#list(
        values.get("AllowedIPs"),
        "address or prefix, such as 0.0.0.0/0",
        readPrefix,
      ),
      endpoint: this.#endpoint(values.get("Endpoint")),
      persistentKeepalive: off ? 0 : this.#number(keepalive, 0, 65_535) ?? 0,
    };
  }

  /** The entries of a section by canonical key; complains of unknown and repeated ones. */
  #collect(
    section: ConfSection,
    known: readonly string[],
  ): Map<string, ConfEntry[]> {
    const values = new Map<string, ConfEntry[]>();
    for (const entry of section.entries) {
      const same = (name: string) =>
        name.toLowerCase() === entry.key.toLowerCase();
      const key = known.find(same);
      if (key === undefined) {
        this.#unknown(section, entry, known, IGNORED_KEYS.some(same));
        continue;
      }
      const earlier = values.get(key) ?? [];
      if (earlier.length > 0 && !LIST_KEYS.includes(key)) {
        this.error(
          entry.line,
          entry.column,
          key,
          `is given twice (first in line ${earlier[0].line})`,
        );
      } else {
        values.set(key, [...earlier, entry]);
      }
    }
    return values;
  }

  #unknown(
    section: ConfSection,
    entry: ConfEntry,
    known: readonly string[],
    ignored: boolean,
  ): void {
    const { line, column, key } = entry;
    const at = { file: this.#file, line, column, path: key };
    if (ignored) {
      this.warnings.push({ ...at, message: "is not used by sluice" });
      return;
    }
    const other = section.name === "Peer"
      ? [...INTERFACE_KEYS, ...AMNEZIA_PARAMETERS]
      : PEER_KEYS;
    if (other.some((name) => name.toLowerCase() === key.toLowerCase())) {
      const home = section.name === "Peer" ? "[Interface]" : "[Peer]";
      this.errors.push({ ...at, message: `belongs into ${home}` });
      return;
    }
    const near = suggest(key, known);
    const hint = near === undefined
      ? `; known are ${known.join(", ")}`
      : `; did you mean ${near}?`;
    this.errors.push({ ...at, message: `unknown key${hint}` });
  }

  #required(
    section: ConfSection,
    entries: readonly ConfEntry[] | undefined,
    key: string,
  ): Uint8Array {
    if (entries === undefined) {
      this.error(section.line, 1, key, `is missing in [${section.name}]`);
    }
    return this.#key(entries) ?? new Uint8Array(0);
  }

  #key(entries: readonly ConfEntry[] | undefined): Uint8Array | undefined {
    if (entries === undefined) return undefined;
    const [entry] = entries;
    const key = parseKey(entry.value);
    if (key === undefined) {
      this.error(
        entry.line,
        entry.column,
        entry.key,
        "not a WireGuard key: it must be 32 bytes in base64 (44 characters that end in =)",
      );
    }
    return key;
  }

  #number(
    entries: readonly ConfEntry[] | undefined,
    least: number,
    most: number,
  ): number | undefined {
    if (entries === undefined) return undefined;
    const [{ key, value, line, column }] = entries;
    const number = /^\d{1,10}$/.test(value) ? Number(value) : NaN;
    if (number >= least && number <= most) return number;
    this.error(
      line,
      column,
      key,
      `must be a whole number from ${least} to ${most}, not ${
        JSON.stringify(value)
      }`,
    );
    return undefined;
  }

  #endpoint(entries: readonly ConfEntry[] | undefined): HostPort | undefined {
    if (entries === undefined) return undefined;
    const [{ key, value, line, column }] = entries;
    const endpoint = parseHostPort(value);
    if (endpoint === undefined) {
      this.error(
        line,
        column,
        key,
        `${
          JSON.stringify(value)
        } is not an endpoint: write HOST:PORT or [IPV6]:PORT`,
      );
    }
    return endpoint;
  }

  /** Values separated by commas, over all lines of the key; empty ones are skipped. */
  #list<Item>(
    entries: readonly ConfEntry[] | undefined,
    what: string,
    read: (text: string) => Item | undefined,
  ): Item[] {
    const items: Item[] = [];
    for (const { key, value, line, column } of entries ?? []) {
      let at = column;
      for (const part of value.split(",")) {
        const text = part.trim();
        const item = text === "" ? undefined : read(text);
        if (item !== undefined) items.push(item);
        else if (text !== "") {
          const blanks = part.length - part.trimStart().length;
          this.error(
            line,
            at + blanks,
            key,
            `${JSON.stringify(text)} is not an ${what}`,
          );
        }
        at += part.length + 1;
      }
    }
    return items;
  }

  #amnezia(
    section: ConfSection,
    values: ReadonlyMap<string, readonly ConfEntry[]>,
  ): AmneziaParameters | undefined {
    const document: Record<string, string | number> = {};
    for (const name of AMNEZIA_PARAMETERS) {
      const entries = values.get(name);
      const value = entries && this.#amneziaValue(name, entries);
      if (value !== undefined) document[amneziaKey(name)] = value;
    }
    if (Object.keys(document).length === 0) return undefined;
    const mtu = Number(values.get("MTU")?.[0].value ?? NaN) || undefined;
    for (const { key, message } of amneziaProblems(document, mtu)) {
      const name = AMNEZIA_PARAMETERS.find((known) =>
        amneziaKey(known) === key
      );
      const entry = name && values.get(name)?.[0];
      const { line, column } = entry ?? { line: section.line, column: 1 };
      this.error(line, column, name ?? "", message);
    }
    return amneziaParameters(document);
  }

  #amneziaValue(
    name: AmneziaParameter,
    entries: readonly ConfEntry[],
  ): string | number | undefined {
    const [{ value, line, column }] = entries;
    if (name.startsWith("I")) return value;
    if (!name.startsWith("H")) return this.#number(entries, 0, 65_535);
    if (parseHeaderRange(value) !== undefined) return value;
    this.error(
      line,
      column,
      name,
      "must be a whole number or a range such as 100000-200000",
    );
    return undefined;
  }
}
