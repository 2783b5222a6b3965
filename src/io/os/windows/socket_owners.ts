/**
 * Which process has a socket, by the tables of iphlpapi.dll. They name the
 * process that opened it; one that got it from there is not told.
 *
 * Class 5 of the TCP tables (TCP_TABLE_OWNER_PID_ALL) has connections from
 * their first SYN on, class 4 only those that stand.
 */
import type { Iphlpapi } from "../../../../ffi/windows/iphlpapi.ts";
import type { Field, Layout } from "../../../../ffi/layout.ts";
import {
  mibTcp6rowOwnerPid,
  mibTcprowOwnerPid,
  mibUdp6rowOwnerPid,
  mibUdprowOwnerPid,
} from "../../../../ffi/windows/layouts/iphlpapi.ts";
import { Win32, Win32Error } from "../../../../ffi/windows/win32_error.ts";
import {
  type AddressWords,
  isMappedIpv4,
  writeWords,
} from "../../../core/wire/address.ts";
import {
  readU16be,
  readU32be,
  readU32le,
  writeU32le,
} from "../../../core/wire/bytes.ts";
import type { FlowEnds, UnknownOwner } from "../../ports.ts";

const AF_INET = 2, AF_INET6 = 23;
const TCP_TABLE_OWNER_PID_ALL = 5, UDP_TABLE_OWNER_PID = 1;
/** Where the rows begin, behind their count. */
const ROWS = 4;
const FIRST_BYTES = 64 * 1024;
/** A table grows while it is read: so often it is tried with more room. */
const ATTEMPTS = 5;
/** What nobody has any more belongs to the process 0. */
const NOBODY = 0;

/** The process of a socket, or why there is none. */
export type SocketOwner = number | UnknownOwner;

/** Finds them, for one thread. */
export class SocketOwners {
  readonly #iphlpapi: Iphlpapi;
  readonly #size = new Uint8Array(4);
  readonly #address = new Uint8Array(16);
  readonly #remote = new Uint8Array(16);
  #table = new Uint8Array(FIRST_BYTES);

  constructor(iphlpapi: Iphlpapi) {
    this.#iphlpapi = iphlpapi;
  }

  /** Whose socket a flow is of, now. */
  find(flow: FlowEnds): SocketOwner {
    const family = isMappedIpv4(flow.local, 0) ? 4 : 6;
    switch (flow.protocol) {
      case "icmp":
        return "no-socket"; // raw sockets are in no table
      case "tcp":
        return this.#findTcp(flow, family);
      case "udp": {
        const owner = this.#findUdp(flow, family);
        // A socket of both families may stand in IPv6's table alone.
        return owner === "no-socket" && family === 4
          ? this.#findUdp(flow, 6)
          : owner;
      }
    }
  }

  #findTcp(flow: FlowEnds, family: 4 | 6): SocketOwner {
    const row = family === 4 ? mibTcprowOwnerPid : mibTcp6rowOwnerPid;
    const call = this.#iphlpapi.call.GetExtendedTcpTable;
    const table = this.#read("GetExtendedTcpTable", call, {
      family,
      tableClass: TCP_TABLE_OWNER_PID_ALL,
    });
    const localPort = row.at.dwLocalPort, remotePort = row.at.dwRemotePort;
    const local = place(this.#address, flow.local, family);
    const remote = place(this.#remote, flow.remote, family);
    for (let at = ROWS, i = count(table, row); i > 0; i--, at += row.size) {
      if (
        readU16be(table, at + localPort) === flow.localPort &&
        readU16be(table, at + remotePort) === flow.remotePort &&
        isAt(table, at + localAt(row), local) &&
        isAt(table, at + remoteAt(row), remote)
      ) {
        const owner = readU32le(table, at + row.at.dwOwningPid);
        return owner === NOBODY ? "closed" : owner;
      }
    }
    return "no-socket";
  }

  /** One that is bound to the address is fitter than one that is bound to any. */
  #findUdp(flow: FlowEnds, family: 4 | 6): SocketOwner {
    const row = family === 4 ? mibUdprowOwnerPid : mibUdp6rowOwnerPid;
    const call = this.#iphlpapi.call.GetExtendedUdpTable;
    const table = this.#read("GetExtendedUdpTable", call, {
      family,
      tableClass: UDP_TABLE_OWNER_PID,
    });
    const local = place(this.#address, flow.local, family);
    let exact: SocketOwner = "no-socket", any: SocketOwner = "no-socket";
    for (let at = ROWS, i = count(table, row); i > 0; i--, at += row.size) {
      if (readU16be(table, at + row.at.dwLocalPort) !== flow.localPort) {
        continue;
      }
      const owner = readU32le(table, at + row.at.dwOwningPid);
      if (isAt(table, at + localAt(row), local)) exact = joined(exact, owner);
      else if (isUnspecified(table, at + localAt(row), local.length)) {
        any = joined(any, owner);
      }
    }
    return exact === "no-socket" ? any : exact;
  }

  /** Reads a whole table. @throws {Win32Error} where the system gives none. */
  #read(
    name: string,
    call: Iphlpapi["call"]["GetExtendedTcpTable"],
    { family, tableClass }: { family: 4 | 6; tableClass: number },
  ): Uint8Array {
    for (let attempt = 0;; attempt++) {
      writeU32le(this.#size, 0, this.#table.length);
      const code = call(
        this.#table,
        this.#size,
        0,
        family === 4 ? AF_INET : AF_INET6,
        tableClass,
        0,
      );
      if (code === Win32.Success) return this.#table;
      if (code !== Win32.InsufficientBuffer || attempt === ATTEMPTS) {
        throw new Win32Error(name, code);
      }
      const wanted = readU32le(this.#size, 0);
      this.#table = new Uint8Array(wanted + (wanted >> 2) + FIRST_BYTES);
    }
  }
}

/** Where a row has its addresses: their names differ between the families. */
function localAt({ at }: { at: object }): number {
  const places = at as Record<string, number>;
  return places.dwLocalAddr ?? places.ucLocalAddr;
}

function remoteAt({ at }: { at: object }): number {
  const places = at as Record<string, number>;
  return places.dwRemoteAddr ?? places.ucRemoteAddr;
}

/** An address as it lies in a row of that family. */
function place(
  bytes: Uint8Array,
  words: AddressWords,
  family: 4 | 6,
): Uint8Array {
  writeWords(bytes, 0, words, 0);
  return family === 4 ? bytes.subarray(12) : bytes;
}

function isAt(table: Uint8Array, at: number, address: Uint8Array): boolean {
  for (let i = 0; i < address.length; i += 4) {
    if (readU32be(table, at + i) !== readU32be(address, i)) return false;
  }
  return true;
}

function isUnspecified(
  table: Uint8Array,
  at: number,
  length: number,
): boolean {
  for (let i = 0; i < length; i += 4) {
    if (readU32be(table, at + i) !== 0) return false;
  }
  return true;
}

function count(table: Uint8Array, row: Layout<readonly Field[]>): number {
  const room = Math.floor((table.length - ROWS) / row.size);
  return Math.min(readU32le(table, 0), room);
}

/** Several processes may have the port: then nobody is known to be the one. */
function joined(known: SocketOwner, owner: number): SocketOwner {
  if (known === "no-socket" || known === owner) return owner;
  return "shared";
}
