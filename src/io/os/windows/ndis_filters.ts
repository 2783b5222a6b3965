/**
 * What need not be looked at, as the driver's table of static filters: an entry
 * for each direction, in the order of the rules.
 *
 *     tunnel    UDP own port -> remote, and back                        pass
 *     network   to and from port 53 of the network, where it is asked   redirect
 *               to and from the network                                 pass
 *     dhcp      UDP 68 <-> 67, UDP 546 <-> 547                          pass
 *     ARP                                                               pass
 */
import {
  dataLinkLayerFilter,
  ipAddressV4,
  ipAddressV6,
  networkLayerFilter,
  staticFilter,
  staticFilterTable,
  transportLayerFilter,
} from "../../../../ffi/windows/layouts/ndisapi.ts";
import {
  FILTER_PACKET,
  LAYER_VALID,
  PACKET_FLAG,
} from "../../../../ffi/windows/ndisapi.ts";
import { type AddressWords, isMappedIpv4 } from "../../../core/wire/address.ts";
import {
  writeU16le,
  writeU32be,
  writeU32le,
} from "../../../core/wire/bytes.ts";
import { EtherType } from "../../../core/wire/ethernet.ts";
import { Protocol } from "../../../core/wire/protocol.ts";
import type { PassRule } from "../../ports/capture.ts";

/** An end of a packet, as far as it matters. */
interface FilterEnd {
  /** Words of a network, as long as `length` says; undefined for any. */
  readonly words?: AddressWords;
  /** Bits of its own family. */
  readonly length?: number;
  readonly port?: number;
}

/** One entry of the table. */
interface FilterEntry {
  readonly action: "pass" | "redirect";
  readonly family: 4 | 6;
  readonly protocol?: number;
  readonly direction: "send" | "receive";
  readonly source: FilterEnd;
  readonly destination: FilterEnd;
}

const SELECT = { ETH_802_3: 1, IPV4: 1, IPV6: 2, TCPUDP: 1 } as const;
const SUBNET = 1;
const VALID = { SOURCE: 1, DESTINATION: 2, PROTOCOL: 4 } as const;
const DNS_PORT = 53;
const DHCP = {
  4: { client: 68, server: 67 },
  6: { client: 546, server: 547 },
} as const;
const FAMILIES = [4, 6] as const;
const TRANSPORTS = [Protocol.Udp, Protocol.Tcp] as const;
const { at: filterAt, size: FILTER_LENGTH } = staticFilter;

/** Writes the table for rules; whole, as SetPacketFilterTable takes it. */
export function filterTable(
  rules: readonly PassRule[],
): Uint8Array<ArrayBuffer> {
  const entries = rules.flatMap(entriesOf);
  const { m_TableSize, m_StaticFilters } = staticFilterTable.at;
  const count = entries.length + 1;
  const table = new Uint8Array(m_StaticFilters + count * FILTER_LENGTH);
  writeU32le(table, m_TableSize, count);
  writeArp(table, m_StaticFilters);
  entries.forEach((entry, n) =>
    writeEntry(table, m_StaticFilters + (n + 1) * FILTER_LENGTH, entry)
  );
  return table;
}

function entriesOf(rule: PassRule): FilterEntry[] {
  switch (rule.kind) {
    case "tunnel": {
      const { remote: words, localPort, remotePort } = rule;
      const family = familyOf(words);
      const far = { words, length: bitsOf(family), port: remotePort };
      const udp = { action: "pass", family, protocol: Protocol.Udp } as const;
      return bothWays(udp, { port: localPort }, far);
    }
    case "network": {
      const { prefix: { family, words, length }, dns } = rule;
      const queries = TRANSPORTS.flatMap((protocol) =>
        bothWays(
          { action: "redirect", family, protocol },
          {},
          { words, length, port: DNS_PORT },
        )
      );
      const all = bothWays({ action: "pass", family }, {}, { words, length });
      return dns === "captured" ? [...queries, ...all] : all;
    }
    case "dhcp":
      return FAMILIES.flatMap((family) => {
        const { client, server } = DHCP[family];
        const udp = { action: "pass", family, protocol: Protocol.Udp } as const;
        return bothWays(udp, { port: client }, { port: server });
      });
  }
}

function bothWays(
  what: Pick<FilterEntry, "action" | "family" | "protocol">,
  near: FilterEnd,
  far: FilterEnd,
): FilterEntry[] {
  return [
    { ...what, direction: "send", source: near, destination: far },
    { ...what, direction: "receive", source: far, destination: near },
  ];
}

