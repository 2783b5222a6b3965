/**
 * Whether the machine slept: CLOCK_BOOTTIME counts through it, CLOCK_MONOTONIC
 * does not. Source: clock_gettime(2), timerfd_create(2).
 *
 * A timer of CLOCK_REALTIME that never goes off, with TFD_TIMER_CANCEL_ON_SET,
 * becomes readable when the clock is set and when the machine wakes: nothing has
 * to look at the clocks in between.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { itimerspec, timespec } from "../../../../ffi/linux_layouts.ts";
import { readU32le, writeU32le } from "../../../core/wire/bytes.ts";
import type { SleepClocks } from "../sleep_meter.ts";

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;
const TFD_NONBLOCK = 0x800;
const TFD_CLOEXEC = 0x80000;
const TFD_TIMER_ABSTIME = 1;
const TFD_TIMER_CANCEL_ON_SET = 2;
/** The year 2106. */
const NEVER_SECONDS = 0xffff_ffff;

/** A descriptor that becomes readable when the machine may have slept. */
export class SleepTimer implements Disposable {
  readonly #libc: Libc;
  readonly descriptor: number;

  /** @throws {LibcError} where the system has no such timer. */
  constructor(libc: Libc) {
    this.#libc = libc;
    this.descriptor = libc.call.timerfd_create(
      CLOCK_REALTIME,
      TFD_NONBLOCK | TFD_CLOEXEC,
    );
    if (this.descriptor < 0) throw libc.error("timerfd_create");
    this.#arm();
  }

  /** Takes the signal back and waits for the next one. */
  rearm(): void {
    const expirations = new Uint8Array(8);
    this.#libc.call.read(this.descriptor, expirations, expirations.length);
    this.#arm();
  }

  [Symbol.dispose](): void {
    this.#libc.call.close(this.descriptor);
  }

  #arm(): void {
    const value = new Uint8Array(itimerspec.size);
    const at = itimerspec.at.it_value + timespec.at.tv_sec;
    writeU32le(value, at, NEVER_SECONDS);
    const flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
    const { timerfd_settime } = this.#libc.call;
    if (timerfd_settime(this.descriptor, flags, value, null) !== 0) {
      throw this.#libc.error("timerfd_settime");
    }
  }
}

/** Reads both clocks. */
export function readSleepClocks(libc: Libc): SleepClocks {
  return {
    awake: readClock(libc, CLOCK_MONOTONIC),
    boot: readClock(libc, CLOCK_BOOTTIME),
  };
}

function readClock(libc: Libc, id: number): number {
  const time = new Uint8Array(timespec.size);
  libc.call.clock_gettime(id, time);
  const { tv_sec, tv_nsec } = timespec.at;
  const high = readU32le(time, tv_sec + 4) * 0x1_0000_0000;
  return (high + readU32le(time, tv_sec)) * 1000 +
    readU32le(time, tv_nsec) / 1e6;
}
