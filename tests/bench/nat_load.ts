/**
 * One end of a UDP load, as a program of its own: it runs in a namespace, takes
 * its options as JSON in its one argument, and a sink prints its result as JSON.
 *
 * The source keeps a window of datagrams on the way and waits for the sink's
 * word before it sends more, so that no processor is lost to datagrams that are
 * thrown away on the way; what is lost nevertheless is not sent again. It sends
 * and the sink receives in trains (UDP GSO and GRO), or the load itself would be
 * what is measured.
 *
 *     datagram   sequence number 4 | zeros
 *     word       highest sequence number received, plus 1
 */
import { type Libc, openLibc } from "../../ffi/libc.ts";
import { pollfd } from "../../ffi/linux_layouts.ts";
import {
  AF,
  ERRNO,
  IPPROTO,
  MSG,
  POLL,
  SO,
  SOCK,
  SOL,
  UDP,
} from "../../ffi/linux_socket_constants.ts";
import { parseAddress } from "../../src/core/wire/address.ts";
import { readU32be, writeU32be } from "../../src/core/wire/bytes.ts";
import { openClock } from "../../src/io/os/linux/clock.ts";
import {
  controlSpace,
  MessageVector,
} from "../../src/io/os/linux/message_vector.ts";
import {
  SOCKET_ADDRESS_ROOM,
  writeSocketAddress,
} from "../../src/io/os/linux/socket_address.ts";
import { SocketOptions } from "../../src/io/os/linux/socket_option.ts";

/** What one end is to do. */
export interface LoadOptions {
  readonly role: "source" | "sink";
  /** Whether it writes first or waits to be written to. */
  readonly opens: "calls" | "waits";
  /** The address that it calls, or that it waits at. IPv4. */
  readonly address: string;
  readonly port: number;
  /** Bytes of each datagram. */
  readonly bytes: number;
  /** Datagrams on the way at once. */
  readonly window: number;
  /** Time before the count begins, and the time that counts, in ms. */
  readonly warmUpMs: number;
  readonly countedMs: number;
}

/** What a sink found. */
export interface LoadResult {
  /** Datagrams in the time that counts, and that time in ms. */
  readonly packets: number;
  readonly elapsedMs: number;
  /** Datagrams in all, and the highest sequence number plus 1. */
  readonly total: number;
  readonly sent: number;
}

const TRAIN_BYTES = 64_000;
const TRAIN_MESSAGES = 64;
const SLOTS = 16;
const SLOT_BYTES = 65536;
const BUFFER_BYTES = 4 << 20;
/** After so long without a word, what is on the way counts as lost. */
const SILENCE_MS = 20;
/** How often a calling sink says that it is there, until data comes. */
const HELLO_MS = 50;

/** What both ends share: a socket with an arena. */
class End {
  readonly libc: Libc = openLibc();
  readonly now = openClock(this.libc);
  readonly arena = new Uint8Array(SLOTS * SLOT_BYTES);
  readonly #options = new SocketOptions(this.libc);
  readonly #descriptor: number;
  readonly #poll = new Int32Array(pollfd.size >> 2);
  readonly #pollBytes = new Uint8Array(this.#poll.buffer);
  readonly #word = new Uint8Array(SOCKET_ADDRESS_ROOM);
  readonly #address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  readonly #addressRoom = new Uint8Array(4);

