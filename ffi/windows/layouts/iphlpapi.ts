/**
 * Struct layouts of iphlpapi.dll (x64), as data. Source: netioapi.h, iptypes.h,
 * ws2ipdef.h, ws2def.h.
 */
import { struct } from "../../layout.ts";

/** An address of either family; the family's number tells which. */
export const sockaddrInet = struct("SOCKADDR_INET", "ws2ipdef.h", 28, [
  ["si_family", "u16le", 0],
  ["Ipv4.sin_port", "u16be", 2],
  ["Ipv4.sin_addr", "u32be", 4],
  ["Ipv6.sin6_flowinfo", "u32be", 4],
  ["Ipv6.sin6_addr", "bytes", 8],
  ["Ipv6.sin6_scope_id", "u32le", 24],
]);

/** A route. */
export const mibIpforwardRow2 = struct(
  "MIB_IPFORWARD_ROW2",
  "netioapi.h",
  104,
  [
    ["InterfaceLuid", "u64le", 0],
    ["InterfaceIndex", "u32le", 8],
    ["DestinationPrefix", "bytes", 12],
    ["NextHop", "bytes", 44],
    ["SitePrefixLength", "u8", 72],
    ["ValidLifetime", "u32le", 76],
    ["PreferredLifetime", "u32le", 80],
    ["Metric", "u32le", 84],
    ["Protocol", "u32le", 88],
    ["Loopback", "u8", 92],
    ["AutoconfigureAddress", "u8", 93],
    ["Publish", "u8", 94],
    ["Immortal", "u8", 95],
    ["Age", "u32le", 96],
    ["Origin", "u32le", 100],
  ],
);

/** An address on an interface. */
export const mibUnicastipaddressRow = struct(
  "MIB_UNICASTIPADDRESS_ROW",
  "netioapi.h",
  80,
  [
    ["Address", "bytes", 0],
    ["InterfaceLuid", "u64le", 32],
    ["InterfaceIndex", "u32le", 40],
    ["PrefixOrigin", "u32le", 44],
    ["SuffixOrigin", "u32le", 48],
    ["ValidLifetime", "u32le", 52],
    ["PreferredLifetime", "u32le", 56],
    ["OnLinkPrefixLength", "u8", 60],
    ["SkipAsSource", "u8", 61],
    ["DadState", "u32le", 64],
    ["ScopeId", "u32le", 68],
    ["CreationTimeStamp", "i64le", 72],
  ],
);

/** One family of an interface. */
export const mibIpinterfaceRow = struct(
  "MIB_IPINTERFACE_ROW",
  "netioapi.h",
  168,
  [
    ["Family", "u16le", 0],
    ["InterfaceLuid", "u64le", 8],
    ["InterfaceIndex", "u32le", 16],
    ["MaxReassemblySize", "u32le", 20],
    ["InterfaceIdentifier", "u64le", 24],
    ["MinRouterAdvertisementInterval", "u32le", 32],
    ["MaxRouterAdvertisementInterval", "u32le", 36],
    ["AdvertisingEnabled", "u8", 40],
    ["ForwardingEnabled", "u8", 41],
    ["WeakHostSend", "u8", 42],
    ["WeakHostReceive", "u8", 43],
    ["UseAutomaticMetric", "u8", 44],
    ["UseNeighborUnreachabilityDetection", "u8", 45],
    ["ManagedAddressConfigurationSupported", "u8", 46],
    ["OtherStatefulConfigurationSupported", "u8", 47],
    ["AdvertiseDefaultRoute", "u8", 48],
    ["RouterDiscoveryBehavior", "u32le", 52],
    ["DadTransmits", "u32le", 56],
    ["BaseReachableTime", "u32le", 60],
    ["RetransmitTime", "u32le", 64],
    ["PathMtuDiscoveryTimeout", "u32le", 68],
    ["LinkLocalAddressBehavior", "u32le", 72],
    ["LinkLocalAddressTimeout", "u32le", 76],
    ["ZoneIndices", "bytes", 80],
    ["SitePrefixLength", "u32le", 144],
    ["Metric", "u32le", 148],
    ["NlMtu", "u32le", 152],
    ["Connected", "u8", 156],
    ["SupportsWakeUpPatterns", "u8", 157],
    ["SupportsNeighborDiscovery", "u8", 158],
    ["SupportsRouterDiscovery", "u8", 159],
    ["ReachableTime", "u32le", 160],
    ["DisableDefaultRoutes", "u8", 166],
  ],
);

