/** A call of the Windows API that failed, with its code. */

/** Codes that are told apart. Source: winerror.h. */
export const Win32 = {
  Success: 0,
  FileNotFound: 2,
  PathNotFound: 3,
  AccessDenied: 5,
  SharingViolation: 32,
  NotSupported: 50,
  InvalidParameter: 87,
  BrokenPipe: 109,
  InsufficientBuffer: 122,
  PipeBusy: 231,
  NoData: 232,
  PipeNotConnected: 233,
  MoreData: 234,
  NoMoreItems: 259,
  PipeConnected: 535,
  OperationAborted: 995,
  IoPending: 997,
  NotFound: 1168,
  ObjectAlreadyExists: 5010,
} as const;

const TEXTS: Readonly<Record<number, string>> = {
  [Win32.FileNotFound]: "there is no such thing",
  [Win32.AccessDenied]: "access denied: an administrator may do it",
  [Win32.NotSupported]: "not supported",
  [Win32.InvalidParameter]: "a parameter is not valid",
  [Win32.NotFound]: "not found",
  [Win32.ObjectAlreadyExists]: "it exists already",
};

/** See the file header. */
export class Win32Error extends Error {
  override readonly name = "Win32Error";
  constructor(readonly call: string, readonly code: number) {
    super(`${call}: ${TEXTS[code] ?? "failed"} (Windows error ${code})`);
  }
}

/** @throws {Win32Error} unless the code is 0. */
export function checkWin32(call: string, code: number): void {
  if (code !== Win32.Success) throw new Win32Error(call, code);
}
