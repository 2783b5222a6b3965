/**
 * Watches the host's network, for the control thread.
 *
 * One blocking poll(2) waits on a thread of the runtime's pool: it costs nothing
 * while nothing happens, not even a timer, and no second isolate. What rtnetlink
 * tells only rings the bell; then links, addresses and routes are read anew and
 * compared, so that lost messages, messages that change nothing, and routes that
 * go without a word with their interface are all the same.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { pollfd } from "../../../../ffi/linux_layouts.ts";
import { readU16le, writeU16le, writeU32le } from "../../../core/wire/bytes.ts";
import type {
  NetworkChange,
  NetworkMonitor,
  NetworkMonitorOptions,
} from "../../ports.ts";
import { Netlink } from "./netlink.ts";
import { NetlinkProtocol, NetlinkSocket } from "./netlink_socket.ts";
import {
  compareNetworks,
  type NetworkSnapshot,
  withoutInterfaces,
} from "../network_snapshot.ts";
import { SleepMeter } from "../sleep_meter.ts";
import { readSleepClocks, SleepTimer } from "./sleep_watch.ts";
import { openWake } from "./wake.ts";

/** RTMGRP: link, addresses and routes of both families. */
const GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
const MSG_DONTWAIT = 0x40;
const POLLIN = 1;
const ENOBUFS = 105;

const QUIET_MS = 100;
const BURST_MS = 1000;
/** Failures of poll in a row until it is given up. */
const PATIENCE = 16;

/** Places in the poll set. */
const Place = { News: 0, Sleep: 1, Wake: 2 } as const;
const PLACES = 3;

/** @throws {LibcError} where the system lacks what it takes. */
export function openNetworkMonitor(
  libc: Libc,
  options: NetworkMonitorOptions,
): NetworkMonitor {
  return new LinuxNetworkMonitor(libc, options);
}

class LinuxNetworkMonitor implements NetworkMonitor {
  readonly #libc: Libc;
  readonly #options: NetworkMonitorOptions;
  readonly #netlink: Netlink;
  readonly #news: NetlinkSocket;
  readonly #sleepTimer: SleepTimer;
  readonly #sleepMeter: SleepMeter;
  readonly #wake;
  readonly #set = new Uint8Array(PLACES * pollfd.size);
  readonly #message = new Uint8Array(16 * 1024);
  readonly #ended: Promise<void>;
  #snapshot: NetworkSnapshot;
  #isOver = false;
  #wasStopped = false;
  #told = 0;
  #idle = 0;

  constructor(libc: Libc, options: NetworkMonitorOptions) {
    this.#libc = libc;
    this.#options = options;
    this.#netlink = new Netlink(libc);
    // Listening comes before looking: nothing is missed in between.
    this.#news = new NetlinkSocket(libc, {
      protocol: NetlinkProtocol.Route,
      groups: GROUPS,
    });
    this.#sleepTimer = new SleepTimer(libc);
    this.#sleepMeter = new SleepMeter(readSleepClocks(libc));
    this.#wake = openWake(libc);
    this.#snapshot = this.#look();
    Deno.addSignalListener("SIGCONT", this.#onContinued);
    this.#ended = this.#run().catch((error) => this.#options.onFailure(error));
  }

  check(): void {
    this.#wake.signal();
  }

  counters(): { told: number; idle: number } {
    return { told: this.#told, idle: this.#idle };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    Deno.removeSignalListener("SIGCONT", this.#onContinued);
    this.#wake.signal();
    await this.#ended;
    this.#wake[Symbol.dispose]();
    this.#sleepTimer[Symbol.dispose]();
    this.#news[Symbol.dispose]();
    this.#netlink[Symbol.dispose]();
  }

  readonly #onContinued = () => {
    this.#wasStopped = true;
    this.#wake.signal();
  };

  async #run(): Promise<void> {
    for (;;) {
      await this.#wait(-1);
      if (this.#isOver) return;
      await this.#burst();
      if (this.#isOver) return;
      this.#tell();
    }
  }

  /** Waits until nothing more comes, but not for ever. */
  async #burst(): Promise<void> {
    const { quietMs = QUIET_MS, burstMs = BURST_MS } = this.#options;
    const now = () => readSleepClocks(this.#libc).awake;
    const end = now() + burstMs;
    for (;;) {
      const left = Math.min(quietMs, end - now());
      if (left <= 0 || this.#isOver) return;
      if (await this.#wait(Math.ceil(left)) === "over") return;
    }
  }

  async #wait(timeoutMs: number): Promise<"ready" | "over"> {
    const places = [
      this.#news.descriptor,
      this.#sleepTimer.descriptor,
      this.#wake.descriptor,
    ];
    for (let attempt = 0; attempt < PATIENCE; attempt++) {
      places.forEach((descriptor, place) => {
        const at = place * pollfd.size;
        writeU32le(this.#set, at + pollfd.at.fd, descriptor);
        writeU16le(this.#set, at + pollfd.at.events, POLLIN);
        writeU16le(this.#set, at + pollfd.at.revents, 0);
      });
      const ready = await this.#libc.call.pollElsewhere(
        this.#set,
        PLACES,
        timeoutMs,
      );
      if (ready === 0) return "over";
      if (ready > 0) {
        this.#take();
        return "ready";
      }
    }
    throw new Error("poll: failed again and again");
  }

  /** Takes the signals back; what they say is looked up afterwards. */
  #take(): void {
    const happened = (place: number) =>
      readU16le(this.#set, place * pollfd.size + pollfd.at.revents) !== 0;
    if (happened(Place.Sleep)) this.#sleepTimer.rearm();
    if (happened(Place.Wake)) this.#wake.drain();
    if (happened(Place.News)) this.#takeNews();
  }

  #takeNews(): void {
    const { descriptor } = this.#news;
    const { length } = this.#message;
    for (;;) {
      const got = this.#libc.call.recv(
        descriptor,
        this.#message,
        length,
        MSG_DONTWAIT,
      );
      if (got < 0 && this.#libc.errno() !== ENOBUFS) return;
    }
  }

  #tell(): void {
    const after = this.#look();
    const changes: NetworkChange[] = [
      ...this.#resumed(),
      ...compareNetworks(this.#snapshot, after),
    ];
    this.#snapshot = after;
    if (changes.length === 0) {
      this.#idle++;
      return;
    }
    this.#told++;
    this.#options.onChange(changes);
  }

  #resumed(): NetworkChange[] {
    const sleptMs = this.#sleepMeter.slept(readSleepClocks(this.#libc));
    const stopped = this.#wasStopped;
    this.#wasStopped = false;
    if (sleptMs > 0) return [{ kind: "resume", cause: "sleep", sleptMs }];
    return stopped ? [{ kind: "resume", cause: "stopped", sleptMs: 0 }] : [];
  }

  #look(): NetworkSnapshot {
    const snapshot = {
      links: this.#netlink.links(),
      addresses: this.#netlink.addresses(),
      routes: this.#netlink.routes()
        .filter(({ prefixLength }) => prefixLength === 0),
    };
    return withoutInterfaces(snapshot, this.#options.ignored ?? (() => false));
  }
}
