/**
 * wintun.dll, API 0.14: a layer-3 adapter whose packets lie in two rings that
 * the driver and the program share. https://git.zx2c4.com/wintun/about/
 *
 * What changes with each packet is declared u64 and passed as a bigint: compiled
 * code keeps it in a register. A pointer object would be made for each packet,
 * and a number as u64 leaves the runtime's fast path.
 *
 * Errors are GetLastError's:
 *
 * - 5 access denied: no administrator
 * - 38 end of file: the adapter is being removed
 * - 87 invalid parameter: a ring capacity that is no power of two or out of range
 * - 111 buffer overflow: the ring is full
 * - 259 no more items: nothing to read
 * - 1247 already initialized: the adapter has a session
 */
import { openLibrary } from "./missing_library.ts";

const SYMBOLS = {
  // WINTUN_ADAPTER_HANDLE WINAPI WintunCreateAdapter(LPCWSTR Name, LPCWSTR TunnelType,
  //                                                  const GUID *RequestedGUID);
  // Name: 1 to 127 characters. Removes an adapter of that GUID that nobody holds.
  WintunCreateAdapter: {
    parameters: ["buffer", "buffer", "buffer"],
    result: "u64",
  },
  // WINTUN_ADAPTER_HANDLE WINAPI WintunOpenAdapter(LPCWSTR Name);
  WintunOpenAdapter: { parameters: ["buffer"], result: "u64" },
  // VOID WINAPI WintunCloseAdapter(WINTUN_ADAPTER_HANDLE Adapter);
  // Removes the adapter where it was made by WintunCreateAdapter.
  WintunCloseAdapter: { parameters: ["u64"], result: "void" },
  // BOOL WINAPI WintunDeleteDriver(VOID);
  WintunDeleteDriver: { parameters: [], result: "i32" },
  // VOID WINAPI WintunGetAdapterLUID(WINTUN_ADAPTER_HANDLE Adapter, NET_LUID *Luid);
  WintunGetAdapterLUID: { parameters: ["u64", "buffer"], result: "void" },
  // DWORD WINAPI WintunGetRunningDriverVersion(VOID);
  // High word major, low word minor; 0 where no driver is loaded.
  WintunGetRunningDriverVersion: { parameters: [], result: "u32" },
  // VOID WINAPI WintunSetLogger(WINTUN_LOGGER_CALLBACK NewLogger);
  // The callback comes on threads of the library's own.
  WintunSetLogger: { parameters: ["function"], result: "void" },
  // WINTUN_SESSION_HANDLE WINAPI WintunStartSession(WINTUN_ADAPTER_HANDLE Adapter, DWORD Capacity);
  WintunStartSession: { parameters: ["u64", "u32"], result: "u64" },
  // VOID WINAPI WintunEndSession(WINTUN_SESSION_HANDLE Session);
  // Frees the rings: nobody may use the session meanwhile or afterwards.
  WintunEndSession: { parameters: ["u64"], result: "void" },
  // HANDLE WINAPI WintunGetReadWaitEvent(WINTUN_SESSION_HANDLE Session);
  // An event that resets itself; the session's, not to be closed.
  WintunGetReadWaitEvent: { parameters: ["u64"], result: "u32" },
  // BYTE *WINAPI WintunReceivePacket(WINTUN_SESSION_HANDLE Session, DWORD *PacketSize);
  // Thread-safe. The packet stays in the ring until it is released.
  WintunReceivePacket: { parameters: ["u64", "u64"], result: "u64" },
  // VOID WINAPI WintunReleaseReceivePacket(WINTUN_SESSION_HANDLE Session, const BYTE *Packet);
  // Thread-safe. Room is given back in the order of receiving.
  WintunReleaseReceivePacket: { parameters: ["u64", "u64"], result: "void" },
  // BYTE *WINAPI WintunAllocateSendPacket(WINTUN_SESSION_HANDLE Session, DWORD PacketSize);
  // Thread-safe. At most 65535 bytes: the library takes more, the driver then stops.
  WintunAllocateSendPacket: { parameters: ["u64", "u32"], result: "u64" },
  // VOID WINAPI WintunSendPacket(WINTUN_SESSION_HANDLE Session, const BYTE *Packet);
  // Thread-safe. Packets leave in the order of their allocation: one that is never
  // sent holds back all that were allocated after it.
  WintunSendPacket: { parameters: ["u64", "u64"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The functions by their C names. */
export type WintunSymbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** An open wintun.dll; disposing closes the library. */
export interface Wintun extends Disposable {
  readonly call: WintunSymbols;
}

/** What the library takes and gives. */
export const WINTUN = {
  /** Characters of an adapter's name, at most. */
  LONGEST_NAME: 127,
  /** Bytes of a packet, at most. */
  LONGEST_PACKET: 0xffff,
} as const;

/** Where to get the library. */
export const WINTUN_REMEDY =
  "get version 0.14 or later from https://www.wintun.net (bin\\amd64\\wintun.dll)";

/**
 * Opens the library that lies at `path`; the caller has seen to it that it may
 * be trusted.
 * @param path absolute, with backslashes.
 * @throws {MissingLibraryError}
 */
export function openWintun(path: string): Wintun {
  const library = openLibrary(path, SYMBOLS, WINTUN_REMEDY);
  return {
    call: library.symbols,
    [Symbol.dispose]: () => library.close(),
  };
}
