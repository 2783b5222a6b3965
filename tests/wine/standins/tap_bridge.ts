/**
 * What the stand-in for ndisapi.dll talks to: a Linux program that has two TAP
 * interfaces for each adapter, the host's own and the wire, and passes frames
 * between them, unless somebody captures.
 *
 *     host stack ─ HOST ─ bridge ─ WIRE ─ whatever the test has put it into
 *                           │
 *                       stand-in
 *
 *     deno run -A tap_bridge.ts PORT HOST:WIRE [HOST:WIRE ...]
 *
 * Lines of its standard input make adapters come and go: `add HOST:WIRE`,
 * `remove HOST`. What the stand-in does not take in time is lost, as frames are.
 * Messages are those of ndisapi.c: u32 type << 24 | adapter << 16 | length, then the bytes.
 */
import { cString, type Libc, openLibc } from "../../../ffi/libc.ts";
import { ifreq, pollfd } from "../../../ffi/linux_layouts.ts";
import {
  AF,
  ERRNO,
  IPPROTO,
  POLL,
  SO,
  SOCK,
  SOL,
  TCP,
} from "../../../ffi/linux_socket_constants.ts";
import { readU32le, writeU32le } from "../../../src/core/wire/bytes.ts";
import { ArenaPiece } from "../../../src/io/os/linux/tun_pieces.ts";
import {
  SOCKET_ADDRESS_ROOM,
  writeSocketAddress,
} from "../../../src/io/os/linux/socket_address.ts";

/** The port that the stand-in asks where nothing says another. */
export const TAP_BRIDGE_PORT = 7703;

const Message = {
  FromHost: 1,
  FromNetwork: 2,
  Adapters: 3,
  ToHost: 4,
  ToNetwork: 5,
  Mode: 6,
} as const;
/** Bits of a mode by which what the host sends, or receives, comes to the stand-in. */
const SENT = 1 | 4;
const RECEIVED = 2 | 8;
const HEADER = 4;
const LONGEST_FRAME = 1514;
const OUT_LENGTH = 1 << 21;
const IN_LENGTH = 1 << 20;
/** Frames that are read from one interface before another has its turn. */
const TURN = 64;
const TOLD_LENGTH = 32;
const O_RDWR_NONBLOCK = 0x802;
const TUNSETIFF = 0x400454ca;
const IFF_TAP_NO_PI = 0x1002;
const SOCK_NONBLOCK = 0x800;
const STDIN = 0;

/** One of an adapter's two interfaces. */
interface Tap {
  readonly name: string;
  readonly descriptor: number;
}

/** An adapter. */
interface Pair {
  readonly host: Tap;
  readonly wire: Tap;
  /** The host's interface number, MAC and MTU, as the adapter tells them. */
  readonly told: Uint8Array;
  mode: number;
}

class Bridge {
  readonly #libc: Libc;
  readonly #listener: number;
  readonly #pairs: Pair[] = [];
  readonly #in = new Uint8Array(IN_LENGTH);
  readonly #out = new Uint8Array(OUT_LENGTH);
  readonly #frame = new Uint8Array(2048);
  readonly #inPiece = new ArenaPiece(this.#in);
  readonly #outPiece = new ArenaPiece(this.#out);
  readonly #framePiece = new ArenaPiece(this.#frame);
  readonly #line = new Uint8Array(1024);
  #driver = -1;
  #have = 0;
  /** Bytes for the stand-in that wait in `#out`. */
  #waiting = 0;

  constructor(libc: Libc, port: number, pairs: readonly string[]) {
    this.#libc = libc;
    this.#listener = listen(libc, port);
    for (const pair of pairs) this.#add(pair);
  }

