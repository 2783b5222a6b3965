/** Structs of kernel32.dll (x64), as data; see ffi/layout.ts. */
import { struct } from "../../layout.ts";

/** What comes out of a completion port. */
export const overlappedEntry = struct("OVERLAPPED_ENTRY", "windows.h", 32, [
  ["lpCompletionKey", "u64le", 0],
  ["lpOverlapped", "pointer", 8],
  ["Internal", "u64le", 16],
  ["dwNumberOfBytesTransferred", "u32le", 24],
]);
