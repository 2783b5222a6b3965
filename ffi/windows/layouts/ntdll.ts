/** Structs of ntdll.dll and the socket driver (x64), as data; see ffi/layout.ts. */
import { struct } from "../../layout.ts";

/** A counted text in UTF-16; lengths in bytes. */
export const unicodeString = struct("UNICODE_STRING", "winternl.h", 16, [
  ["Length", "u16le", 0],
  ["MaximumLength", "u16le", 2],
  ["Buffer", "pointer", 8],
]);

/** What is opened, by name. */
export const objectAttributes = struct("OBJECT_ATTRIBUTES", "winternl.h", 48, [
  ["Length", "u32le", 0],
  ["RootDirectory", "pointer", 8],
  ["ObjectName", "pointer", 16],
  ["Attributes", "u32le", 24],
  ["SecurityDescriptor", "pointer", 32],
  ["SecurityQualityOfService", "pointer", 40],
]);

/** How a request ended; the system writes it when it does. */
export const ioStatusBlock = struct("IO_STATUS_BLOCK", "winternl.h", 16, [
  ["Status", "u32le", 0],
  ["Information", "u64le", 8],
]);

/** One socket of a poll; in no header of Microsoft's. */
export const afdPollHandleInfo = struct("AFD_POLL_HANDLE_INFO", "afd.h", 16, [
  ["Handle", "pointer", 0],
  ["Events", "u32le", 8],
  ["Status", "u32le", 12],
]);

/** A poll of one socket, as it goes in and comes out. */
export const afdPollInfo = struct("AFD_POLL_INFO", "afd.h", 32, [
  ["Timeout", "i64le", 0],
  ["NumberOfHandles", "u32le", 8],
  ["Exclusive", "u32le", 12],
  ["Handles", "bytes", 16],
]);