function writeArp(b: Uint8Array, at: number): void {
  const { m_dwDirectionFlags, m_FilterAction, m_ValidFields } = filterAt;
  writeU32le(
    b,
    at + m_dwDirectionFlags,
    PACKET_FLAG.ON_SEND | PACKET_FLAG.ON_RECEIVE,
  );
  writeU32le(b, at + m_FilterAction, FILTER_PACKET.PASS);
  writeU32le(b, at + m_ValidFields, LAYER_VALID.DATA_LINK);
  const link = at + filterAt.m_DataLinkFilter;
  const fields = dataLinkLayerFilter.at;
  writeU32le(b, link + fields.m_dwUnionSelector, SELECT.ETH_802_3);
  writeU32le(b, link + fields["m_Eth8023Filter.m_ValidFields"], VALID.PROTOCOL);
  writeU16le(b, link + fields["m_Eth8023Filter.m_Protocol"], EtherType.Arp);
}

function writeEntry(b: Uint8Array, at: number, entry: FilterEntry): void {
  const { action, direction, source, destination } = entry;
  const { m_dwDirectionFlags, m_FilterAction, m_ValidFields } = filterAt;
  const { ON_SEND, ON_RECEIVE } = PACKET_FLAG;
  const { PASS, REDIRECT } = FILTER_PACKET;
  const hasPorts = source.port !== undefined || destination.port !== undefined;
  const { NETWORK, TRANSPORT } = LAYER_VALID;
  writeU32le(
    b,
    at + m_dwDirectionFlags,
    direction === "send" ? ON_SEND : ON_RECEIVE,
  );
  writeU32le(b, at + m_FilterAction, action === "pass" ? PASS : REDIRECT);
  writeU32le(b, at + m_ValidFields, NETWORK | (hasPorts ? TRANSPORT : 0));
  writeNetwork(b, at + filterAt.m_NetworkFilter, entry);
  if (hasPorts) writePorts(b, at + filterAt.m_TransportFilter, entry);
}

function writeNetwork(b: Uint8Array, at: number, entry: FilterEntry): void {
  const { family, protocol, source, destination } = entry;
  const fields = networkLayerFilter.at;
  const isIpv4 = family === 4;
  const valid = (source.words ? VALID.SOURCE : 0) |
    (destination.words ? VALID.DESTINATION : 0) |
    (protocol === undefined ? 0 : VALID.PROTOCOL);
  const { IPV4, IPV6 } = SELECT;
  writeU32le(b, at + fields.m_dwUnionSelector, isIpv4 ? IPV4 : IPV6);
  writeU32le(b, at + fields["m_IPv4.m_ValidFields"], valid);
  b[
    at + fields[isIpv4 ? "m_IPv4.m_Protocol" : "m_IPv6.m_Protocol"]
  ] = protocol ?? 0;
  const sourceAt = fields["m_IPv4.m_SrcAddress"];
  const destinationAt =
    fields[isIpv4 ? "m_IPv4.m_DestAddress" : "m_IPv6.m_DestAddress"];
  writeNet(b, at + sourceAt, family, source);
  writeNet(b, at + destinationAt, family, destination);
}

function writeNet(
  b: Uint8Array,
  at: number,
  family: 4 | 6,
  { words, length = bitsOf(family) }: FilterEnd,
): void {
  if (words === undefined) return;
  const isIpv4 = family === 4;
  const { m_AddressType } = ipAddressV4.at;
  const fields = isIpv4 ? ipAddressV4.at : ipAddressV6.at;
  writeU32le(b, at + m_AddressType, SUBNET);
  for (let word = 0; word < bitsOf(family) / 32; word++) {
    const bits = Math.max(0, Math.min(32, length - word * 32));
    const mask = bits === 0 ? 0 : -1 << (32 - bits);
    const value = words[isIpv4 ? 3 : word];
    writeU32be(b, at + fields["m_IpSubnet.m_Ip"] + word * 4, value & mask);
    writeU32be(b, at + fields["m_IpSubnet.m_IpMask"] + word * 4, mask);
  }
}

function writePorts(
  b: Uint8Array,
  at: number,
  { source, destination }: FilterEntry,
): void {
  const fields = transportLayerFilter.at;
  const valid = (source.port === undefined ? 0 : VALID.SOURCE) |
    (destination.port === undefined ? 0 : VALID.DESTINATION);
  writeU32le(b, at + fields.m_dwUnionSelector, SELECT.TCPUDP);
  writeU32le(b, at + fields["m_TcpUdp.m_ValidFields"], valid);
  const sourceAt = at + fields["m_TcpUdp.m_SourcePort.m_StartRange"];
  const destinationAt = at + fields["m_TcpUdp.m_DestPort.m_StartRange"];
  for (const end of [0, 2]) {
    writeU16le(b, sourceAt + end, source.port ?? 0);
    writeU16le(b, destinationAt + end, destination.port ?? 0);
  }
}

function familyOf(words: AddressWords): 4 | 6 {
  return isMappedIpv4(words, 0) ? 4 : 6;
}

function bitsOf(family: 4 | 6): number {
  return family === 4 ? 32 : 128;
}
