/** Structs of kernel32.dll (x64), as data; see ffi/layout.ts. */
import { struct } from "../../layout.ts";

/** What comes out of a completion port. */
export const overlappedEntry = struct("OVERLAPPED_ENTRY", "windows.h", 32, [
  ["lpCompletionKey", "u64le", 0],
  ["lpOverlapped", "pointer", 8],
  ["Internal", "u64le", 16],
  ["dwNumberOfBytesTransferred", "u32le", 24],
]);

/** A request that goes on while its caller does. */
export const overlapped = struct("OVERLAPPED", "windows.h", 32, [
  ["Internal", "u64le", 0],
  ["InternalHigh", "u64le", 8],
  ["Offset", "u32le", 16],
  ["OffsetHigh", "u32le", 20],
  ["hEvent", "pointer", 24],
]);

/** A process of a snapshot. */
export const processEntry = struct("PROCESSENTRY32W", "tlhelp32.h", 568, [
  ["dwSize", "u32le", 0],
  ["th32ProcessID", "u32le", 8],
  ["th32ParentProcessID", "u32le", 32],
  ["szExeFile", "bytes", 44],
]);
