/**
 * Waking a blocked worker: an event in its poll set that stays set until it is
 * drained.
 */
import type { Kernel32 } from "../../../../ffi/windows/kernel32.ts";
import type { Wake } from "../../ports.ts";

const MANUAL_RESET = 1;
const NOT_SET = 0;

/**
 * Makes a wake; its descriptor is the event's handle, which other threads of the
 * process may have. Disposing of it closes the handle.
 * @throws {Win32Error}
 */
export function openWake(kernel32: Kernel32): Wake {
  const descriptor = kernel32.call
    .CreateEventW(null, MANUAL_RESET, NOT_SET, null);
  if (descriptor === 0) throw kernel32.error("CreateEventW");
  return new WindowsWake(kernel32, { descriptor, ends: "close" });
}

/** Uses a wake that another thread has opened; disposing of it changes nothing. */
export function attachWake(kernel32: Kernel32, descriptor: number): Wake {
  return new WindowsWake(kernel32, { descriptor, ends: "stay-open" });
}

class WindowsWake implements Wake {
  readonly descriptor: number;
  readonly #kernel32: Kernel32;
  readonly #ends: "close" | "stay-open";

  constructor(
    kernel32: Kernel32,
    options: { descriptor: number; ends: "close" | "stay-open" },
  ) {
    this.#kernel32 = kernel32;
    this.descriptor = options.descriptor;
    this.#ends = options.ends;
  }

  signal(): void {
    this.#kernel32.call.SetEvent(this.descriptor);
  }

  drain(): void {
    this.#kernel32.call.ResetEvent(this.descriptor);
  }

  [Symbol.dispose](): void {
    if (this.#ends === "close") {
      this.#kernel32.call.CloseHandle(this.descriptor);
    }
  }
}
