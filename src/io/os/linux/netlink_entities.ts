/**
 * Links, addresses and routes as rtnetlink messages: from messages and to them.
 * Source: rtnetlink(7), linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h.
 */
import { ifaddrmsg, ifinfomsg, rtmsg } from "../../../../ffi/linux_layouts.ts";
import {
  type AddressWords,
  isMappedIpv4,
  readWords,
  setMappedIpv4,
  writeWords,
} from "../../../core/wire/address.ts";
import { readU32be, readU32le, writeU32be } from "../../../core/wire/bytes.ts";
import type {
  Link,
  LinkAddress,
  Route,
  RouteRequest,
} from "../network_entities.ts";
import {
  attributeText,
  attributeU32,
  type NetlinkMessage,
  parseAttributes,
  RequestWriter,
} from "./netlink_message.ts";

/** Message types of rtnetlink. */
export const Rtm = {
  NewLink: 16,
  GetLink: 18,
  NewAddress: 20,
  DeleteAddress: 21,
  GetAddress: 22,
  NewRoute: 24,
  DeleteRoute: 25,
  GetRoute: 26,
} as const;

const AF_INET = 2;
const AF_INET6 = 10;

const IFF_UP = 1;
const IFF_RUNNING = 0x40;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_TXQLEN = 13;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_CACHEINFO = 6;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 0x02;
/** struct ifa_cacheinfo: preferred for 0 s, valid for ever; two stamps. */
const DEPRECATED = new Uint8Array(
  new Uint32Array([0, 0xffff_ffff, 0, 0]).buffer,
);

const RTA_MARK = 16;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_TABLE = 15;
const RT_TABLE_MAIN = 254;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;
const RTN_UNICAST = 1;
const RTM_F_CLONED = 0x200;

/**
 * Who added a route (`rtm_protocol`): numbers above 4 are free for programs,
 * and nobody in /etc/iproute2/rt_protos uses this one. Only such routes are
 * ever removed.
 */
export const ROUTE_PROTOCOL = 83;

/** A network interface of Linux. */
export interface NetlinkLink extends Link {
  /** Packets that may wait in its queue. */
  readonly queueLength: number;
}

/** What to change of a link; what is left out stays. */
export interface LinkChange {
  readonly up?: boolean;
  readonly mtu?: number;
  readonly queueLength?: number;
}

/** A route of Linux. */
export interface NetlinkRoute extends Route {
  /** The source address it prefers. */
  readonly source: Int32Array | undefined;
  /** Who added it; {@linkcode ROUTE_PROTOCOL} for our own. */
  readonly protocol: number;
}

/** A request that changes a link. */
export function linkRequest(
  index: number,
  change: LinkChange,
  flags: number,
): RequestWriter {
  const writer = new RequestWriter(Rtm.NewLink, flags, ifinfomsg.size);
  writer.u32(ifinfomsg.at.ifi_index, index);
  if (change.up !== undefined) {
    writer.u32(ifinfomsg.at.ifi_flags, change.up ? IFF_UP : 0);
    writer.u32(ifinfomsg.at.ifi_change, IFF_UP);
  }
  if (change.mtu !== undefined) writer.attributeU32(IFLA_MTU, change.mtu);
  if (change.queueLength !== undefined) {
    writer.attributeU32(IFLA_TXQLEN, change.queueLength);
  }
  return writer;
}

/** A request for all links. */
export function linkDump(flags: number): RequestWriter {
  return new RequestWriter(Rtm.GetLink, flags, ifinfomsg.size);
}

