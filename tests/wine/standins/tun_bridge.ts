/**
 * What the stand-in for wintun.dll talks to: a Linux program that owns a TUN
 * interface for each adapter, of the adapter's name where Linux takes it. An
 * interface ends with the adapter's connection, as an adapter with its process.
 *
 *     deno run -A tun_bridge.ts [PORT [NAME=ADDRESS/LENGTH=MTU]]
 *
 * An interface of that name gets the address and the MTU as soon as it is up,
 * for tests without a host network. Messages are those of wintun.c: u32 type << 24 | length, then the bytes.
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
import { parsePrefix } from "../../../src/core/wire/address.ts";
import { readU32le, writeU32le } from "../../../src/core/wire/bytes.ts";
import { Netlink } from "../../../src/io/os/linux/netlink.ts";
import { isInterfaceName } from "../../../src/io/os/linux/tun.ts";
import { ArenaPiece, EBADFD } from "../../../src/io/os/linux/tun_pieces.ts";
import {
  SOCKET_ADDRESS_ROOM,
  writeSocketAddress,
} from "../../../src/io/os/linux/socket_address.ts";

/** The port that the stand-in asks where nothing says another. */
export const BRIDGE_PORT = 7701;

/** What is said on a connection; Remove takes another one's adapter away. */
export const Message = {
  Packet: 0,
  Create: 1,
  Created: 2,
  Start: 3,
  Stop: 4,
  Remove: 5,
  Started: 6,
} as const;
const HEADER = 4;
const LONGEST_PACKET = 65_535;
const BUFFER = 1 << 20;
/** Packets that are gathered before they are sent on. */
const GATHERED = 256;
const SOCKET_ROOM = 4 << 20;

/** An interface that the bridge owns. */
interface OwnedTun {
  readonly name: string;
  readonly descriptor: number;
  readonly index: number;
}

const O_RDWR_NONBLOCK = 0x802;
const TUNSETIFF = 0x400454ca;
const TUNSETIFINDEX = 0x400454da;
const IFF_TUN_NO_PI = 0x1001;

/**
 * Makes an interface.
 * @param index what it has to be, for one that was there before: Wine goes on
 * showing interfaces that are gone, under the index that they had.
 * @throws {LibcError}
 */
function openTun(
  libc: Libc,
  name: string,
  index: number | undefined,
): OwnedTun {
  const { call } = libc;
  const descriptor = call.open(cString("/dev/net/tun"), O_RDWR_NONBLOCK);
  if (descriptor < 0) throw libc.error("open(/dev/net/tun)");
  try {
    if (index !== undefined) {
      const wanted = new Uint8Array(Int32Array.of(index).buffer);
      if (call.ioctl(descriptor, TUNSETIFINDEX, wanted) !== 0) {
        throw libc.error("ioctl(TUNSETIFINDEX)");
      }
    }
    const request = new Uint8Array(ifreq.size);
    request.set(new TextEncoder().encode(name), ifreq.at.ifr_name);
    new DataView(request.buffer)
      .setUint16(ifreq.at.ifr_flags, IFF_TUN_NO_PI, true);
    if (call.ioctl(descriptor, TUNSETIFF, request) !== 0) {
      throw libc.error("ioctl(TUNSETIFF)");
    }
    return { name, descriptor, index: call.if_nametoindex(cString(name)) };
  } catch (error) {
    call.close(descriptor);
    throw error;
  }
}

/** What an interface gets when it comes up. */
interface Place {
  readonly name: string;
  readonly words: Int32Array;
  readonly prefixLength: number;
  readonly mtu: number;
}

/** What all adapters have in common. */
interface Shared {
  readonly place: Place | undefined;
  /** Indices by the names of interfaces that there were. */
  readonly indices: Map<string, number>;
  /** Takes the adapter of that name away. */
  readonly remove: (name: string) => void;
}

