/**
 * kernel32.dll: handles, events, waits, completion ports, memory.
 * https://learn.microsoft.com/en-us/windows/win32/api/
 *
 * A HANDLE is declared u32: only its low 32 bits matter («Interprocess
 * Communication Between 32-bit and 64-bit Applications»), and the runtime's call
 * extends it with zeros. Addresses are u64, passed as a bigint: a number as u64
 * leaves the runtime's fast path.
 */
import { openLibrary } from "./missing_library.ts";
import { Win32Error } from "./win32_error.ts";

const SYMBOLS = {
  // DWORD WINAPI GetLastError(VOID);
  // Meaningful only as the very next call after one that failed.
  GetLastError: { parameters: [], result: "u32" },
  // BOOL WINAPI CloseHandle(HANDLE hObject);
  CloseHandle: { parameters: ["u32"], result: "i32" },
  // BOOL WINAPI SetHandleInformation(HANDLE hObject, DWORD dwMask, DWORD dwFlags);
  SetHandleInformation: { parameters: ["u32", "u32", "u32"], result: "i32" },
  // HANDLE WINAPI CreateEventW(LPSECURITY_ATTRIBUTES lpEventAttributes, BOOL bManualReset,
  //                            BOOL bInitialState, LPCWSTR lpName);
  // 0 where it failed.
  CreateEventW: {
    parameters: ["pointer", "i32", "i32", "pointer"],
    result: "u32",
  },
  // BOOL WINAPI SetEvent(HANDLE hEvent);
  SetEvent: { parameters: ["u32"], result: "i32" },
  // BOOL WINAPI ResetEvent(HANDLE hEvent);
  ResetEvent: { parameters: ["u32"], result: "i32" },
  // DWORD WINAPI WaitForSingleObject(HANDLE hHandle, DWORD dwMilliseconds);
  WaitForSingleObject: { parameters: ["u32", "u32"], result: "u32" },
  // The same on a thread of its own, which blocks instead of the caller.
  WaitForSingleObjectElsewhere: {
    name: "WaitForSingleObject",
    parameters: ["u32", "u32"],
    result: "u32",
    nonblocking: true,
  },
  // DWORD WINAPI WaitForMultipleObjects(DWORD nCount, const HANDLE *lpHandles, BOOL bWaitAll,
  //                                     DWORD dwMilliseconds);
  // At most 64 handles, 8 bytes each.
  WaitForMultipleObjects: {
    parameters: ["u32", "buffer", "i32", "u32"],
    result: "u32",
  },
  // HANDLE WINAPI CreateIoCompletionPort(HANDLE FileHandle, HANDLE ExistingCompletionPort,
  //                                      ULONG_PTR CompletionKey, DWORD NumberOfConcurrentThreads);
  // FileHandle -1 makes a port; else the file reports to the existing one. 0 where it failed.
  CreateIoCompletionPort: {
    parameters: ["i64", "u64", "u64", "u32"],
    result: "u32",
  },
  // BOOL WINAPI GetQueuedCompletionStatusEx(HANDLE CompletionPort, LPOVERLAPPED_ENTRY entries,
  //     ULONG ulCount, PULONG ulNumEntriesRemoved, DWORD dwMilliseconds, BOOL fAlertable);
  // FALSE with WAIT_TIMEOUT where nothing came.
  GetQueuedCompletionStatusEx: {
    parameters: ["u32", "buffer", "u32", "buffer", "u32", "i32"],
    result: "i32",
  },
  // The same on a thread of its own, which blocks instead of the caller.
  GetQueuedCompletionStatusElsewhere: {
    name: "GetQueuedCompletionStatusEx",
    parameters: ["u32", "buffer", "u32", "buffer", "u32", "i32"],
    result: "i32",
    nonblocking: true,
  },
  // BOOL WINAPI PostQueuedCompletionStatus(HANDLE CompletionPort,
  //     DWORD dwNumberOfBytesTransferred, ULONG_PTR dwCompletionKey, LPOVERLAPPED lpOverlapped);
  PostQueuedCompletionStatus: {
    parameters: ["u32", "u32", "u64", "u64"],
    result: "i32",
  },
  // LPVOID WINAPI VirtualAlloc(LPVOID lpAddress, SIZE_T dwSize, DWORD flAllocationType,
  //                            DWORD flProtect);
  // Zeroed, at a page's beginning.
  VirtualAlloc: {
    parameters: ["pointer", "u64", "u32", "u32"],
    result: "pointer",
  },
  // BOOL WINAPI VirtualFree(LPVOID lpAddress, SIZE_T dwSize, DWORD dwFreeType);
  VirtualFree: { parameters: ["pointer", "u64", "u32"], result: "i32" },
  // HANDLE WINAPI CreateFileW(LPCWSTR lpFileName, DWORD dwDesiredAccess, DWORD dwShareMode,
  //     LPSECURITY_ATTRIBUTES lpSecurityAttributes, DWORD dwCreationDisposition,
  //     DWORD dwFlagsAndAttributes, HANDLE hTemplateFile);
  // 0xffff_ffff where it failed.
  CreateFileW: {
    parameters: ["buffer", "u32", "u32", "u64", "u32", "u32", "u64"],
    result: "u32",
  },
  // HANDLE WINAPI CreateNamedPipeW(LPCWSTR lpName, DWORD dwOpenMode, DWORD dwPipeMode,
  //     DWORD nMaxInstances, DWORD nOutBufferSize, DWORD nInBufferSize, DWORD nDefaultTimeOut,
  //     LPSECURITY_ATTRIBUTES lpSecurityAttributes);
  // 0xffff_ffff where it failed.
  CreateNamedPipeW: {
    parameters: ["buffer", "u32", "u32", "u32", "u32", "u32", "u32", "buffer"],
    result: "u32",
  },
  // BOOL WINAPI ConnectNamedPipe(HANDLE hNamedPipe, LPOVERLAPPED lpOverlapped);
  ConnectNamedPipe: { parameters: ["u32", "u64"], result: "i32" },
  // BOOL WINAPI ReadFile(HANDLE hFile, LPVOID lpBuffer, DWORD nNumberOfBytesToRead,
  //                      LPDWORD lpNumberOfBytesRead, LPOVERLAPPED lpOverlapped);
  ReadFile: {
    parameters: ["u32", "u64", "u32", "pointer", "u64"],
    result: "i32",
  },
  // BOOL WINAPI WriteFile(HANDLE hFile, LPCVOID lpBuffer, DWORD nNumberOfBytesToWrite,
  //                       LPDWORD lpNumberOfBytesWritten, LPOVERLAPPED lpOverlapped);
  WriteFile: {
    parameters: ["u32", "u64", "u32", "pointer", "u64"],
    result: "i32",
  },
  // BOOL WINAPI GetOverlappedResult(HANDLE hFile, LPOVERLAPPED lpOverlapped,
  //                                 LPDWORD lpNumberOfBytesTransferred, BOOL bWait);
  GetOverlappedResult: {
    parameters: ["u32", "u64", "buffer", "i32"],
    result: "i32",
  },
  // BOOL WINAPI CancelIoEx(HANDLE hFile, LPOVERLAPPED lpOverlapped);
  // 0 instead of a request: all of them.
  CancelIoEx: { parameters: ["u32", "u64"], result: "i32" },
  // BOOL WINAPI QueryUnbiasedInterruptTime(PULONGLONG UnbiasedTime);
  // In 100 ns since the system started, time asleep left out.
  QueryUnbiasedInterruptTime: { parameters: ["buffer"], result: "i32" },
  // HANDLE WINAPI OpenProcess(DWORD dwDesiredAccess, BOOL bInheritHandle, DWORD dwProcessId);
  // 0 where it failed.
  OpenProcess: { parameters: ["u32", "i32", "u32"], result: "u32" },
  // BOOL WINAPI GetProcessTimes(HANDLE hProcess, LPFILETIME lpCreationTime, LPFILETIME lpExitTime,
  //                             LPFILETIME lpKernelTime, LPFILETIME lpUserTime);
  GetProcessTimes: {
    parameters: ["u32", "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
  // BOOL WINAPI QueryFullProcessImageNameW(HANDLE hProcess, DWORD dwFlags, LPWSTR lpExeName, PDWORD lpdwSize);
  // The size is in characters.
  QueryFullProcessImageNameW: {
    parameters: ["u32", "u32", "buffer", "buffer"],
    result: "i32",
  },
  // HANDLE WINAPI CreateToolhelp32Snapshot(DWORD dwFlags, DWORD th32ProcessID);
  CreateToolhelp32Snapshot: { parameters: ["u32", "u32"], result: "u32" },
  // BOOL WINAPI Process32FirstW(HANDLE hSnapshot, LPPROCESSENTRY32W lppe);
  Process32FirstW: { parameters: ["u32", "buffer"], result: "i32" },
  // BOOL WINAPI Process32NextW(HANDLE hSnapshot, LPPROCESSENTRY32W lppe);
  Process32NextW: { parameters: ["u32", "buffer"], result: "i32" },
  // BOOL WINAPI SetProcessWorkingSetSize(HANDLE hProcess, SIZE_T dwMinimumWorkingSetSize, SIZE_T dwMaximumWorkingSetSize);
  // -1 for all three: as few pages of this process as possible stay in memory.
  SetProcessWorkingSetSize: {
    parameters: ["i64", "i64", "i64"],
    result: "i32",
  },
  // BOOL WINAPI CreateDirectoryW(LPCWSTR lpPathName, LPSECURITY_ATTRIBUTES lpSecurityAttributes);
  CreateDirectoryW: { parameters: ["buffer", "buffer"], result: "i32" },
  // UINT WINAPI GetSystemDirectoryW(LPWSTR lpBuffer, UINT uSize);
  // Size and result are in characters; 0 where it failed.
  GetSystemDirectoryW: { parameters: ["buffer", "u32"], result: "u32" },
  // HLOCAL WINAPI LocalFree(HLOCAL hMem);
  LocalFree: { parameters: ["pointer"], result: "pointer" },
  // HMODULE WINAPI GetModuleHandleW(LPCWSTR lpModuleName);
  GetModuleHandleW: { parameters: ["buffer"], result: "pointer" },
  // FARPROC WINAPI GetProcAddress(HMODULE hModule, LPCSTR lpProcName);
  GetProcAddress: { parameters: ["pointer", "buffer"], result: "pointer" },
  // BOOL WINAPI QueryPerformanceCounter(LARGE_INTEGER *lpPerformanceCount);
  // Ticks since the system started, «including the time when the machine was in a sleep state».
  QueryPerformanceCounter: { parameters: ["buffer"], result: "i32" },
  // BOOL WINAPI QueryPerformanceFrequency(LARGE_INTEGER *lpFrequency);
  // Ticks a second; the same until the system is started anew.
  QueryPerformanceFrequency: { parameters: ["buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The functions by their C names. */
export type Kernel32Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** An open kernel32.dll; disposing closes the library. */
export interface Kernel32 extends Disposable {
  readonly call: Kernel32Symbols;
  /** Makes an error of the last call's failure; the very next call after it. */
  error(call: string): Win32Error;
}

/** Results of the waits. Source: winbase.h. */
export const WAIT = {
  OBJECT_0: 0,
  TIMEOUT: 258,
  FAILED: 0xffff_ffff,
  /** Handles that one wait takes. */
  MAXIMUM_OBJECTS: 64,
} as const;

/** The flag of SetHandleInformation: whether children inherit a handle. */
export const HANDLE_FLAG_INHERIT = 1;

/** A time that never comes, for the waits. */
export const INFINITE = 0xffff_ffff;

/** What VirtualAlloc and VirtualFree take. Source: winnt.h. */
export const MEM = {
  COMMIT_RESERVE: 0x3000,
  RELEASE: 0x8000,
  READWRITE: 4,
} as const;

/** How files and pipes are opened. Source: winnt.h, winbase.h. */
export const FILE = {
  GENERIC_READ_WRITE: 0xc000_0000,
  OPEN_EXISTING: 3,
  FLAG_OVERLAPPED: 0x4000_0000,
  /** SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION */
  SQOS_IDENTIFICATION: 0x0011_0000,
} as const;

/** How pipes are made. Source: winbase.h. */
export const PIPE = {
  ACCESS_DUPLEX: 3,
  FIRST_INSTANCE: 0x0008_0000,
  REJECT_REMOTE_CLIENTS: 8,
  UNLIMITED_INSTANCES: 255,
} as const;

/** @throws {MissingLibraryError} */
export function openKernel32(): Kernel32 {
  const library = openLibrary("kernel32.dll", SYMBOLS);
  const { symbols } = library;
  return {
    call: symbols,
    error: (call) => new Win32Error(call, symbols.GetLastError()),
    [Symbol.dispose]: () => library.close(),
  };
}
