/**
 * The driver of the Windows Packet Filter: its library beside the program, the
 * driver loaded, of a version and a size that we know, and its adapters.
 *
 * Its frames have room for 1514 bytes. Builds for jumbo frames have more, and
 * nothing tells them but this: InitializeFastIo takes a section that has room
 * for one frame, and none that has less.
 */
import type { Kernel32 } from "../../../../ffi/windows/kernel32.ts";
import {
  ADAPTER_LIST_SIZE,
  ADAPTER_NAME_SIZE,
  adapterMode,
  ETHER_ADDR_LENGTH,
  intermediateBuffer,
  tcpAdapterList,
} from "../../../../ffi/windows/layouts/ndisapi.ts";
import { MissingLibraryError } from "../../../../ffi/windows/missing_library.ts";
import {
  DRIVER_NAME,
  type Ndisapi,
  NDISAPI_REMEDY,
  openNdisapi,
} from "../../../../ffi/windows/ndisapi.ts";
import { wideText } from "../../../../ffi/windows/wide_text.ts";
import { Win32 } from "../../../../ffi/windows/win32_error.ts";
import { readU16le, readU32le, writeU32le } from "../../../core/wire/bytes.ts";
import { formatMac } from "../../../core/wire/ethernet.ts";
import { type CapturedAdapter, CaptureError } from "../../ports/capture.ts";
import {
  type DriverLibrary,
  DriverLibraryError,
  openDriverLibrary,
} from "./driver_library.ts";
import { allocateNative, releaseNative } from "./native_memory.ts";
import { SECTION_HEADER } from "./ndis_fast_io.ts";

/** The library, and who signs it. */
export const NDISAPI_LIBRARY: DriverLibrary = {
  file: "ndisapi.dll",
  variable: "SLUICE_NDISAPI_DLL",
  signers: ["IP SMIRNOV VADIM VALERIEVICH", "NT KERNEL RESOURCES"],
  source:
    "ndisapi.dll of the Windows Packet Filter 3.6 (x64) from https://github.com/wiresock/ndisapi/releases",
};

/** An adapter with its handle. */
export interface NdisAdapter extends CapturedAdapter {
  readonly handle: bigint;
}

const MAJOR = 3;
/** The first with sends and reads of any adapters' frames. */
const MINOR = 4;
const NO_VERSION = 0xffff_ffff;
const FRIENDLY_LENGTH = 1024;

/** An open driver; disposing makes it let go of all that was set. */
export class NdisDriver implements Disposable {
  readonly handle: bigint;
  /** `3.6.1` */
  readonly version: string;
  readonly #library: Ndisapi;

  /** @throws {CaptureError} */
  static open(kernel32: Kernel32): NdisDriver {
    using guard = new DisposableStack();
    const library = guard.use(openLibrary(kernel32));
    checkSize(library, kernel32);
    const driver = guard.use(new NdisDriver(library, kernel32));
    guard.move();
    return driver;
  }

  private constructor(library: Ndisapi, kernel32: Kernel32) {
    this.#library = library;
    this.handle = openHandle(library, kernel32);
    try {
      this.version = checkVersion(library, this.handle);
    } catch (error) {
      library.call.CloseFilterDriver(this.handle);
      throw error;
    }
  }

  get call(): Ndisapi["call"] {
    return this.#library.call;
  }

  /** The adapters that TCP/IP is bound to. @throws {CaptureError} */
  adapters(): NdisAdapter[] {
    const { size, at } = tcpAdapterList;
    const list = new Uint8Array(size);
    this.#check(
      this.call.GetTcpipBoundAdaptersInfo(this.handle, list),
      "GetTcpipBoundAdaptersInfo",
    );
    const count = readU32le(list, at.m_nAdapterCount);
    if (count > ADAPTER_LIST_SIZE) throw wrongSize();
    const handles = new DataView(list.buffer, at.m_nAdapterHandle);
    return Array.from({ length: count }, (_, n) => {
      const nameAt = at.m_szAdapterNameList + n * ADAPTER_NAME_SIZE;
      const bytes = list.slice(nameAt, nameAt + ADAPTER_NAME_SIZE);
      return {
        handle: handles.getBigUint64(n * 8, true),
        name: this.#friendlyName(bytes),
        systemName: ended(bytes),
        mac: formatMac(list, at.m_czCurrentAddress + n * ETHER_ADDR_LENGTH),
        mtu: readU16le(list, at.m_usMTU + n * 2),
      };
    });
  }

  /** How an adapter treats frames: MSTCP_FLAG. */
  modeOf(adapter: bigint): number {
    const mode = modeBytes(adapter, 0);
    this.#check(this.call.GetAdapterMode(this.handle, mode), "GetAdapterMode");
    return readU32le(mode, adapterMode.at.dwFlags);
  }

  /** @returns whether the driver did it: the adapter may have gone. */
  setMode(adapter: bigint, flags: number): boolean {
    const mode = modeBytes(adapter, flags);
    return this.call.SetAdapterMode(this.handle, mode) !== 0;
  }

  [Symbol.dispose](): void {
    this.call.CloseFilterDriver(this.handle);
    this.#library[Symbol.dispose]();
  }

  #friendlyName(name: Uint8Array<ArrayBuffer>): string {
    const friendly = new Uint8Array(FRIENDLY_LENGTH);
    const isKnown = this.call.ConvertWindows2000AdapterName(
      name,
      friendly,
      FRIENDLY_LENGTH,
    );
    return isKnown === 0 ? ended(name) : ended(friendly);
  }

  #check(result: number, call: string): void {
    if (result !== 0) return;
    throw new CaptureError(
      "failed",
      `the capture driver refused ${call}`,
      "restart Windows, or reinstall the Windows Packet Filter",
    );
  }
}