/** Reads a link; undefined for another message or a malformed one. */
export function parseLink(message: NetlinkMessage): NetlinkLink | undefined {
  const { body } = message;
  if (message.type !== Rtm.NewLink || body.length < ifinfomsg.size) {
    return undefined;
  }
  const attributes = parseAttributes(body, ifinfomsg.size);
  const name = attributeText(attributes, IFLA_IFNAME);
  if (name === undefined) return undefined;
  const flags = readU32le(body, ifinfomsg.at.ifi_flags);
  return {
    index: readU32le(body, ifinfomsg.at.ifi_index),
    name,
    mtu: attributeU32(attributes, IFLA_MTU) ?? 0,
    up: (flags & IFF_UP) !== 0,
    running: (flags & IFF_RUNNING) !== 0,
    queueLength: attributeU32(attributes, IFLA_TXQLEN) ?? 0,
  };
}

/** A request about one address of a link. */
export function addressRequest(
  type: typeof Rtm.NewAddress | typeof Rtm.DeleteAddress,
  address: LinkAddress,
  flags: number,
): RequestWriter {
  const bytes = addressBytes(address.words, address.family);
  const writer = new RequestWriter(type, flags, ifaddrmsg.size)
    .u8(ifaddrmsg.at.ifa_family, systemFamily(address.family))
    .u8(ifaddrmsg.at.ifa_prefixlen, address.prefixLength)
    .u32(ifaddrmsg.at.ifa_index, address.index)
    .attribute(IFA_LOCAL, bytes)
    .attribute(IFA_ADDRESS, bytes)
    // Usable at once: on a tunnel there is nobody who could have it already.
    .attributeU32(IFA_FLAGS, address.family === 6 ? IFA_F_NODAD : 0);
  if (address.use === "listen-only" && address.family === 6) {
    writer.attribute(IFA_CACHEINFO, DEPRECATED);
  }
  return writer;
}

/** A request for all addresses of both families. */
export function addressDump(flags: number): RequestWriter {
  return new RequestWriter(Rtm.GetAddress, flags, ifaddrmsg.size);
}

/** Reads an address; undefined for another message or a malformed one. */
export function parseAddressMessage(
  message: NetlinkMessage,
): LinkAddress | undefined {
  const { body } = message;
  if (message.type !== Rtm.NewAddress || body.length < ifaddrmsg.size) {
    return undefined;
  }
  const family = familyOf(body[ifaddrmsg.at.ifa_family]);
  if (family === undefined) return undefined;
  const attributes = parseAttributes(body, ifaddrmsg.size);
  // IFA_ADDRESS is the peer's on a point-to-point link, IFA_LOCAL always ours.
  const words = wordsOf(
    attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS),
    family,
  );
  if (words === undefined) return undefined;
  return {
    family,
    words,
    prefixLength: body[ifaddrmsg.at.ifa_prefixlen],
    index: readU32le(body, ifaddrmsg.at.ifa_index),
  };
}

/** A request to add or remove a route of ours in the main table. */
export function routeRequest(
  type: typeof Rtm.NewRoute | typeof Rtm.DeleteRoute,
  route: RouteRequest,
  flags: number,
): RequestWriter {
  const { family, gateway } = route;
  const onLink = family === 4 && gateway === undefined;
  const addedScope = onLink ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  const writer = new RequestWriter(type, flags, rtmsg.size)
    .u8(rtmsg.at.rtm_family, systemFamily(family))
    .u8(rtmsg.at.rtm_dst_len, route.prefixLength)
    .u8(rtmsg.at.rtm_table, RT_TABLE_MAIN)
    .u8(rtmsg.at.rtm_protocol, ROUTE_PROTOCOL)
    .u8(
      rtmsg.at.rtm_scope,
      type === Rtm.DeleteRoute ? RT_SCOPE_NOWHERE : addedScope,
    )
    .u8(rtmsg.at.rtm_type, RTN_UNICAST)
    .attribute(RTA_DST, addressBytes(route.words, family))
    .attributeU32(RTA_OIF, route.index);
  if (gateway !== undefined) {
    writer.attribute(RTA_GATEWAY, addressBytes(gateway, family));
  }
  if (route.metric !== undefined) {
    writer.attributeU32(RTA_PRIORITY, route.metric);
  }
  return writer;
}

