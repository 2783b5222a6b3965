/**
 * Interfaces, addresses and routes as the rows of iphlpapi.dll: from rows and to
 * them. Source: netioapi.h, ws2ipdef.h, nldef.h.
 */
import {
  mibIfRow2,
  mibIpforwardRow2,
  mibIpinterfaceRow,
  mibUnicastipaddressRow,
  sockaddrInet,
} from "../../../../ffi/windows/layouts/iphlpapi.ts";
import { readWideText } from "../../../../ffi/windows/wide_text.ts";
import {
  type AddressWords,
  readWords,
  setMappedIpv4,
  writeWords,
} from "../../../core/wire/address.ts";
import {
  readU16le,
  readU32be,
  readU32le,
  writeU16le,
  writeU32be,
  writeU32le,
} from "../../../core/wire/bytes.ts";
import type {
  Link,
  LinkAddress,
  Route,
  RouteRequest,
} from "../network_entities.ts";
import { formatGuid } from "./guid.ts";

const AF_INET = 2;
const AF_INET6 = 23;
/** IF_OPER_STATUS, NET_IF_ADMIN_STATUS. */
const STATUS_UP = 1;
/** IF_TYPE_SOFTWARE_LOOPBACK. */
const TYPE_LOOPBACK = 24;
/** IF_MAX_STRING_SIZE + 1 characters. */
const NAME_BYTES = 514;
/** NL_DAD_STATE: usable at once; on a tunnel nobody could have it already. */
const DAD_PREFERRED = 4;
const FOR_EVER = 0xffff_ffff;
/** NL_ROUTE_PROTOCOL: added by network management. */
const PROTOCOL_MANAGEMENT = 3;

/** An interface of Windows. */
export interface WindowsLink extends Link {
  /** `{8-4-4-4-12}`, as the registry names it. */
  readonly guid: string;
  readonly isLoopback: boolean;
}

/** One family of an interface. */
export interface FamilySettings {
  readonly mtu: number;
  /** Added to each route's; the system's own choice where `automatic`. */
  readonly metric: number | "automatic";
  /** Whether the host passes on what comes in for others. */
  readonly forwards: boolean;
  /** NL_ROUTER_DISCOVERY_BEHAVIOR: 0 is none. */
  readonly routerDiscovery: number;
  /** How often it is asked whether somebody has an address already. */
  readonly duplicateProbes: number;
}

/** The system's number of a family. */
export function systemFamily(family: 4 | 6): number {
  return family === 4 ? AF_INET : AF_INET6;
}

/** Writes an address of either family. */
export function writeAddress(
  bytes: Uint8Array,
  at: number,
  words: AddressWords,
  family: 4 | 6,
): void {
  writeU16le(bytes, at + sockaddrInet.at.si_family, systemFamily(family));
  if (family === 4) {
    writeU32be(bytes, at + sockaddrInet.at["Ipv4.sin_addr"], words[3]);
  } else {
    writeWords(bytes, at + sockaddrInet.at["Ipv6.sin6_addr"], words, 0);
  }
}

/** Reads an address; undefined for another family. */
export function readAddress(
  bytes: Uint8Array,
  at: number,
): { family: 4 | 6; words: Int32Array } | undefined {
  const words = new Int32Array(4);
  switch (readU16le(bytes, at + sockaddrInet.at.si_family)) {
    case AF_INET: {
      const address = readU32be(bytes, at + sockaddrInet.at["Ipv4.sin_addr"]);
      setMappedIpv4(words, 0, address);
      return { family: 4, words };
    }
    case AF_INET6:
      readWords(bytes, at + sockaddrInet.at["Ipv6.sin6_addr"], words, 0);
      return { family: 6, words };
    default:
      return undefined;
  }
}

/** Reads a MIB_IF_ROW2. */
export function readLink(row: Uint8Array): WindowsLink {
  const { at } = mibIfRow2;
  return {
    index: readU32le(row, at.InterfaceIndex),
    name: readWideText(row, at.Alias, NAME_BYTES),
    mtu: readU32le(row, at.Mtu),
    up: readU32le(row, at.AdminStatus) === STATUS_UP,
    running: readU32le(row, at.OperStatus) === STATUS_UP,
    guid: formatGuid(row.subarray(at.InterfaceGuid, at.InterfaceGuid + 16)),
    isLoopback: readU32le(row, at.Type) === TYPE_LOOPBACK,
  };
}