/** One adapter: a connection, and its interface once it is named. */
class BridgedAdapter implements Disposable {
  readonly socket: number;
  readonly #libc: Libc;
  readonly #in = new Uint8Array(BUFFER);
  readonly #out = new Uint8Array(BUFFER);
  readonly #inPiece = new ArenaPiece(this.#in);
  readonly #outPiece = new ArenaPiece(this.#out);
  readonly #shared: Shared;
  #tun: OwnedTun | undefined;
  #started = false;
  #have = 0;

  constructor(
    libc: Libc,
    socket: number,
    shared: Shared,
  ) {
    this.#libc = libc;
    this.socket = socket;
    this.#shared = shared;
  }

  get name(): string | undefined {
    return this.#tun?.name;
  }

  /** The interface's descriptor while packets are wanted, else -1. */
  get tun(): number {
    return this.#started && this.#tun ? this.#tun.descriptor : -1;
  }

  /** Host to adapter. @returns false where the interface is gone. */
  forward(): boolean {
    const { call } = this.#libc;
    let at = 0;
    for (let n = 0; n < GATHERED && at + LONGEST_PACKET < BUFFER; n++) {
      this.#outPiece.set(at + HEADER, LONGEST_PACKET);
      const length = call.readv(this.tun, this.#outPiece.iovec, 1);
      if (length < 0) {
        if (this.#libc.errno() === EBADFD) return false;
        break;
      }
      writeU32le(this.#out, at, length);
      at += HEADER + length;
    }
    return this.#send(at);
  }

  /** Adapter to host. @returns false where the connection is over. */
  back(): boolean {
    const { call } = this.#libc;
    this.#inPiece.set(this.#have, BUFFER - this.#have);
    const got = call.readv(this.socket, this.#inPiece.iovec, 1);
    if (got <= 0) return false;
    this.#have += got;
    let at = 0;
    while (this.#have - at >= HEADER) {
      const header = readU32le(this.#in, at);
      const length = header & 0xffffff;
      if (this.#have - at < HEADER + length) break;
      const body = at + HEADER;
      if (!this.#handle(header >>> 24, body, length)) return false;
      at = body + length;
    }
    this.#in.copyWithin(0, at, this.#have);
    this.#have -= at;
    return true;
  }

  [Symbol.dispose](): void {
    if (this.#tun) this.#libc.call.close(this.#tun.descriptor);
    this.#libc.call.close(this.socket);
  }

  #handle(type: number, at: number, length: number): boolean {
    switch (type) {
      case Message.Packet:
        this.#inPiece.set(at, length);
        if (this.#tun !== undefined) {
          this.#libc.call.writev(
            this.#tun.descriptor,
            this.#inPiece.iovec,
            1,
          );
        }
        return true;
      case Message.Create:
        return this.#create(this.#text(at, length));
      case Message.Remove:
        this.#shared.remove(this.#text(at, length));
        return true;
      case Message.Start:
        this.#setUp(true);
        writeU32le(this.#out, 0, Message.Started << 24);
        return this.#send(HEADER);
      case Message.Stop:
        this.#setUp(false);
        return true;
    }
    return false;
  }

  #text(at: number, length: number): string {
    return new TextDecoder().decode(this.#in.subarray(at, at + length));
  }

  #create(name: string): boolean {
    const libc = this.#libc;
    const { indices } = this.#shared;
    let index = 0;
    try {
      const own = isInterfaceName(name) ? name : `wintun${this.socket}`;
      this.#tun = openTun(libc, own, indices.get(own));
      index = this.#tun.index;
      indices.set(own, index);
      console.log(`made ${own}, index ${index}`);
    } catch (error) {
      console.log(`cannot make ${name}: ${error}`);
    }
    writeU32le(this.#out, 0, Message.Created << 24 | 4);
    writeU32le(this.#out, HEADER, index);
    return this.#send(HEADER + 4);
  }

  #setUp(up: boolean): void {
    this.#started = up;
    if (this.#tun === undefined) return;
    using netlink = new Netlink(this.#libc);
    const { index } = this.#tun;
    if (this.#libc.call.if_nametoindex(cString(this.#tun.name)) === 0) return;
    const { place } = this.#shared;
    if (up && place !== undefined && place.name === this.#tun.name) {
      const { words, prefixLength, mtu } = place;
      netlink.addAddress({ family: 4, words, prefixLength, index });
      netlink.setLink(index, { mtu, up });
    } else netlink.setLink(index, { up });
  }

  #send(length: number): boolean {
    for (let at = 0; at < length;) {
      this.#outPiece.set(at, length - at);
      const sent = this.#libc.call.writev(this.socket, this.#outPiece.iovec, 1);
      if (sent <= 0) return false;
      at += sent;
    }
    return true;
  }
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

function accept(libc: Libc, listener: number): number {
  const { call } = libc;
  const address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  const size = new Uint8Array(Uint32Array.of(address.length).buffer);
  const socket = call.accept4(listener, address, size, 0);
  if (socket < 0) throw libc.error("accept4");
  const one = new Uint8Array(Int32Array.of(1).buffer);
  call.setsockopt(socket, IPPROTO.TCP, TCP.NODELAY, one, one.length);
  const room = new Uint8Array(Int32Array.of(SOCKET_ROOM).buffer);
  call.setsockopt(socket, SOL.SOCKET, SO.SNDBUF, room, room.length);
  return socket;
}

/** `NAME=ADDRESS/LENGTH=MTU`, an IPv4 address. */
function parsePlace(text: string): Place {
  const [name, prefix, mtu] = text.split("=");
  const { words, length } = parsePrefix(prefix)!;
  return {
    name,
    words: Int32Array.from(words),
    prefixLength: length,
    mtu: Number(mtu),
  };
}

/** Serves adapters until the process ends. */
function serve(port: number, place: Place | undefined): never {
  const libc = openLibc();
  const listener = listen(libc, port);
  console.log(`ready on ${port}`);
  const adapters: BridgedAdapter[] = [];
  const end = (adapter: BridgedAdapter) => {
    const i = adapters.indexOf(adapter);
    if (i < 0) return;
    adapters.splice(i, 1);
    adapter[Symbol.dispose]();
  };
  const shared: Shared = {
    place,
    indices: new Map(),
    remove: (name) =>
      adapters.filter((adapter) => adapter.name === name).forEach(end),
  };
  for (;;) {
    const set = new DataView(
      new ArrayBuffer((1 + 2 * adapters.length) * pollfd.size),
    );
    const wait = (i: number, descriptor: number) => {
      set.setInt32(i * pollfd.size + pollfd.at.fd, descriptor, true);
      set.setUint16(i * pollfd.size + pollfd.at.events, POLL.IN, true);
    };
    wait(0, listener);
    adapters.forEach((adapter, i) => {
      wait(1 + 2 * i, adapter.socket);
      wait(2 + 2 * i, adapter.tun);
    });
    const entries = set.byteLength / pollfd.size;
    if (libc.call.poll(new Uint8Array(set.buffer), entries, -1) < 0) {
      if (libc.errno() === ERRNO.EINTR) continue;
      throw libc.error("poll");
    }
    const ready = (i: number) =>
      set.getUint16(i * pollfd.size + pollfd.at.revents, true) !== 0;
    const over = adapters.filter((adapter, i) =>
      (ready(1 + 2 * i) && !adapter.back()) ||
      (ready(2 + 2 * i) && adapter.tun >= 0 && !adapter.forward())
    );
    over.forEach(end);
    if (ready(0)) {
      const socket = accept(libc, listener);
      adapters.push(new BridgedAdapter(libc, socket, shared));
    }
  }
}

if (import.meta.main) {
  const [port = BRIDGE_PORT, place] = Deno.args;
  serve(Number(port), place === undefined ? undefined : parsePlace(place));
}
