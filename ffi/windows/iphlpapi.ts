/**
 * iphlpapi.dll: interfaces, addresses, routes. Calls return a Windows error
 * code, 0 for success. Source: netioapi.h, iphlpapi.h.
 *
 * Wine lacks the calls that change something, and what they change it does not
 * tell. Under Wine alone they are taken from the DLL that SLUICE_TEST_IPHLPAPI
 * names: a stand-in of the tests.
 */
import { openLibrary, present } from "./missing_library.ts";
import { standInOf } from "./wine.ts";

const LIBRARY = "iphlpapi.dll";

const symbols = {
  /** DWORD GetIfTable2(MIB_IF_TABLE2 **table); */
  GetIfTable2: { parameters: ["buffer"], result: "u32" },
  /** DWORD GetUnicastIpAddressTable(ADDRESS_FAMILY, MIB_UNICASTIPADDRESS_TABLE **table); */
  GetUnicastIpAddressTable: { parameters: ["u16", "buffer"], result: "u32" },
  /** DWORD GetIpForwardTable2(ADDRESS_FAMILY, MIB_IPFORWARD_TABLE2 **table); */
  GetIpForwardTable2: { parameters: ["u16", "buffer"], result: "u32" },
  /** DWORD GetExtendedTcpTable(void *table, DWORD *size, BOOL sorted, ULONG family, TCP_TABLE_CLASS, ULONG reserved); */
  GetExtendedTcpTable: {
    parameters: ["buffer", "buffer", "i32", "u32", "u32", "u32"],
    result: "u32",
  },
  /** DWORD GetExtendedUdpTable(void *table, DWORD *size, BOOL sorted, ULONG family, UDP_TABLE_CLASS, ULONG reserved); */
  GetExtendedUdpTable: {
    parameters: ["buffer", "buffer", "i32", "u32", "u32", "u32"],
    result: "u32",
  },
  /** void FreeMibTable(void *table); */
  FreeMibTable: { parameters: ["pointer"], result: "void" },
  /** DWORD ConvertInterfaceAliasToLuid(const WCHAR *alias, NET_LUID *luid); */
  ConvertInterfaceAliasToLuid: {
    parameters: ["buffer", "buffer"],
    result: "u32",
  },
  /** DWORD ConvertInterfaceLuidToIndex(const NET_LUID *luid, NET_IFINDEX *index); */
  ConvertInterfaceLuidToIndex: {
    parameters: ["buffer", "buffer"],
    result: "u32",
  },
  /** DWORD ConvertInterfaceLuidToGuid(const NET_LUID *luid, GUID *guid); */
  ConvertInterfaceLuidToGuid: {
    parameters: ["buffer", "buffer"],
    result: "u32",
  },
  /** ULONG GetAdaptersAddresses(ULONG family, ULONG flags, void *reserved, IP_ADAPTER_ADDRESSES *first, ULONG *size); */
  GetAdaptersAddresses: {
    parameters: ["u32", "u32", "pointer", "buffer", "buffer"],
    result: "u32",
  },
  /** DWORD NotifyIpInterfaceChange(ADDRESS_FAMILY, PIPINTERFACE_CHANGE_CALLBACK, void *context, BOOLEAN initial, HANDLE *handle); */
  NotifyIpInterfaceChange: {
    parameters: ["u16", "pointer", "pointer", "u8", "buffer"],
    result: "u32",
  },
  /** DWORD NotifyRouteChange2(ADDRESS_FAMILY, PIPFORWARD_CHANGE_CALLBACK, void *context, BOOLEAN initial, HANDLE *handle); */
  NotifyRouteChange2: {
    parameters: ["u16", "pointer", "pointer", "u8", "buffer"],
    result: "u32",
  },
  /** DWORD NotifyUnicastIpAddressChange(ADDRESS_FAMILY, PUNICAST_IPADDRESS_CHANGE_CALLBACK, void *context, BOOLEAN initial, HANDLE *handle); */
  NotifyUnicastIpAddressChange: {
    parameters: ["u16", "pointer", "pointer", "u8", "buffer"],
    result: "u32",
  },
  /** DWORD CancelMibChangeNotify2(HANDLE); waits for callbacks that run, so elsewhere. */
  CancelMibChangeNotify2: {
    parameters: ["u64"],
    result: "u32",
    nonblocking: true,
  },
  /** DWORD GetBestRoute2(NET_LUID *, NET_IFINDEX, const SOCKADDR_INET *source, const SOCKADDR_INET *destination, ULONG options, MIB_IPFORWARD_ROW2 *route, SOCKADDR_INET *bestSource); */
  GetBestRoute2: {
    parameters: [
      "buffer",
      "u32",
      "pointer",
      "buffer",
      "u32",
      "buffer",
      "buffer",
    ],
    result: "u32",
    optional: true,
  },
} as const satisfies Deno.ForeignLibraryInterface;

