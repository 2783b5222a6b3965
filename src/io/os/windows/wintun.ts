/**
 * TUN interfaces by Wintun, for the Platform interface.
 *
 * One thread makes the adapter ({@linkcode createTun}); others read and write by
 * the address of a block of memory that says where its session is:
 *
 *     0 u32 event | 4 u32 unused | 8 u64 session
 *
 * The event is set while packets wait: what a poller waits for.
 */
import type { Kernel32 } from "../../../../ffi/windows/kernel32.ts";
import { openIphlpapi } from "../../../../ffi/windows/iphlpapi.ts";
import { MissingLibraryError } from "../../../../ffi/windows/missing_library.ts";
import { type Msvcrt, openMsvcrt } from "../../../../ffi/windows/msvcrt.ts";
import { runsUnderWine } from "../../../../ffi/windows/wine.ts";
import {
  openWintun,
  WINTUN,
  type Wintun,
} from "../../../../ffi/windows/wintun.ts";
import { copyBytes } from "../../../core/wire/bytes.ts";
import {
  type CreatedTun,
  type CreateTunOptions,
  type PacketWriter,
  type PacketWriterAttachment,
  type TunAttachment,
  type TunDevice,
  TunError,
  type TunOffload,
  type WholeTunAttachment,
} from "../../ports.ts";
import {
  type DriverLibrary,
  DriverLibraryError,
  driverLibraryPath,
  openDriverLibrary,
} from "./driver_library.ts";
import { allocateNative, releaseNative, viewNative } from "./native_memory.ts";
import { openWintunAdapter } from "./wintun_adapter.ts";
import { WintunDevice } from "./wintun_device.ts";
import { WintunRing, type WintunSession } from "./wintun_ring.ts";

/** Where the driver's library comes from. */
export const WINTUN_LIBRARY: DriverLibrary = {
  file: "wintun.dll",
  variable: "SLUICE_WINTUN_DLL",
  signers: ["WireGuard LLC"],
  source: "https://www.wintun.net (bin\\amd64\\wintun.dll of version 0.14)",
};

/** Packets come and go one at a time, their checksums true. */
const OFFLOAD: TunOffload = {
  vnetHeader: false,
  tso4: false,
  tso6: false,
  uso: false,
};

const BLOCK_LENGTH = 16;
const SESSION_AT = 8;

/** The event of a TUN's descriptor: set while packets wait. */
export function tunEvent(descriptor: number): number {
  return new DataView(viewNative(descriptor, BLOCK_LENGTH)).getUint32(0, true);
}

/** Wintun as one thread uses it; the library is opened when it is first needed. */
export class WintunDevices implements Disposable {
  readonly #kernel32: Kernel32;
  #wintun: Wintun | undefined;
  #msvcrt: Msvcrt | undefined;

  constructor(kernel32: Kernel32) {
    this.#kernel32 = kernel32;
  }

  /**
   * Makes an adapter; its library's signature is checked before.
   * @throws {TunError}
   */
  create({ name }: CreateTunOptions): CreatedTun {
    const kernel32 = this.#kernel32;
    using guard = new DisposableStack();
    const wintun = this.#trusted(name);
    // Wine goes on showing interfaces that are gone.
    const iphlpapi = runsUnderWine() ? undefined : guard.use(openIphlpapi());
    const made = guard.use(
      openWintunAdapter({ kernel32, wintun, iphlpapi }, name),
    );
    const { address, buffer } = allocateNative(kernel32, BLOCK_LENGTH);
    guard.defer(() => releaseNative(kernel32, address));
    const block = new DataView(buffer);
    const event = wintun.call.WintunGetReadWaitEvent(made.session);
    block.setUint32(0, event, true);
    block.setBigUint64(SESSION_AT, made.session, true);
    const owned = guard.move();
    return {
      descriptor: address,
      name,
      offload: OFFLOAD,
      persistent: false,
      [Symbol.dispose]: () => owned.dispose(),
    };
  }

  /** Uses an adapter of this process in the calling thread. */
  attach(attachment: TunAttachment): TunDevice {
    return new WintunDevice(this.#session(attachment.descriptor), attachment);
  }

  /** As {@linkcode attach}: there are no super-packets to be left whole. */
  attachWhole(attachment: WholeTunAttachment): TunDevice {
    return new WintunDevice(this.#session(attachment.descriptor), {
      ...attachment,
      headroom: 0,
      tailroom: 0,
      padLimit: attachment.mtu,
    });
  }

  /** Makes a writer for the calling thread; the adapter stays its owner's. */
  attachWriter({ descriptor }: PacketWriterAttachment): PacketWriter {
    const scratch = new Uint8Array(WINTUN.LONGEST_PACKET);
    const ring = new WintunRing(this.#session(descriptor), scratch);
    return {
      write(bytes, at, length) {
        if (length > scratch.length) return false;
        copyBytes(scratch, 0, bytes, at, length);
        return ring.send(0, length);
      },
    };
  }

  [Symbol.dispose](): void {
    this.#wintun?.[Symbol.dispose]();
    this.#msvcrt?.[Symbol.dispose]();
    this.#wintun = this.#msvcrt = undefined;
  }

  #session(descriptor: number): WintunSession {
    const block = new DataView(viewNative(descriptor, BLOCK_LENGTH));
    // There is a session, so the library was checked and is loaded: Windows
    // gives the loaded one for its path.
    this.#wintun ??= openWintun(driverLibraryPath(WINTUN_LIBRARY));
    this.#msvcrt ??= openMsvcrt();
    return {
      kernel32: this.#kernel32,
      wintun: this.#wintun,
      msvcrt: this.#msvcrt,
      session: Number(block.getBigUint64(SESSION_AT, true)),
    };
  }

  /** @throws {TunError} */
  #trusted(name: string): Wintun {
    try {
      return this.#wintun ??= openDriverLibrary(
        WINTUN_LIBRARY,
        this.#kernel32,
        openWintun,
      );
    } catch (cause) {
      if (cause instanceof DriverLibraryError) {
        const isDenied = cause.problem === "untrusted" ||
          cause.problem === "unreadable";
        const code = isDenied ? "device-denied" : "device-absent";
        const { message, advice } = cause;
        throw new TunError(code, name, message, { cause, advice });
      }
      if (cause instanceof MissingLibraryError) {
        throw new TunError("device-absent", name, cause.message, {
          cause,
          advice: `put another wintun.dll beside the program`,
        });
      }
      throw cause;
    }
  }
}
