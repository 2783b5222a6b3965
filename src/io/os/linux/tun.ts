/**
 * TUN interfaces: /dev/net/tun, layer 3, without the packet information header.
 * Source: Documentation/networking/tuntap.rst of the kernel.
 *
 * One thread makes the interface ({@linkcode createTun}); workers read and
 * write on its descriptor ({@linkcode attachTun}). The interface vanishes with the descriptor, addresses and routes with it, unless
 * somebody made it persistent before.
 */
import { cString, type Libc } from "../../../../ffi/libc.ts";
import { ifreq } from "../../../../ffi/linux_layouts.ts";
import {
  type CreatedTun,
  type CreateTunOptions,
  type TunAttachment,
  type TunDevice,
  TunError,
  type TunErrorCode,
  type TunOffload,
  type WholeTunAttachment,
} from "../../ports.ts";
import { TUN_PATH } from "./privileges.ts";
import { PlainTunDevice } from "./tun_device.ts";
import { OffloadTunDevice } from "./tun_offload_device.ts";
import { WholeTunDevice } from "./tun_whole_device.ts";

const O_RDWR = 2;
const O_NONBLOCK = 0x800;
const O_CLOEXEC = 0x80000;

const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNGETIFF = 0x800454d2;
const IFF_TUN = 0x1;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const IFF_PERSIST = 0x800;
const NAME_SIZE = ifreq.at.ifr_flags;

const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_USO = 0x20 | 0x40;

const EPERM = 1;
const ENOENT = 2;
const ENXIO = 6;
const EACCES = 13;
const EBUSY = 16;
const ENODEV = 19;
const EINVAL = 22;

/**
 * Makes a TUN interface, or takes a persistent one that nobody holds.
 * @throws {TunError}
 */
export function createTun(libc: Libc, options: CreateTunOptions): CreatedTun {
  const { name } = options;
  if (!isInterfaceName(name)) {
    throw new TunError(
      "name-invalid",
      name,
      "a name has 1 to 15 bytes, none of them /, :, % or a space",
    );
  }
  const existed = libc.call.if_nametoindex(cString(name)) !== 0;
  const vnetFlag = options.offload === "none" ? 0 : IFF_VNET_HDR;
  const descriptor = openDevice(libc, name);
  try {
    const request = interfaceRequest(name, IFF_TUN | IFF_NO_PI | vnetFlag);
    if (libc.call.ioctl(descriptor, TUNSETIFF, request) !== 0) {
      throw setupError(libc, { name, existed });
    }
    const offload = vnetFlag === 0
      ? PLAIN
      : acceptedOffload(libc, descriptor, options);
    return {
      descriptor,
      name,
      offload,
      persistent: isPersistent(libc, descriptor),
      [Symbol.dispose]: () => {
        libc.call.close(descriptor);
      },
    };
  } catch (error) {
    libc.call.close(descriptor);
    throw error;
  }
}

/**
 * Uses an interface that {@linkcode createTun} made, in the calling thread.
 * Disposing of it leaves the interface alone.
 * @throws {TypeError} where the device has offloads and kernels are missing.
 * @throws {RangeError} where the device has offloads and an area is too small.
 */
export function attachTun(libc: Libc, attachment: TunAttachment): TunDevice {
  const { offload, kernels, name } = attachment;
  if (!offload.vnetHeader) return new PlainTunDevice(libc, attachment);
  if (kernels === undefined) {
    throw new TypeError(`${name} has offloads and needs kernels`);
  }
  return new OffloadTunDevice(libc, kernels, attachment);
}

/**
 * Uses an interface that {@linkcode createTun} made, in the calling thread, with
 * super-packets left whole. Disposing of it leaves the interface alone.
 */
export function attachWholeTun(
  libc: Libc,
  attachment: WholeTunAttachment,
): TunDevice {
  if (attachment.offload.vnetHeader) {
    return new WholeTunDevice(libc, attachment);
  }
  const { mtu } = attachment;
  return new PlainTunDevice(libc, {
    ...attachment,
    writeArea: attachment.readArea,
    headroom: 0,
    tailroom: 0,
    padLimit: mtu,
  });
}

/** Whether the kernel would take this as an interface's name (dev_valid_name). */
export function isInterfaceName(name: string): boolean {
  const length = new TextEncoder().encode(name).length;
  return length > 0 && length < NAME_SIZE && name !== "." && name !== ".." &&
    !/[/:%\s\0]/.test(name);
}

const PLAIN: TunOffload = {
  vnetHeader: false,
  tso4: false,
  tso6: false,
  uso: false,
};

function openDevice(libc: Libc, name: string): number {
  const descriptor = libc.call.open(
    cString(TUN_PATH),
    O_RDWR | O_NONBLOCK | O_CLOEXEC,
  );
  if (descriptor >= 0) return descriptor;
  const cause = libc.error(`open(${TUN_PATH})`);
  throw new TunError(openErrorCode(cause.code), name, cause.message, { cause });
}

function openErrorCode(errno: number): TunErrorCode {
  switch (errno) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return "device-absent";
    case EPERM:
    case EACCES:
      return "device-denied";
    default:
      return "failed";
  }
}

function setupError(
  libc: Libc,
  about: { name: string; existed: boolean },
): TunError {
  const { name, existed } = about;
  const cause = libc.error("ioctl(TUNSETIFF)");
  if (cause.code === EBUSY || (cause.code === EINVAL && existed)) {
    const message = "the name is taken by another interface or process";
    return new TunError("name-taken", name, message, { cause });
  }
  const code = cause.code === EPERM ? "not-permitted" : "failed";
  return new TunError(code, name, cause.message, { cause });
}

/** Asks for as much as is wanted and the kernel takes, best first. */
function acceptedOffload(
  libc: Libc,
  descriptor: number,
  { name, offload }: CreateTunOptions,
): TunOffload {
  const tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  const set = (flags: number): boolean =>
    libc.call.ioctlValue(descriptor, TUNSETOFFLOAD, flags) === 0;
  if (offload === "segments" && set(tso | TUN_F_USO)) {
    return { vnetHeader: true, tso4: true, tso6: true, uso: true };
  }
  if (set(tso)) return { vnetHeader: true, tso4: true, tso6: true, uso: false };
  if (set(0)) return { vnetHeader: true, tso4: false, tso6: false, uso: false };
  const cause = libc.error("ioctl(TUNSETOFFLOAD)");
  throw new TunError("failed", name, cause.message, { cause });
}

function isPersistent(libc: Libc, descriptor: number): boolean {
  const request = interfaceRequest("", 0);
  if (libc.call.ioctl(descriptor, TUNGETIFF, request) !== 0) return false;
  const flags = new DataView(request.buffer).getUint16(
    ifreq.at.ifr_flags,
    true,
  );
  return (flags & IFF_PERSIST) !== 0;
}

function interfaceRequest(
  name: string,
  flags: number,
): Uint8Array<ArrayBuffer> {
  const request = new Uint8Array(ifreq.size);
  request.set(new TextEncoder().encode(name), ifreq.at.ifr_name);
  new DataView(request.buffer).setUint16(ifreq.at.ifr_flags, flags, true);
  return request;
}
