/**
 * ntdll.dll: the system's socket driver (AFD) asked for readiness, and events
 * that report to a completion port. Results are NTSTATUS.
 *
 * IOCTL_AFD_POLL is not documented by Microsoft, and yet what libuv, mio and
 * wepoll stand on; so are the wait completion packets, which Go's runtime uses.
 * HANDLEs are u32 and addresses u64 as in kernel32.ts.
 */
import { openLibrary } from "./missing_library.ts";

const SYMBOLS = {
  // NTSTATUS NTAPI NtCreateFile(PHANDLE FileHandle, ACCESS_MASK DesiredAccess,
  //     POBJECT_ATTRIBUTES ObjectAttributes, PIO_STATUS_BLOCK IoStatusBlock,
  //     PLARGE_INTEGER AllocationSize, ULONG FileAttributes, ULONG ShareAccess,
  //     ULONG CreateDisposition, ULONG CreateOptions, PVOID EaBuffer, ULONG EaLength);
  NtCreateFile: {
    parameters: [
      "buffer",
      "u32",
      "buffer",
      "buffer",
      "pointer",
      "u32",
      "u32",
      "u32",
      "u32",
      "pointer",
      "u32",
    ],
    result: "u32",
  },
  // NTSTATUS NTAPI NtDeviceIoControlFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine,
  //     PVOID ApcContext, PIO_STATUS_BLOCK IoStatusBlock, ULONG IoControlCode, PVOID InputBuffer,
  //     ULONG InputBufferLength, PVOID OutputBuffer, ULONG OutputBufferLength);
  // With a port: ApcContext comes back as lpOverlapped.
  NtDeviceIoControlFile: {
    parameters: [
      "u32",
      "u32",
      "u64",
      "u64",
      "u64",
      "u32",
      "u64",
      "u32",
      "u64",
      "u32",
    ],
    result: "u32",
  },
  // NTSTATUS NTAPI NtCancelIoFileEx(HANDLE FileHandle, PIO_STATUS_BLOCK IoRequestToCancel,
  //                                 PIO_STATUS_BLOCK IoStatusBlock);
  NtCancelIoFileEx: { parameters: ["u32", "u64", "buffer"], result: "u32" },
  // NTSTATUS NTAPI NtCreateWaitCompletionPacket(PHANDLE WaitCompletionPacketHandle,
  //     ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes);
  // Windows 8 and later; Wine 10 lacks all three.
  NtCreateWaitCompletionPacket: {
    parameters: ["buffer", "u32", "pointer"],
    result: "u32",
    optional: true,
  },
  // NTSTATUS NTAPI NtAssociateWaitCompletionPacket(HANDLE WaitCompletionPacketHandle,
  //     HANDLE IoCompletionHandle, HANDLE TargetObjectHandle, PVOID KeyContext, PVOID ApcContext,
  //     NTSTATUS IoStatus, ULONG_PTR IoStatusInformation, PBOOLEAN AlreadySignaled);
  // Once: when the object is signalled, KeyContext and ApcContext come out of the port.
  NtAssociateWaitCompletionPacket: {
    parameters: ["u32", "u32", "u32", "u64", "u64", "u32", "u64", "pointer"],
    result: "u32",
    optional: true,
  },
  // NTSTATUS NTAPI NtCancelWaitCompletionPacket(HANDLE WaitCompletionPacketHandle,
  //                                             BOOLEAN RemoveSignaledPacket);
  NtCancelWaitCompletionPacket: {
    parameters: ["u32", "u8"],
    result: "u32",
    optional: true,
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** The functions by their C names. */
export type NtdllSymbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** An open ntdll.dll; disposing closes the library. */
export interface Ntdll extends Disposable {
  readonly call: NtdllSymbols;
}

/** Values of NTSTATUS that are told apart. Source: ntstatus.h. */
export const STATUS = {
  SUCCESS: 0,
  PENDING: 0x103,
  CANCELLED: 0xc000_0120,
  NOT_FOUND: 0xc000_0225,
  INVALID_HANDLE: 0xc000_0008,
} as const;

/** The poll of the socket driver. */
export const AFD = {
  /** Name of the driver's device; anything may follow it. */
  DEVICE: "\\Device\\Afd\\sluice",
  /** IOCTL_AFD_POLL */
  POLL: 0x0001_2024,
} as const;

/** Events of a poll. */
export const AFD_POLL = {
  RECEIVE: 0x1,
  RECEIVE_EXPEDITED: 0x2,
  SEND: 0x4,
  DISCONNECT: 0x8,
  ABORT: 0x10,
  LOCAL_CLOSE: 0x20,
  ACCEPT: 0x80,
  CONNECT_FAIL: 0x100,
} as const;

/** @throws {MissingLibraryError} */
export function openNtdll(): Ntdll {
  const library = openLibrary("ntdll.dll", SYMBOLS);
  return {
    call: library.symbols,
    [Symbol.dispose]: () => library.close(),
  };
}