/** Opens the library alone, for a thread that uses what another has opened. @throws {CaptureError} */
export function openLibrary(kernel32: Kernel32): Ndisapi {
  try {
    return openDriverLibrary(NDISAPI_LIBRARY, kernel32, openNdisapi);
  } catch (error) {
    if (error instanceof DriverLibraryError) {
      const code = error.problem === "absent"
        ? "library-absent"
        : "library-untrusted";
      throw new CaptureError(code, error.message, error.advice, {
        cause: error,
      });
    }
    if (error instanceof MissingLibraryError) {
      throw new CaptureError("wrong-version", error.message, NDISAPI_REMEDY, {
        cause: error,
      });
    }
    throw error;
  }
}

function openHandle({ call }: Ndisapi, kernel32: Kernel32): bigint {
  const handle = call.OpenFilterDriver(wideText(DRIVER_NAME));
  const error = kernel32.call.GetLastError();
  // A handle comes back even where there is no driver.
  if (handle !== 0n && call.IsDriverLoaded(handle) !== 0) return handle;
  if (handle !== 0n) call.CloseFilterDriver(handle);
  if (error === Win32.AccessDenied) {
    throw new CaptureError(
      "not-permitted",
      "the driver of the Windows Packet Filter may only be opened by an administrator",
      "start it in a terminal opened as administrator, or say capture.mode: wintun",
    );
  }
  throw new CaptureError(
    "driver-absent",
    "the driver of the Windows Packet Filter is not loaded",
    `${NDISAPI_REMEDY} and install it, as an administrator; or say capture.mode: wintun`,
  );
}

function checkVersion({ call }: Ndisapi, handle: bigint): string {
  const version = call.GetDriverVersion(handle);
  const major = (version >>> 12) & 15;
  const minor = version >>> 24;
  const text = `${major}.${minor}.${(version >>> 16) & 255}`;
  if (version !== NO_VERSION && major === MAJOR && minor >= MINOR) return text;
  throw new CaptureError(
    "wrong-version",
    version === NO_VERSION
      ? "the driver of the Windows Packet Filter does not tell its version"
      : `the driver of the Windows Packet Filter is version ${text}; ${MAJOR}.${MINOR} or later is needed`,
    NDISAPI_REMEDY,
  );
}

/** @throws {CaptureError} where frames are of another size than ours. */
function checkSize(library: Ndisapi, kernel32: Kernel32): void {
  const { call } = library;
  const fitting = SECTION_HEADER + intermediateBuffer.size;
  // On a handle of its own, which takes the section with it.
  const memory = allocateNative(kernel32, 1 << 16);
  const handle = openHandle(library, kernel32);
  try {
    const address = BigInt(memory.address);
    const takesLess = call.InitializeFastIo(handle, address, fitting - 1) !== 0;
    const takesOne = !takesLess &&
      call.InitializeFastIo(handle, address, fitting) !== 0;
    const takesMore = !takesLess && !takesOne &&
      call.InitializeFastIo(handle, address, 1 << 16) !== 0;
    if (takesLess || takesMore) throw wrongSize();
  } finally {
    call.CloseFilterDriver(handle);
    releaseNative(kernel32, memory.address);
  }
}

function wrongSize(): CaptureError {
  return new CaptureError(
    "wrong-version",
    "ndisapi.dll has frames of another size than 1514 bytes: it is a build for jumbo frames, or not version 3",
    `replace it: ${NDISAPI_REMEDY}, the build without jumbo frames`,
  );
}

function modeBytes(
  adapter: bigint,
  flags: number,
): Uint8Array<ArrayBuffer> {
  const { size, at } = adapterMode;
  const bytes = new Uint8Array(size);
  new DataView(bytes.buffer).setBigUint64(at.hAdapterHandle, adapter, true);
  writeU32le(bytes, at.dwFlags, flags);
  return bytes;
}

/** Text that ends at the first zero. */
function ended(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
