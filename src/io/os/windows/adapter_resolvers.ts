/**
 * The resolvers that the interfaces have, by GetAdaptersAddresses.
 * Source: iphlpapi.h, iptypes.h.
 */
import type { Iphlpapi } from "../../../../ffi/windows/iphlpapi.ts";
import {
  ipAdapterAddresses,
  ipAdapterDnsServerAddress,
  sockaddrInet,
  socketAddress,
} from "../../../../ffi/windows/layouts/iphlpapi.ts";
import { checkWin32 } from "../../../../ffi/windows/win32_error.ts";
import { readU32le } from "../../../core/wire/bytes.ts";
import { readAddress } from "./ip_rows.ts";

const AF_UNSPEC = 0;
/** Neither unicast, anycast and multicast addresses. */
const FLAGS = 0x1 | 0x2 | 0x4;
const ERROR_BUFFER_OVERFLOW = 111;
const ERROR_NO_DATA = 232;
const OPER_UP = 1;
const FIRST_BYTES = 16 * 1024;
/** The list may grow between asking how long it is and reading it. */
const ATTEMPTS = 4;

/** A resolver and the interface that has it. */
export interface AdapterResolver {
  readonly index: number;
  readonly words: Int32Array;
}

/** Resolvers of interfaces that are up, the interface of the best metric first. */
export function resolversOf(library: Iphlpapi): AdapterResolver[] {
  const list = readList(library);
  if (list === undefined) return [];
  return [...list.adapters()]
    .toSorted((a, b) => a.metric - b.metric)
    .flatMap(({ index, resolvers }) =>
      resolvers.map((words) => ({ index, words }))
    );
}

function readList(library: Iphlpapi): AdapterList | undefined {
  const size = new Uint32Array([FIRST_BYTES]);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const bytes = new Uint8Array(size[0]);
    const code = library.call.GetAdaptersAddresses(
      AF_UNSPEC,
      FLAGS,
      null,
      bytes,
      new Uint8Array(size.buffer),
    );
    if (code === ERROR_NO_DATA) return undefined;
    if (code === ERROR_BUFFER_OVERFLOW) {
      // The last address may be the shorter one, and is read like the longer.
      size[0] += sockaddrInet.size;
      continue;
    }
    checkWin32("GetAdaptersAddresses", code);
    return new AdapterList(bytes);
  }
  return undefined;
}

/** Structs that point at each other within one buffer. */
class AdapterList {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #base: bigint;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
    this.#base = BigInt(
      Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)),
    );
  }

  *adapters() {
    const { at } = ipAdapterAddresses;
    for (
      let place: number | undefined = 0;
      place !== undefined;
      place = this.#follow(place + at.Next)
    ) {
      if (readU32le(this.#bytes, place + at.OperStatus) !== OPER_UP) continue;
      yield {
        index: readU32le(this.#bytes, place + at.IfIndex),
        metric: readU32le(this.#bytes, place + at.Ipv4Metric),
        resolvers: [...this.#resolvers(place + at.FirstDnsServerAddress)],
      };
    }
  }

  *#resolvers(first: number): Generator<Int32Array> {
    const { at } = ipAdapterDnsServerAddress;
    for (
      let place = this.#follow(first);
      place !== undefined;
      place = this.#follow(place + at.Next)
    ) {
      const address = this.#follow(
        place + at.Address + socketAddress.at.lpSockaddr,
      );
      if (address === undefined) continue;
      const words = readAddress(this.#bytes, address)?.words;
      if (words !== undefined) yield words;
    }
  }

  /** Where a pointer leads; undefined for NULL or anywhere else. */
  #follow(at: number): number | undefined {
    const pointer = this.#view.getBigUint64(at, true);
    const place = Number(pointer - this.#base);
    return place > 0 && place + sockaddrInet.size <= this.#bytes.length
      ? place
      : undefined;
  }
}