/** A request for all routes of both families. */
export function routeDump(flags: number): RequestWriter {
  return new RequestWriter(Rtm.GetRoute, flags, rtmsg.size);
}

/** A request for the route that a packet to `words` would take. */
export function routeLookup(
  words: AddressWords,
  { flags, mark }: { readonly flags: number; readonly mark: number },
): RequestWriter {
  const family = isMappedIpv4(words) ? 4 : 6;
  const writer = new RequestWriter(Rtm.GetRoute, flags, rtmsg.size)
    .u8(rtmsg.at.rtm_family, systemFamily(family))
    .u8(rtmsg.at.rtm_dst_len, family === 4 ? 32 : 128)
    .attribute(RTA_DST, addressBytes(words, family));
  return mark === 0 ? writer : writer.attributeU32(RTA_MARK, mark);
}

/**
 * Reads a unicast route of the main table, or the answer of a look-up;
 * undefined for another message, another route or a malformed one.
 */
export function parseRoute(message: NetlinkMessage): NetlinkRoute | undefined {
  const { body } = message;
  if (message.type !== Rtm.NewRoute || body.length < rtmsg.size) {
    return undefined;
  }
  const family = familyOf(body[rtmsg.at.rtm_family]);
  if (family === undefined) return undefined;
  const attributes = parseAttributes(body, rtmsg.size);
  const lookedUp = (readU32le(body, rtmsg.at.rtm_flags) & RTM_F_CLONED) !== 0;
  const table = attributeU32(attributes, RTA_TABLE) ?? body[rtmsg.at.rtm_table];
  const unicast = body[rtmsg.at.rtm_type] === RTN_UNICAST;
  if (!lookedUp && (table !== RT_TABLE_MAIN || !unicast)) return undefined;
  const destination = attributes.get(RTA_DST);
  const words = destination === undefined
    ? unspecified(family)
    : wordsOf(destination, family);
  if (words === undefined) return undefined;
  return {
    family,
    words,
    prefixLength: body[rtmsg.at.rtm_dst_len],
    index: attributeU32(attributes, RTA_OIF) ?? 0,
    gateway: wordsOf(attributes.get(RTA_GATEWAY), family),
    metric: attributeU32(attributes, RTA_PRIORITY) ?? 0,
    source: wordsOf(attributes.get(RTA_PREFSRC), family),
    protocol: body[rtmsg.at.rtm_protocol],
  };
}

/** The system's number of a family. */
export function systemFamily(family: 4 | 6): number {
  return family === 4 ? AF_INET : AF_INET6;
}

/** The family of a number; undefined for another one. */
export function familyOf(systemFamily: number): 4 | 6 | undefined {
  if (systemFamily === AF_INET) return 4;
  return systemFamily === AF_INET6 ? 6 : undefined;
}

/** An address in network order, of its family's length. */
export function addressBytes(words: AddressWords, family: 4 | 6): Uint8Array {
  const bytes = new Uint8Array(family === 4 ? 4 : 16);
  if (family === 4) writeU32be(bytes, 0, words[3]);
  else writeWords(bytes, 0, words, 0);
  return bytes;
}

/** Address words of an attribute; undefined where it is absent or too short. */
export function wordsOf(
  bytes: Uint8Array | undefined,
  family: 4 | 6,
): Int32Array | undefined {
  if (bytes === undefined || bytes.length < (family === 4 ? 4 : 16)) {
    return undefined;
  }
  const words = new Int32Array(4);
  if (family === 4) setMappedIpv4(words, 0, readU32be(bytes, 0));
  else readWords(bytes, 0, words, 0);
  return words;
}

/** The address of all zeros. */
export function unspecified(family: 4 | 6): Int32Array {
  const words = new Int32Array(4);
  if (family === 4) setMappedIpv4(words, 0, 0);
  return words;
}
