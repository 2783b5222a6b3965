/**
 * Wintun adapters: made by one thread, with a name, a GUID that follows from the
 * name, and the one session that the driver allows.
 *
 * The stable GUID lets Windows find again what it keeps for a network (profile,
 * firewall category), and the driver remove an adapter of ours that a crash has
 * left. Adapters end with the process that made them.
 */
import { createHash } from "node:crypto";
import type { Iphlpapi } from "../../../../ffi/windows/iphlpapi.ts";
import type { Kernel32 } from "../../../../ffi/windows/kernel32.ts";
import { wideText } from "../../../../ffi/windows/wide_text.ts";
import { Win32Error } from "../../../../ffi/windows/win32_error.ts";
import { WINTUN, type Wintun } from "../../../../ffi/windows/wintun.ts";
import { TunError, type TunErrorCode } from "../../ports.ts";

/** What Windows shows as the adapter's kind. */
const TUNNEL_TYPE = "sluice";
/** Room for 5,600 full packets a direction. */
const RING_CAPACITY = 1 << 23;

const ERROR_FILE_NOT_FOUND = 2;
const ERROR_ACCESS_DENIED = 5;
const ERROR_ALREADY_EXISTS = 183;
const WAIT_TIMEOUT = 258;
const ERROR_INVALID_IMAGE_HASH = 577;
const ERROR_SERVICE_DISABLED = 1058;
const ERROR_ALREADY_INITIALIZED = 1247;
const ERROR_DRIVER_BLOCKED = 1275;
const ERROR_TIMEOUT = 1460;

/** An adapter that a crash has left takes a moment to vanish. */
const ATTEMPTS = 5;
const PAUSE_MS = 300;

/** What is needed to make adapters. */
export interface WintunParts {
  readonly kernel32: Kernel32;
  readonly wintun: Wintun;
  /** Undefined where names cannot be looked up before. */
  readonly iphlpapi: Iphlpapi | undefined;
}

/** An adapter with its session; disposing of it removes the adapter. */
export interface WintunAdapter extends Disposable {
  /** Addresses, as the library gave them. */
  readonly adapter: bigint;
  readonly session: bigint;
}

/**
 * Makes an adapter and starts its session.
 * @throws {TunError}
 */
export function openWintunAdapter(
  parts: WintunParts,
  name: string,
): WintunAdapter {
  if (!isAdapterName(name)) {
    throw new TunError(
      "name-invalid",
      name,
      'a name has 1 to 127 characters, none of them \\ / : * ? " < > | or a control character',
    );
  }
  for (let attempt = 1;; attempt++) {
    const last = attempt === ATTEMPTS;
    const opened = isForeign(parts.iphlpapi, name)
      ? nameTaken(name)
      : tryOpen(parts, name);
    if (!(opened instanceof TunError)) return opened;
    if (last || !passes(opened)) throw opened;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
  }
}

/** Whether Windows takes this as an adapter's name. */
export function isAdapterName(name: string): boolean {
  return name.length > 0 && name.length <= WINTUN.LONGEST_NAME &&
    // deno-lint-ignore no-control-regex
    !/[\\/:*?"<>|\x00-\x1f]/.test(name) && name.trim() === name;
}

/** The GUID of the adapter of that name, as the struct lies in memory. */
export function adapterGuid(name: string): Uint8Array<ArrayBuffer> {
  const hash = createHash("sha1")
    .update(`sluice adapter\0${name.toLowerCase()}`).digest();
  const guid = Uint8Array.from(hash.subarray(0, 16));
  // Version 5, by name, in the high half of Data3; variant in Data4.
  guid[7] = guid[7] & 0x0f | 0x50;
  guid[8] = guid[8] & 0x3f | 0x80;
  return guid;
}

/**
 * Whether an interface has the name that is not ours. The library would rename
 * that one, whatever it is, to take its name.
 */
function isForeign(iphlpapi: Iphlpapi | undefined, name: string): boolean {
  if (iphlpapi === undefined) return false;
  const { call } = iphlpapi;
  const luid = new Uint8Array(8);
  if (call.ConvertInterfaceAliasToLuid(wideText(name), luid) !== 0) {
    return false;
  }
  const guid = new Uint8Array(16);
  const own = adapterGuid(name);
  return call.ConvertInterfaceLuidToGuid(luid, guid) !== 0 ||
    guid.some((byte, i) => byte !== own[i]);
}

function tryOpen(
  { kernel32, wintun }: WintunParts,
  name: string,
): WintunAdapter | TunError {
  const { call } = wintun;
  const wideName = wideText(name);
  const adapter = call.WintunCreateAdapter(
    wideName,
    wideText(TUNNEL_TYPE),
    adapterGuid(name),
  );
  if (adapter === 0n) {
    return failure(name, kernel32.error("WintunCreateAdapter"));
  }
  const session = call.WintunStartSession(adapter, RING_CAPACITY);
  if (session === 0n) {
    const error = kernel32.error("WintunStartSession");
    call.WintunCloseAdapter(adapter);
    return failure(name, error);
  }
  return {
    adapter,
    session,
    [Symbol.dispose]: () => {
      call.WintunEndSession(session);
      call.WintunCloseAdapter(adapter);
    },
  };
}

/** Whether waiting may help. */
function passes(error: TunError): boolean {
  return error.code === "name-taken" || error.cause instanceof Win32Error &&
      (error.cause.code === WAIT_TIMEOUT || error.cause.code === ERROR_TIMEOUT);
}

function nameTaken(name: string, cause?: Win32Error): TunError {
  const message = "the name is taken by another interface or process";
  return new TunError("name-taken", name, message, { cause });
}

/** What Windows' code means to the user. */
function failure(name: string, cause: Win32Error): TunError {
  const say = (
    code: TunErrorCode,
    message: string,
    advice?: string,
  ): TunError => new TunError(code, name, message, { cause, advice });
  switch (cause.code) {
    case ERROR_ACCESS_DENIED:
      return say(
        "not-permitted",
        "Windows lets only administrators make adapters",
        "run it from a terminal that was started as administrator",
      );
    case ERROR_ALREADY_EXISTS:
    case ERROR_ALREADY_INITIALIZED:
      return nameTaken(name, cause);
    case ERROR_INVALID_IMAGE_HASH:
    case ERROR_DRIVER_BLOCKED:
      return say(
        "device-denied",
        `Windows refuses the Wintun driver (error ${cause.code})`,
        "get version 0.14 or later from https://www.wintun.net",
      );
    case ERROR_FILE_NOT_FOUND:
    case ERROR_SERVICE_DISABLED:
      return say(
        "device-absent",
        `the Wintun driver does not start (error ${cause.code})`,
        "try again; where that does not help, restart Windows",
      );
    case WAIT_TIMEOUT:
    case ERROR_TIMEOUT:
      return say(
        "failed",
        "the Wintun driver did not answer in time",
        "try again; where that does not help, restart Windows",
      );
    default:
      return say("failed", cause.message);
  }
}