  constructor(options: LoadOptions) {
    const { call } = this.libc;
    this.#descriptor = call.socket(AF.INET, SOCK.DGRAM | SOCK.NONBLOCK, 0);
    const socket = this.#options;
    socket.setBuffer(this.#descriptor, "receive", BUFFER_BYTES);
    socket.setBuffer(this.#descriptor, "send", BUFFER_BYTES);
    if (options.role === "sink") {
      socket.set(this.#descriptor, IPPROTO.UDP, UDP.GRO, 1);
    }
    const words = Int32Array.from(parseAddress(options.address)!);
    const length = writeSocketAddress(
      this.#address,
      0,
      4,
      words,
      0,
      options.port,
    );
    const open = options.opens === "calls" ? call.connect : call.bind;
    if (open(this.#descriptor, this.#address, length) !== 0) {
      throw this.libc.error(options.opens);
    }
    this.#poll[0] = this.#descriptor;
  }

  /** Waits for input. @returns whether there is some; an ICMP error is none. */
  wait(timeoutMs: number): boolean {
    this.#poll[1] = POLL.IN;
    this.libc.call.poll(this.#pollBytes, 1, timeoutMs);
    const ready = this.#poll[1] >> 16;
    if ((ready & POLL.ERR) !== 0) {
      this.#options.get(this.#descriptor, SOL.SOCKET, SO.ERROR);
    }
    return (ready & POLL.IN) !== 0;
  }

  /** Says a number to the other end. */
  say(value: number): void {
    writeU32be(this.#word, 0, value);
    this.libc.call.sendto(
      this.#descriptor,
      this.#word,
      4,
      0,
      new Uint8Array(0),
      0,
    );
  }

  /** The number of the newest datagram that waits, or -1. */
  hear(): number {
    let heard = -1;
    while (
      this.libc.call.recvfrom(
        this.#descriptor,
        this.#word,
        this.#word.length,
        MSG.DONTWAIT,
        new Uint8Array(0),
        new Uint8Array(0),
      ) >= 4
    ) heard = readU32be(this.#word, 0);
    return heard;
  }

  /** Waits until somebody writes, and connects to him. */
  accept(): void {
    new Uint32Array(this.#addressRoom.buffer)[0] = SOCKET_ADDRESS_ROOM;
    while (!this.wait(-1));
    const { call } = this.libc;
    call.recvfrom(
      this.#descriptor,
      this.#word,
      this.#word.length,
      0x02, // MSG_PEEK
      this.#address,
      this.#addressRoom,
    );
    if (call.connect(this.#descriptor, this.#address, 16) !== 0) {
      throw this.libc.error("connect");
    }
  }

  send(vector: MessageVector, messages: number): number {
    const sent = this.libc.call.sendmmsg(
      this.#descriptor,
      vector.from(0),
      messages,
      0,
    );
    if (sent < 0 && this.libc.errno() !== ERRNO.EAGAIN) {
      const error = this.libc.error("sendmmsg");
      if (error.code !== ERRNO.ECONNREFUSED) throw error;
    }
    return Math.max(0, sent);
  }

  receive(vector: MessageVector): number {
    return this.libc.call.recvmmsg(
      this.#descriptor,
      vector.from(0),
      SLOTS,
      MSG.DONTWAIT,
      null,
    );
  }
}

function runSource(options: LoadOptions): void {
  const end = new End(options);
  const { bytes, window } = options;
  if (options.opens === "waits") end.accept();
  const train = Math.min(
    TRAIN_MESSAGES,
    Math.floor(TRAIN_BYTES / bytes),
    Math.max(1, window >> 2),
  );
  const vector = new MessageVector({
    bytes: end.arena,
    capacity: SLOTS,
    pieces: SLOTS,
    controlRoom: controlSpace(2),
  });
  for (let slot = 0; slot < SLOTS; slot++) {
    vector.setPiece(slot, slot * SLOT_BYTES, train * bytes);
    vector.setPieces(slot, slot, 1);
    vector.setRooms(slot, 0, controlSpace(2));
    vector.putControl16(
      vector.controlAt(slot),
      IPPROTO.UDP,
      UDP.SEGMENT,
      bytes,
    );
  }
  const until = end.now() + options.warmUpMs + options.countedMs + 500;
  let sent = 0;
  let settled = 0;
  while (end.now() < until) {
    settled = Math.max(settled, end.hear());
    const room = Math.min(SLOTS, Math.floor((window - sent + settled) / train));
    if (room <= 0) {
      if (!end.wait(SILENCE_MS)) settled = sent;
      continue;
    }
    for (let slot = 0; slot < room; slot++) {
      for (let i = 0; i < train; i++) {
        const sequence = sent + slot * train + i;
        writeU32be(end.arena, slot * SLOT_BYTES + i * bytes, sequence);
      }
    }
    sent += end.send(vector, room) * train;
  }
}

function runSink(options: LoadOptions): LoadResult {
  const end = new End(options);
  const controlRoom = controlSpace(4);
  const vector = new MessageVector({
    bytes: end.arena,
    capacity: SLOTS,
    pieces: SLOTS,
    controlRoom,
  });
  for (let slot = 0; slot < SLOTS; slot++) {
    vector.setPiece(slot, slot * SLOT_BYTES, SLOT_BYTES);
    vector.setPieces(slot, slot, 1);
    vector.setRooms(slot, 0, controlRoom);
  }
  if (options.opens === "waits") end.accept();
  else {do {
      end.say(0);
    } while (!end.wait(HELLO_MS));}

  const from = end.now() + options.warmUpMs;
  const word = Math.max(1, options.window >> 3);
  let [total, highest, said] = [0, 0, 0];
  let before = 0;
  let counting = 0;
  for (;;) {
    const received = end.receive(vector);
    const now = end.now();
    if (counting === 0 && now >= from) {
      counting = now;
      before = total;
    }
    if (counting > 0 && now >= counting + options.countedMs) {
      const elapsedMs = now - counting;
      return { packets: total - before, elapsedMs, total, sent: highest };
    }
    if (received <= 0) {
      if (!end.wait(SILENCE_MS >> 2) && highest > said) end.say(said = highest);
      continue;
    }
    for (let slot = 0; slot < received; slot++) {
      const length = vector.length(slot);
      const size = vector.control32(slot, IPPROTO.UDP, UDP.GRO, length);
      for (let at = 0; at < length; at += size) {
        const sequence = readU32be(end.arena, slot * SLOT_BYTES + at);
        highest = Math.max(highest, sequence + 1);
        total++;
      }
      vector.setRooms(slot, 0, controlRoom);
    }
    if (highest - said >= word) end.say(said = highest);
  }
}

if (import.meta.main) {
  const options: LoadOptions = JSON.parse(Deno.args[0]);
  if (options.role === "source") runSource(options);
  else console.log(JSON.stringify(runSink(options)));
}
