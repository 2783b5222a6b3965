/**
 * Libraries that come with a driver and are no part of Windows: wintun.dll,
 * ndisapi.dll. They run with the rights of an administrator, so where they come
 * from is not left to chance:
 *
 * - Only the one beside the executable is taken, never one of the working
 *   directory or of PATH. Where the program is no compiled one the executable is
 *   deno.exe, and a variable (`SLUICE_WINTUN_DLL`) may name the file instead.
 * - Its signature must hold, and its signer be the expected one. Under Wine, and
 *   only there, `SLUICE_UNSIGNED_DRIVERS=allow` takes an unsigned one: what tests
 *   put in place of a driver is not signed.
 */
import type { Kernel32 } from "../../../../ffi/windows/kernel32.ts";
import { wideText } from "../../../../ffi/windows/wide_text.ts";
import { Win32, type Win32Error } from "../../../../ffi/windows/win32_error.ts";
import { runsUnderWine } from "../../../../ffi/windows/wine.ts";
import { openWintrust } from "../../../../ffi/windows/wintrust.ts";
import { verifySignature } from "./signature.ts";

/** Which library, and who may have signed it. */
export interface DriverLibrary {
  /** The file's name: `wintun.dll`. */
  readonly file: string;
  /** The environment variable that may name it for a program run from sources. */
  readonly variable: string;
  /** Names of certificates, any of which may have signed it. */
  readonly signers: readonly string[];
  /** Where to get it. */
  readonly source: string;
}

/**
 * Why a driver's library is not loaded.
 *
 * - `absent`: there is no such file
 * - `unreadable`: it may not be read, or is being written
 * - `wrong-machine`: it is for another processor
 * - `untrusted`: its signature does not hold, or is somebody else's
 */
export type DriverLibraryProblem =
  | "absent"
  | "unreadable"
  | "wrong-machine"
  | "untrusted";

/** A driver's library that is not loaded; the message says what to do. */
export class DriverLibraryError extends Error {
  override readonly name = "DriverLibraryError";
  constructor(
    readonly problem: DriverLibraryProblem,
    /** The file's full path. */
    readonly path: string,
    message: string,
    /** What to do about it. */
    readonly advice: string,
  ) {
    super(message);
  }
}

const GENERIC_READ = 0x8000_0000;
const FILE_SHARE_READ = 1;
const OPEN_EXISTING = 3;
const INVALID_HANDLE = 0xffff_ffff;
/** IMAGE_FILE_HEADER.Machine. Source: winnt.h. */
const MACHINES: Readonly<Record<number, string>> = {
  0x014c: "x86",
  0x01c4: "arm",
  0x8664: "amd64",
  0xaa64: "arm64",
};
/** Offset of the field that says where the PE header is. */
const PE_OFFSET_AT = 0x3c;
const HEADERS_LENGTH = 4096;

/**
 * Where a driver's library is looked for: an absolute path.
 * @param standalone whether this is a compiled program.
 */
export function driverLibraryPath(
  { file, variable }: DriverLibrary,
  standalone: boolean = Deno.build.standalone,
): string {
  const named = standalone ? undefined : Deno.env.get(variable);
  if (named !== undefined && named !== "") {
    if (/^[a-z]:[\\/]/i.test(named)) return named.replaceAll("/", "\\");
    throw new TypeError(`${variable} is no absolute path: ${named}`);
  }
  const executable = Deno.execPath();
  return executable.slice(0, executable.search(/[^\\/]*$/)) + file;
}

/**
 * Has a library opened that may be trusted; nobody can change the file between
 * the check and the opening.
 * @param open opens the file at the path that it is given.
 * @throws {DriverLibraryError}
 */
export function openDriverLibrary<T>(
  library: DriverLibrary,
  kernel32: Kernel32,
  open: (path: string) => T,
): T {
  const path = driverLibraryPath(library);
  // Shared for reading only: it is neither written to nor replaced meanwhile.
  const handle = kernel32.call.CreateFileW(
    wideText(path),
    GENERIC_READ,
    FILE_SHARE_READ,
    0n,
    OPEN_EXISTING,
    0,
    0n,
  );
  if (handle === INVALID_HANDLE) {
    throw openingError(library, path, kernel32.error("CreateFileW"));
  }
  try {
    checkMachine(library, path);
    checkSigner(library, { path, handle });
    return open(path);
  } finally {
    kernel32.call.CloseHandle(handle);
  }
}

function openingError(
  { file, source }: DriverLibrary,
  path: string,
  { code, message }: Win32Error,
): DriverLibraryError {
  if (code === Win32.FileNotFound || code === Win32.PathNotFound) {
    const folder = path.slice(0, -file.length - 1);
    return new DriverLibraryError(
      "absent",
      path,
      `there is no ${file} beside the program`,
      `get ${source} and put it into ${folder}`,
    );
  }
  const [reason, advice] = code === Win32.AccessDenied
    ? ["its permissions forbid it", "let administrators read it"]
    : code === Win32.SharingViolation
    ? ["another program writes to it", "end that program, or wait for it"]
    : [message, `replace ${file}: get ${source}`];
  const text = `${path} can't be read: ${reason}`;
  return new DriverLibraryError("unreadable", path, text, advice);
}

/** @throws {DriverLibraryError} where it is not for this processor. */
function checkMachine({ file, source }: DriverLibrary, path: string): void {
  const machine = machineOf(path);
  if (machine === "amd64") return;
  const what = machine === undefined
    ? "no library"
    : `for another processor (${machine})`;
  const message = `${path} is ${what}: amd64 is needed`;
  const advice = `replace ${file}: get ${source}`;
  throw new DriverLibraryError("wrong-machine", path, message, advice);
}

/** For which processor a library is; undefined where it is none. */
function machineOf(path: string): string | undefined {
  using opened = Deno.openSync(path);
  const bytes = new Uint8Array(HEADERS_LENGTH);
  const length = opened.readSync(bytes) ?? 0;
  const view = new DataView(bytes.buffer, 0, length);
  if (length < PE_OFFSET_AT + 4 || view.getUint16(0) !== 0x4d5a) {
    return undefined;
  }
  const at = view.getUint32(PE_OFFSET_AT, true);
  if (at + 6 > length || view.getUint32(at) !== 0x50450000) return undefined;
  const machine = view.getUint16(at + 4, true);
  return MACHINES[machine] ?? `machine 0x${machine.toString(16)}`;
}

/** @throws {DriverLibraryError} where the signature is not worth enough. */
function checkSigner(
  { file, source, signers }: DriverLibrary,
  opened: { readonly path: string; readonly handle: number },
): void {
  if (unsignedAllowed()) return;
  using wintrust = openWintrust();
  const verdict = verifySignature(wintrust, opened);
  if (verdict.kind === "valid" && signers.includes(verdict.signer)) return;
  const reason = verdict.kind === "valid"
    ? `it is signed by ${verdict.signer || "nobody"}, not by ${
      signers.join(" or ")
    }`
    : verdict.reason;
  throw new DriverLibraryError(
    "untrusted",
    opened.path,
    `${opened.path} is not to be trusted: ${reason}`,
    `replace ${file}: get ${source}`,
  );
}

function unsignedAllowed(): boolean {
  return Deno.env.get("SLUICE_UNSIGNED_DRIVERS") === "allow" && runsUnderWine();
}