/** An interface; its names are UTF-16. */
export const mibIfRow2 = struct("MIB_IF_ROW2", "netioapi.h", 1352, [
  ["InterfaceLuid", "u64le", 0],
  ["InterfaceIndex", "u32le", 8],
  ["InterfaceGuid", "bytes", 12],
  ["Alias", "bytes", 28],
  ["Description", "bytes", 542],
  ["Mtu", "u32le", 1124],
  ["Type", "u32le", 1128],
  ["OperStatus", "u32le", 1156],
  ["AdminStatus", "u32le", 1160],
  ["MediaConnectState", "u32le", 1164],
]);

/** How the tables begin: a count, then rows. */
export const mibTable = struct("MIB_IPFORWARD_TABLE2", "netioapi.h", 112, [
  ["NumEntries", "u32le", 0],
  ["Table", "bytes", 8],
]);

/** An adapter of GetAdaptersAddresses, as far as it is read. */
export const ipAdapterAddresses = struct(
  "IP_ADAPTER_ADDRESSES",
  "iptypes.h",
  448,
  [
    ["IfIndex", "u32le", 4],
    ["Next", "pointer", 8],
    ["FirstDnsServerAddress", "pointer", 48],
    ["FriendlyName", "pointer", 72],
    ["OperStatus", "u32le", 104],
    ["Ipv4Metric", "u32le", 216],
    ["Ipv6Metric", "u32le", 220],
    ["Luid", "u64le", 224],
  ],
);

/** A resolver of an adapter. */
export const ipAdapterDnsServerAddress = struct(
  "IP_ADAPTER_DNS_SERVER_ADDRESS",
  "iptypes.h",
  32,
  [
    ["Next", "pointer", 8],
    ["Address", "bytes", 16],
  ],
);

/** Where an address lies, and how long it is. */
export const socketAddress = struct("SOCKET_ADDRESS", "ws2def.h", 16, [
  ["lpSockaddr", "pointer", 0],
  ["iSockaddrLength", "i32le", 8],
]);

/** The resolvers of an interface. */
export const dnsInterfaceSettings = struct(
  "DNS_INTERFACE_SETTINGS",
  "netioapi.h",
  64,
  [
    ["Version", "u32le", 0],
    ["Flags", "u64le", 8],
    ["Domain", "pointer", 16],
    ["NameServer", "pointer", 24],
    ["SearchList", "pointer", 32],
    ["ProfileNameServer", "pointer", 56],
  ],
);

/** A connection of the table TCP_TABLE_OWNER_PID_ALL; ports lie in the first two bytes. */
export const mibTcprowOwnerPid = struct(
  "MIB_TCPROW_OWNER_PID",
  "iphlpapi.h",
  24,
  [
    ["dwState", "u32le", 0],
    ["dwLocalAddr", "u32be", 4],
    ["dwLocalPort", "bytes", 8],
    ["dwRemoteAddr", "u32be", 12],
    ["dwRemotePort", "bytes", 16],
    ["dwOwningPid", "u32le", 20],
  ],
);

/** The same over IPv6. */
export const mibTcp6rowOwnerPid = struct(
  "MIB_TCP6ROW_OWNER_PID",
  "iphlpapi.h",
  56,
  [
    ["ucLocalAddr", "bytes", 0],
    ["dwLocalPort", "bytes", 20],
    ["ucRemoteAddr", "bytes", 24],
    ["dwRemotePort", "bytes", 44],
    ["dwState", "u32le", 48],
    ["dwOwningPid", "u32le", 52],
  ],
);

/** A socket of the table UDP_TABLE_OWNER_PID. */
export const mibUdprowOwnerPid = struct(
  "MIB_UDPROW_OWNER_PID",
  "iphlpapi.h",
  12,
  [
    ["dwLocalAddr", "u32be", 0],
    ["dwLocalPort", "bytes", 4],
    ["dwOwningPid", "u32le", 8],
  ],
);

/** The same over IPv6. */
export const mibUdp6rowOwnerPid = struct(
  "MIB_UDP6ROW_OWNER_PID",
  "iphlpapi.h",
  28,
  [
    ["ucLocalAddr", "bytes", 0],
    ["dwLocalPort", "bytes", 20],
    ["dwOwningPid", "u32le", 24],
  ],
);
