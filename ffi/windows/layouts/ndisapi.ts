/**
 * Structs of ndisapi.dll 3.6 (x64), as data: all are packed, without padding.
 * Source: common.h of the Windows Packet Filter. Builds for jumbo frames have a
 * longer frame in INTERMEDIATE_BUFFER; they are not these.
 */
import { struct } from "../../layout.ts";

const HEADER = "ndisapi_structs.h";

/** Bytes of a frame in a buffer: MAX_ETHER_FRAME. */
export const MAX_ETHER_FRAME = 1514;
/** Adapters in a list: ADAPTER_LIST_SIZE. */
export const ADAPTER_LIST_SIZE = 32;
/** Bytes of an adapter's name: ADAPTER_NAME_SIZE. */
export const ADAPTER_NAME_SIZE = 256;
export const ETHER_ADDR_LENGTH = 6;

/** The adapters that TCP/IP is bound to; arrays of 32 each. */
export const tcpAdapterList = struct("TCP_AdapterList", HEADER, 8836, [
  ["m_nAdapterCount", "u32le", 0],
  ["m_szAdapterNameList", "bytes", 4],
  ["m_nAdapterHandle", "bytes", 8196],
  ["m_nAdapterMediumList", "bytes", 8452],
  ["m_czCurrentAddress", "bytes", 8580],
  ["m_usMTU", "bytes", 8772],
]);

/** A frame, with whose it is and where it was going. */
export const intermediateBuffer = struct("INTERMEDIATE_BUFFER", HEADER, 1566, [
  ["m_hAdapter", "u64le", 0],
  ["m_dwDeviceFlags", "u32le", 16],
  ["m_Length", "u32le", 20],
  ["m_Flags", "u32le", 24],
  ["m_8021q", "u32le", 28],
  ["m_FilterID", "u32le", 32],
  ["m_Reserved", "bytes", 36],
  ["m_IBuffer", "bytes", 52],
]);

/** How an adapter treats frames. */
export const adapterMode = struct("ADAPTER_MODE", HEADER, 12, [
  ["hAdapterHandle", "u64le", 0],
  ["dwFlags", "u32le", 8],
]);

/** What a section that the driver writes frames to begins with. */
export const fastIoSectionHeader = struct(
  "FAST_IO_SECTION_HEADER",
  HEADER,
  8,
  [
    ["number_of_packets", "u16le", 0],
    ["write_in_progress_flag", "u16le", 2],
    ["read_in_progress_flag", "u32le", 4],
  ],
);

/** One rule for frames, asked in the driver. */
export const staticFilter = struct("STATIC_FILTER", HEADER, 184, [
  ["m_Adapter", "u64le", 0],
  ["m_dwDirectionFlags", "u32le", 8],
  ["m_FilterAction", "u32le", 12],
  ["m_ValidFields", "u32le", 16],
  ["m_LastReset", "u32le", 20],
  ["m_PacketsIn", "u64le", 24],
  ["m_BytesIn", "u64le", 32],
  ["m_PacketsOut", "u64le", 40],
  ["m_BytesOut", "u64le", 48],
  ["m_DataLinkFilter", "bytes", 56],
  ["m_NetworkFilter", "bytes", 80],
  ["m_TransportFilter", "bytes", 164],
]);

/** The rules in their order; more follow the first. */
export const staticFilterTable = struct("STATIC_FILTER_TABLE", HEADER, 192, [
  ["m_TableSize", "u32le", 0],
  ["m_StaticFilters", "bytes", 8],
]);

/** In m_DataLinkFilter. */
export const dataLinkLayerFilter = struct(
  "DATA_LINK_LAYER_FILTER",
  HEADER,
  24,
  [
    ["m_dwUnionSelector", "u32le", 0],
    ["m_Eth8023Filter.m_ValidFields", "u32le", 4],
    ["m_Eth8023Filter.m_SrcAddress", "bytes", 8],
    ["m_Eth8023Filter.m_DestAddress", "bytes", 14],
    ["m_Eth8023Filter.m_Protocol", "u16le", 20],
  ],
);

/** In m_NetworkFilter: IPv4 or IPv6, as the selector says. */
export const networkLayerFilter = struct("NETWORK_LAYER_FILTER", HEADER, 84, [
  ["m_dwUnionSelector", "u32le", 0],
  ["m_IPv4.m_ValidFields", "u32le", 4],
  ["m_IPv4.m_SrcAddress", "bytes", 8],
  ["m_IPv4.m_DestAddress", "bytes", 20],
  ["m_IPv4.m_Protocol", "u8", 32],
  ["m_IPv6.m_ValidFields", "u32le", 4],
  ["m_IPv6.m_SrcAddress", "bytes", 8],
  ["m_IPv6.m_DestAddress", "bytes", 44],
  ["m_IPv6.m_Protocol", "u8", 80],
]);

/** An address with its mask, in network order. */
export const ipAddressV4 = struct("IP_ADDRESS_V4", HEADER, 12, [
  ["m_AddressType", "u32le", 0],
  ["m_IpSubnet.m_Ip", "u32be", 4],
  ["m_IpSubnet.m_IpMask", "u32be", 8],
]);

/** The same of the other family. */
export const ipAddressV6 = struct("IP_ADDRESS_V6", HEADER, 36, [
  ["m_AddressType", "u32le", 0],
  ["m_IpSubnet.m_Ip", "bytes", 4],
  ["m_IpSubnet.m_IpMask", "bytes", 20],
]);

/** In m_TransportFilter; ports in the host's order. */
export const transportLayerFilter = struct(
  "TRANSPORT_LAYER_FILTER",
  HEADER,
  20,
  [
    ["m_dwUnionSelector", "u32le", 0],
    ["m_TcpUdp.m_ValidFields", "u32le", 4],
    ["m_TcpUdp.m_SourcePort.m_StartRange", "u16le", 8],
    ["m_TcpUdp.m_SourcePort.m_EndRange", "u16le", 10],
    ["m_TcpUdp.m_DestPort.m_StartRange", "u16le", 12],
    ["m_TcpUdp.m_DestPort.m_EndRange", "u16le", 14],
    ["m_TcpUdp.m_TCPFlags", "u8", 16],
  ],
);
