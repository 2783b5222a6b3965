/** powrprof.dll: when the machine sleeps and wakes. Source: powerbase.h, powrprof.h. */
import { openLibrary } from "./missing_library.ts";

const symbols = {
  /** DWORD PowerRegisterSuspendResumeNotification(DWORD flags, DEVICE_NOTIFY_SUBSCRIBE_PARAMETERS *recipient, HPOWERNOTIFY *registration); */
  PowerRegisterSuspendResumeNotification: {
    parameters: ["u32", "buffer", "buffer"],
    result: "u32",
    optional: true,
  },
  /** DWORD PowerUnregisterSuspendResumeNotification(HPOWERNOTIFY registration); waits for callbacks, so elsewhere. */
  PowerUnregisterSuspendResumeNotification: {
    parameters: ["u64"],
    result: "u32",
    optional: true,
    nonblocking: true,
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** DEVICE_NOTIFY_CALLBACK: the recipient is a callback and its context. */
export const DEVICE_NOTIFY_CALLBACK = 2;

/** powrprof.dll, opened for the calling thread. */
export interface Powrprof extends Disposable {
  readonly call: Deno.DynamicLibrary<typeof symbols>["symbols"];
}

/** @throws {MissingLibraryError} */
export function openPowrprof(): Powrprof {
  const library = openLibrary("powrprof.dll", symbols);
  return {
    call: library.symbols,
    [Symbol.dispose]: () => library.close(),
  };
}