/** Reads a MIB_UNICASTIPADDRESS_ROW; undefined for another family. */
export function readLinkAddress(row: Uint8Array): LinkAddress | undefined {
  const { at } = mibUnicastipaddressRow;
  const address = readAddress(row, at.Address);
  return address && {
    ...address,
    prefixLength: row[at.OnLinkPrefixLength],
    index: readU32le(row, at.InterfaceIndex),
    ...(row[at.SkipAsSource] === 0 ? {} : { use: "listen-only" }),
  };
}

/** Fills a MIB_UNICASTIPADDRESS_ROW that the system has initialized. */
export function writeLinkAddress(row: Uint8Array, address: LinkAddress): void {
  const { at } = mibUnicastipaddressRow;
  writeAddress(row, at.Address, address.words, address.family);
  writeU32le(row, at.InterfaceIndex, address.index);
  writeU32le(row, at.ValidLifetime, FOR_EVER);
  writeU32le(row, at.PreferredLifetime, FOR_EVER);
  row[at.OnLinkPrefixLength] = address.prefixLength;
  row[at.SkipAsSource] = address.use === "listen-only" ? 1 : 0;
  writeU32le(row, at.DadState, DAD_PREFERRED);
}

/** Reads a MIB_IPFORWARD_ROW2; undefined for another family. */
export function readRoute(row: Uint8Array): Route | undefined {
  const { at } = mibIpforwardRow2;
  const destination = readAddress(row, at.DestinationPrefix);
  if (destination === undefined) return undefined;
  const next = readAddress(row, at.NextHop);
  const isOnLink = next === undefined || isUnspecified(next);
  return {
    ...destination,
    prefixLength: row[at.DestinationPrefix + sockaddrInet.size],
    index: readU32le(row, at.InterfaceIndex),
    gateway: isOnLink ? undefined : next.words,
    metric: readU32le(row, at.Metric),
  };
}

/** Fills a MIB_IPFORWARD_ROW2 that the system has initialized. */
export function writeRoute(row: Uint8Array, route: RouteRequest): void {
  const { at } = mibIpforwardRow2;
  const { family, words, prefixLength, index, gateway, metric } = route;
  writeU32le(row, at.InterfaceIndex, index);
  writeAddress(row, at.DestinationPrefix, words, family);
  row[at.DestinationPrefix + sockaddrInet.size] = prefixLength;
  writeAddress(row, at.NextHop, gateway ?? new Int32Array(4), family);
  writeU32le(row, at.ValidLifetime, FOR_EVER);
  writeU32le(row, at.PreferredLifetime, FOR_EVER);
  writeU32le(row, at.Metric, metric ?? 0);
  writeU32le(row, at.Protocol, PROTOCOL_MANAGEMENT);
}

/** Reads a MIB_IPINTERFACE_ROW. */
export function readFamily(row: Uint8Array): FamilySettings {
  const { at } = mibIpinterfaceRow;
  return {
    mtu: readU32le(row, at.NlMtu),
    metric: row[at.UseAutomaticMetric] !== 0
      ? "automatic"
      : readU32le(row, at.Metric),
    forwards: row[at.ForwardingEnabled] !== 0,
    routerDiscovery: readU32le(row, at.RouterDiscoveryBehavior),
    duplicateProbes: readU32le(row, at.DadTransmits),
  };
}

/** The metric that holds, whoever chose it. */
export function metricInForce(row: Uint8Array): number {
  return readU32le(row, mibIpinterfaceRow.at.Metric);
}

/** Changes a MIB_IPINTERFACE_ROW that was read before. */
export function writeFamily(row: Uint8Array, settings: FamilySettings): void {
  const { at } = mibIpinterfaceRow;
  const { mtu, metric } = settings;
  writeU32le(row, at.NlMtu, mtu);
  row[at.UseAutomaticMetric] = metric === "automatic" ? 1 : 0;
  if (metric !== "automatic") writeU32le(row, at.Metric, metric);
  row[at.ForwardingEnabled] = settings.forwards ? 1 : 0;
  writeU32le(row, at.RouterDiscoveryBehavior, settings.routerDiscovery);
  writeU32le(row, at.DadTransmits, settings.duplicateProbes);
  // What was read here is not taken back for IPv4.
  if (readU16le(row, at.Family) === AF_INET) {
    writeU32le(row, at.SitePrefixLength, 0);
  }
}

function isUnspecified(
  address: { readonly family: 4 | 6; readonly words: Int32Array },
): boolean {
  const { family, words } = address;
  return words[3] === 0 && (family === 4 || words.every((word) => word === 0));
}