  serve(): never {
    const { call } = this.#libc;
    for (;;) {
      const pairs = [...this.#pairs];
      const descriptors = [
        this.#listener,
        STDIN,
        this.#driver,
        ...pairs.flatMap(({ host, wire }) => [
          host.descriptor,
          wire.descriptor,
        ]),
      ];
      const set = new DataView(
        new ArrayBuffer(descriptors.length * pollfd.size),
      );
      descriptors.forEach((descriptor, i) => {
        const at = i * pollfd.size;
        const isBehind = i === 2 && this.#waiting > 0;
        set.setInt32(at + pollfd.at.fd, descriptor, true);
        set.setUint16(
          at + pollfd.at.events,
          isBehind ? POLL.IN | POLL.OUT : POLL.IN,
          true,
        );
      });
      const bytes = new Uint8Array(set.buffer);
      if (call.poll(bytes, descriptors.length, -1) < 0) {
        if (this.#libc.errno() === ERRNO.EINTR) continue;
        throw this.#libc.error("poll");
      }
      const ready = (i: number) =>
        set.getUint16(i * pollfd.size + pollfd.at.revents, true);
      pairs.forEach((pair, i) => {
        if (ready(3 + 2 * i) !== 0) this.#forward(pair, "host");
        if (ready(4 + 2 * i) !== 0) this.#forward(pair, "wire");
      });
      if (this.#waiting > 0) this.#drain();
      if (this.#driver >= 0 && (ready(2) & ~POLL.OUT) !== 0) this.#receive();
      if (ready(0) !== 0) this.#accept();
      if (ready(1) !== 0) this.#command();
    }
  }

  /** What waits at an interface goes to the other one, or to the stand-in. */
  #forward(pair: Pair, from: "host" | "wire"): void {
    const { call } = this.#libc;
    const isHost = from === "host";
    const { descriptor } = isHost ? pair.host : pair.wire;
    const other = isHost ? pair.wire : pair.host;
    const type = isHost ? Message.FromHost : Message.FromNetwork;
    const adapter = this.#pairs.indexOf(pair);
    for (let left = TURN; left > 0; left--) {
      this.#framePiece.set(0, this.#frame.length);
      const length = call.readv(descriptor, this.#framePiece.iovec, 1);
      if (length <= 0) return;
      const isCaptured = this.#driver >= 0 &&
        (pair.mode & (isHost ? SENT : RECEIVED)) !== 0;
      if (!isCaptured) {
        this.#framePiece.set(0, length);
        call.writev(other.descriptor, this.#framePiece.iovec, 1);
      } else if (length <= LONGEST_FRAME) {
        this.#tell(type, adapter, this.#frame, length);
      }
    }
  }

  #tell(
    type: number,
    adapter: number,
    bytes: Uint8Array,
    length: number,
  ): void {
    const at = this.#waiting;
    if (at + HEADER + length > OUT_LENGTH) return;
    writeU32le(this.#out, at, type << 24 | adapter << 16 | length);
    this.#out.set(bytes.subarray(0, length), at + HEADER);
    this.#waiting = at + HEADER + length;
  }

  #drain(): void {
    this.#outPiece.set(0, this.#waiting);
    const sent = this.#libc.call.writev(this.#driver, this.#outPiece.iovec, 1);
    if (sent <= 0) return;
    this.#out.copyWithin(0, sent, this.#waiting);
    this.#waiting -= sent;
  }

  #receive(): void {
    const { call } = this.#libc;
    this.#inPiece.set(this.#have, IN_LENGTH - this.#have);
    const got = call.readv(this.#driver, this.#inPiece.iovec, 1);
    if (got < 0 && this.#libc.errno() === ERRNO.EAGAIN) return;
    if (got <= 0) return this.#leave();
    this.#have += got;
    let at = 0;
    while (this.#have - at >= HEADER) {
      const header = readU32le(this.#in, at);
      const length = header & 0xffff;
      if (this.#have - at < HEADER + length) break;
      const pair = this.#pairs[header >>> 16 & 0xff];
      if (pair !== undefined) {
        this.#handle(pair, header >>> 24, at + HEADER, length);
      }
      at += HEADER + length;
    }
    this.#in.copyWithin(0, at, this.#have);
    this.#have -= at;
  }

  #handle(pair: Pair, type: number, at: number, length: number): void {
    if (type === Message.Mode) {
      pair.mode = readU32le(this.#in, at);
      return;
    }
    const to = type === Message.ToHost ? pair.host : pair.wire;
    this.#inPiece.set(at, length);
    this.#libc.call.writev(to.descriptor, this.#inPiece.iovec, 1);
  }

  #accept(): void {
    const { call } = this.#libc;
    const address = new Uint8Array(SOCKET_ADDRESS_ROOM);
    const size = new Uint8Array(Uint32Array.of(address.length).buffer);
    const socket = call.accept4(this.#listener, address, size, SOCK_NONBLOCK);
    if (socket < 0) return;
    // There is one driver in the system.
    if (this.#driver >= 0) this.#leave();
    const one = new Uint8Array(Int32Array.of(1).buffer);
    call.setsockopt(socket, IPPROTO.TCP, TCP.NODELAY, one, one.length);
    this.#driver = socket;
    this.#list();
  }

  /** The driver's process has ended: frames pass again. */
  #leave(): void {
    this.#libc.call.close(this.#driver);
    this.#driver = -1;
    this.#have = 0;
    this.#waiting = 0;
    for (const pair of this.#pairs) pair.mode = 0;
    console.log("the driver is closed");
  }

  #list(): void {
    if (this.#driver < 0) return;
    const told = new Uint8Array(this.#pairs.length * TOLD_LENGTH);
    this.#pairs.forEach((pair, i) => told.set(pair.told, i * TOLD_LENGTH));
    this.#tell(Message.Adapters, 0, told, told.length);
  }

  #command(): void {
    const piece = new ArenaPiece(this.#line);
    piece.set(0, this.#line.length);
    const length = this.#libc.call.readv(STDIN, piece.iovec, 1);
    if (length <= 0) Deno.exit(0);
    const text = new TextDecoder().decode(this.#line.subarray(0, length));
    for (const line of text.trim().split("\n")) {
      const [verb, name] = line.split(" ");
      if (verb === "add") this.#add(name);
      else this.#remove(name);
      console.log(`done: ${line}`);
    }
  }

  #add(pair: string): void {
    const [host, wire] = pair.split(":").map((name) =>
      openTap(this.#libc, name)
    );
    const index = this.#libc.call.if_nametoindex(cString(host.name));
    const read = (file: string) =>
      Deno.readTextFileSync(`/sys/class/net/${host.name}/${file}`).trim();
    const told = new Uint8Array(TOLD_LENGTH);
    writeU32le(told, 0, index);
    writeU32le(told, 4, Number(read("mtu")));
    read("address").split(":").forEach((byte, i) =>
      told[8 + i] = parseInt(byte, 16)
    );
    told.set(new TextEncoder().encode(host.name), 16);
    this.#pairs.push({ host, wire, told, mode: 0 });
    this.#list();
  }

  #remove(name: string): void {
    const i = this.#pairs.findIndex(({ host }) => host.name === name);
    if (i < 0) return;
    const [{ host, wire }] = this.#pairs.splice(i, 1);
    this.#libc.call.close(host.descriptor);
    this.#libc.call.close(wire.descriptor);
    this.#list();
  }
}

function openTap(libc: Libc, name: string): Tap {
  const { call } = libc;
  const descriptor = call.open(cString("/dev/net/tun"), O_RDWR_NONBLOCK);
  if (descriptor < 0) throw libc.error("open");
  const request = new Uint8Array(ifreq.size);
  request.set(new TextEncoder().encode(name));
  new DataView(request.buffer).setInt16(
    ifreq.at.ifr_flags,
    IFF_TAP_NO_PI,
    true,
  );
  if (call.ioctl(descriptor, TUNSETIFF, request) !== 0) {
    throw libc.error(`TUNSETIFF ${name}`);
  }
  return { name, descriptor };
}

function listen(libc: Libc, port: number): number {
  const { call } = libc;
  const listener = call.socket(AF.INET, SOCK.STREAM, 0);
  const one = new Uint8Array(Int32Array.of(1).buffer);
  call.setsockopt(listener, SOL.SOCKET, SO.REUSEADDR, one, one.length);
  const address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  const loopback = Int32Array.of(0, 0, 0xffff, 0x7f000001);
  const length = writeSocketAddress(address, 0, 4, loopback, 0, port);
  if (call.bind(listener, address, length) !== 0) throw libc.error("bind");
  if (call.listen(listener, 8) !== 0) throw libc.error("listen");
  return listener;
}

if (import.meta.main) {
  const [port, ...pairs] = Deno.args;
  const bridge = new Bridge(openLibc(), Number(port), pairs);
  console.log(`ready on ${port}`);
  bridge.serve();
}
