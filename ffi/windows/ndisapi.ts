/**
 * ndisapi.dll 3.6: Ethernet frames on their way between TCP/IP and an adapter,
 * by the driver of the Windows Packet Filter. https://www.ntkernel.com/windows-packet-filter/
 *
 * An open driver (`HANDLE hOpen`) and an adapter are addresses, u64 as bigints.
 * Several threads may use one open driver. All calls give a BOOL: 0 where it
 * failed; GetLastError is the driver's.
 */
import { openLibrary } from "./missing_library.ts";

const SYMBOLS = {
  // HANDLE __stdcall OpenFilterDriver(LPCWSTR pszFileName);
  // "NDISRD". Gives a handle even where there is no driver: ask IsDriverLoaded.
  OpenFilterDriver: { parameters: ["buffer"], result: "u64" },
  // VOID __stdcall CloseFilterDriver(HANDLE hOpen);
  // The driver lets go of all that was set by it.
  CloseFilterDriver: { parameters: ["u64"], result: "void" },
  // BOOL __stdcall IsDriverLoaded(HANDLE hOpen);
  IsDriverLoaded: { parameters: ["u64"], result: "i32" },
  // DWORD __stdcall GetDriverVersion(HANDLE hOpen);
  // Bits 31-24 minor, 23-16 revision, 15-12 major; all ones without a driver.
  GetDriverVersion: { parameters: ["u64"], result: "u32" },
  // BOOL __stdcall GetTcpipBoundAdaptersInfo(HANDLE hOpen, PTCP_AdapterList pAdapters);
  GetTcpipBoundAdaptersInfo: { parameters: ["u64", "buffer"], result: "i32" },
  // BOOL __stdcall ConvertWindows2000AdapterName(LPCSTR szAdapterName, LPSTR szUserFriendlyName,
  //                                              DWORD dwUserFriendlyNameLength);
  ConvertWindows2000AdapterName: {
    parameters: ["buffer", "buffer", "u32"],
    result: "i32",
  },
  // BOOL __stdcall GetAdapterMode(HANDLE hOpen, PADAPTER_MODE pMode);
  GetAdapterMode: { parameters: ["u64", "buffer"], result: "i32" },
  // BOOL __stdcall SetAdapterMode(HANDLE hOpen, PADAPTER_MODE pMode);
  SetAdapterMode: { parameters: ["u64", "buffer"], result: "i32" },
  // BOOL __stdcall SetPacketEvent(HANDLE hOpen, HANDLE hAdapter, HANDLE hWin32Event);
  // The event is set when frames wait; 0 takes it away.
  SetPacketEvent: { parameters: ["u64", "u64", "u64"], result: "i32" },
  // BOOL __stdcall SetAdapterListChangeEvent(HANDLE hOpen, HANDLE hWin32Event);
  SetAdapterListChangeEvent: { parameters: ["u64", "u64"], result: "i32" },
  // BOOL __stdcall FlushAdapterPacketQueue(HANDLE hOpen, HANDLE hAdapter);
  FlushAdapterPacketQueue: { parameters: ["u64", "u64"], result: "i32" },
  // BOOL __stdcall ReadPacketsUnsorted(HANDLE hOpen, PINTERMEDIATE_BUFFER *Packets,
  //                                    DWORD dwPacketsNum, PDWORD pdwPacketsSuccess);
  // Of all adapters. FALSE where nothing waits.
  ReadPacketsUnsorted: {
    parameters: ["u64", "buffer", "u32", "buffer"],
    result: "i32",
  },
  // BOOL __stdcall SendPacketsToMstcpUnsorted(HANDLE hOpen, PINTERMEDIATE_BUFFER *Packets,
  //                                           DWORD dwPacketsNum, PDWORD pdwPacketSuccess);
  // Each names its adapter. As if the adapter had received them.
  SendPacketsToMstcpUnsorted: {
    parameters: ["u64", "buffer", "u32", "buffer"],
    result: "i32",
  },
  // BOOL __stdcall SendPacketsToAdaptersUnsorted(HANDLE hOpen, PINTERMEDIATE_BUFFER *Packets,
  //                                              DWORD dwPacketsNum, PDWORD pdwPacketSuccess);
  SendPacketsToAdaptersUnsorted: {
    parameters: ["u64", "buffer", "u32", "buffer"],
    result: "i32",
  },
  // BOOL __stdcall InitializeFastIo(HANDLE hOpen, PFAST_IO_SECTION pFastIo, DWORD dwSize);
  // FALSE where there is no room for one frame, or the driver has no such thing.
  InitializeFastIo: { parameters: ["u64", "u64", "u32"], result: "i32" },
  // BOOL __stdcall AddSecondaryFastIo(HANDLE hOpen, PFAST_IO_SECTION pFastIo, DWORD dwSize);
  AddSecondaryFastIo: { parameters: ["u64", "u64", "u32"], result: "i32" },
  // BOOL __stdcall SetPacketFilterTable(HANDLE hOpen, PSTATIC_FILTER_TABLE pFilterList);
  // In place of the one before. The first rule that fits holds; without one the mode.
  SetPacketFilterTable: { parameters: ["u64", "buffer"], result: "i32" },
  // BOOL __stdcall ResetPacketFilterTable(HANDLE hOpen);
  ResetPacketFilterTable: { parameters: ["u64"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The functions by their C names. */
export type NdisapiSymbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** An open ndisapi.dll; disposing closes the library. */
export interface Ndisapi extends Disposable {
  readonly call: NdisapiSymbols;
}

/** How an adapter treats frames: bits of ADAPTER_MODE. Source: common.h. */
export const MSTCP_FLAG = {
  /** What TCP/IP sends comes to us instead. */
  SENT_TUNNEL: 1,
  /** What the adapter receives comes to us instead. */
  RECV_TUNNEL: 2,
} as const;

/** Where a frame was going: m_dwDeviceFlags. */
export const PACKET_FLAG = { ON_SEND: 1, ON_RECEIVE: 2 } as const;

/** What a static filter does. */
export const FILTER_PACKET = { PASS: 1, DROP: 2, REDIRECT: 3 } as const;

/** Which layers of a static filter count. */
export const LAYER_VALID = {
  DATA_LINK: 1,
  NETWORK: 2,
  TRANSPORT: 4,
} as const;

/** The driver's name. */
export const DRIVER_NAME = "NDISRD";

/** Where to get the library and its driver. */
export const NDISAPI_REMEDY =
  "get version 3.6 of the Windows Packet Filter from https://github.com/wiresock/ndisapi/releases";

/**
 * Opens the library that lies at `path`; the caller has seen to it that it may
 * be trusted.
 * @param path absolute, with backslashes.
 * @throws {MissingLibraryError}
 */
export function openNdisapi(path: string): Ndisapi {
  const library = openLibrary(path, SYMBOLS, NDISAPI_REMEDY);
  return {
    call: library.symbols,
    [Symbol.dispose]: () => library.close(),
  };
}