const lacking = {
  /** DWORD GetIpInterfaceEntry(MIB_IPINTERFACE_ROW *row); */
  GetIpInterfaceEntry: {
    parameters: ["buffer"],
    result: "u32",
    optional: true,
  },
  /** void InitializeUnicastIpAddressEntry(MIB_UNICASTIPADDRESS_ROW *row); */
  InitializeUnicastIpAddressEntry: {
    parameters: ["buffer"],
    result: "void",
    optional: true,
  },
  /** DWORD CreateUnicastIpAddressEntry(const MIB_UNICASTIPADDRESS_ROW *row); */
  CreateUnicastIpAddressEntry: {
    parameters: ["buffer"],
    result: "u32",
    optional: true,
  },
  /** DWORD DeleteUnicastIpAddressEntry(const MIB_UNICASTIPADDRESS_ROW *row); */
  DeleteUnicastIpAddressEntry: {
    parameters: ["buffer"],
    result: "u32",
    optional: true,
  },
  /** void InitializeIpForwardEntry(MIB_IPFORWARD_ROW2 *row); */
  InitializeIpForwardEntry: {
    parameters: ["buffer"],
    result: "void",
    optional: true,
  },
  /** DWORD CreateIpForwardEntry2(const MIB_IPFORWARD_ROW2 *row); */
  CreateIpForwardEntry2: {
    parameters: ["buffer"],
    result: "u32",
    optional: true,
  },
  /** DWORD DeleteIpForwardEntry2(const MIB_IPFORWARD_ROW2 *row); */
  DeleteIpForwardEntry2: {
    parameters: ["buffer"],
    result: "u32",
    optional: true,
  },
  /** DWORD SetIpInterfaceEntry(MIB_IPINTERFACE_ROW *row); */
  SetIpInterfaceEntry: {
    parameters: ["buffer"],
    result: "u32",
    optional: true,
  },
  /** DWORD SetInterfaceDnsSettings(GUID interface, const DNS_INTERFACE_SETTINGS *settings); x64 passes the GUID by its address. */
  SetInterfaceDnsSettings: {
    parameters: ["buffer", "buffer"],
    result: "u32",
    optional: true,
  },
} as const satisfies Deno.ForeignLibraryInterface;

type Lacking = keyof typeof lacking;
type Symbols = Deno.DynamicLibrary<typeof lacking>["symbols"];
type LackingCalls = { readonly [Name in Lacking]: NonNullable<Symbols[Name]> };

/** iphlpapi.dll, opened for the calling thread. */
export interface Iphlpapi extends Disposable {
  readonly call: Deno.DynamicLibrary<typeof symbols>["symbols"];
  /**
   * A call that some systems lack.
   * @throws {MissingLibraryError} where this system has none of that name.
   */
  optional<Name extends Lacking>(name: Name): LackingCalls[Name];
  /** Whether this system has it. */
  has(name: Lacking): boolean;
}

/** @throws {MissingLibraryError} */
export function openIphlpapi(): Iphlpapi {
  using guard = new DisposableStack();
  const library = openLibrary(LIBRARY, symbols);
  guard.defer(() => library.close());
  const own = openLibrary(LIBRARY, lacking);
  guard.defer(() => own.close());
  const standIn = openStandIn();
  if (standIn !== undefined) guard.defer(() => standIn.close());
  const resources = guard.move();
  const find = <Name extends Lacking>(name: Name) =>
    (own.symbols[name] ?? standIn?.symbols[name] ?? undefined) as
      | LackingCalls[Name]
      | undefined;
  return {
    call: library.symbols,
    optional: (name) => present(find(name), LIBRARY, name),
    has: (name) => find(name) !== undefined,
    [Symbol.dispose]: () => resources.dispose(),
  };
}

function openStandIn(): Deno.DynamicLibrary<typeof lacking> | undefined {
  const path = standInOf("SLUICE_TEST_IPHLPAPI");
  if (path === undefined) return undefined;
  return openLibrary(path, lacking, "the tests build it");
}
