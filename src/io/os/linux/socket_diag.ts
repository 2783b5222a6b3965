/**
 * Which socket a flow belongs to, by NETLINK_SOCK_DIAG.
 * Source: sock_diag(7), linux/inet_diag.h, net/ipv4/{inet_diag,udp_diag}.c.
 *
 *     request  | nlmsghdr 16 | inet_diag_req_v2 56 |
 *     answer   | nlmsghdr 16 | inet_diag_msg 72 | attributes |
 *
 * TCP is looked up in the system's table of connections, which holds a socket
 * before its SYN is sent. UDP is looked up as the system finds the receiver of
 * an answer: connected sockets before bound ones before those of any address.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import {
  inetDiagMsg,
  inetDiagReqV2,
  inetDiagSockid,
  nlmsgerr,
  nlmsghdr,
} from "../../../../ffi/linux_layouts.ts";
import { AF, IPPROTO } from "../../../../ffi/linux_socket_constants.ts";
import {
  type AddressWords,
  equalWords,
  isMappedIpv4,
  isUnspecified,
  readWords,
  setMappedIpv4,
  writeWords,
} from "../../../core/wire/address.ts";
import {
  readU16be,
  readU16le,
  readU32be,
  readU32le,
  writeU16be,
  writeU16le,
  writeU32be,
  writeU32le,
} from "../../../core/wire/bytes.ts";
import type { FlowEnds } from "../../ports.ts";
import {
  Control,
  Flag,
  type NetlinkMessage,
  parseAttributes,
  RequestWriter,
} from "./netlink_message.ts";
import {
  NetlinkError,
  NetlinkProtocol,
  NetlinkSocket,
} from "./netlink_socket.ts";

const SOCK_DIAG_BY_FAMILY = 20;
const INET_DIAG_SKV6ONLY = 11;
const ANY_STATE = 0xffff_ffff;
const NO_COOKIE = 0xffff_ffff;
const TCP_SYN_RECV = 3;
const ENOENT = 2;
const EINTR = 4;
/** Some kernels answer an address that is none of theirs with it. */
const ENODEV = 19;

const BODY_AT = nlmsghdr.size;
const ID_AT = inetDiagReqV2.at.id;
const ANSWER_ID_AT = inetDiagMsg.at.id;

/** A socket as sock_diag tells it. */
export interface FoundSocket {
  /** AF_INET or AF_INET6, which may carry IPv4 too. */
  readonly family: number;
  /** Names it under /proc/PID/fd; 0 once its program has closed it. */
  readonly inode: number;
  /** Who made it. */
  readonly userId: number;
  readonly state: number;
}

/** A UDP socket and how well it fits a flow: more is better, 0 not at all. */
export interface Candidate extends FoundSocket {
  readonly fit: number;
}

/** Asks for sockets of this network namespace, for one thread. */
export class SocketDiag implements Disposable {
  readonly #libc: Libc;
  readonly #socket: NetlinkSocket;
  readonly #request = new Uint8Array(nlmsghdr.size + inetDiagReqV2.size);
  readonly #answer = new Uint8Array(8192);
  #sequence = 0;

  /** @throws {LibcError} where the socket cannot be made. */
  constructor(libc: Libc) {
    this.#libc = libc;
    this.#socket = new NetlinkSocket(libc, {
      protocol: NetlinkProtocol.SocketDiag,
    });
    const request = this.#request;
    writeU32le(request, nlmsghdr.at.nlmsg_len, request.length);
    writeU16le(request, nlmsghdr.at.nlmsg_type, SOCK_DIAG_BY_FAMILY);
    writeU16le(request, nlmsghdr.at.nlmsg_flags, Flag.Request);
  }

  /**
   * The socket of a flow; undefined where this namespace has none. A connection
   * that is being accepted is its listener's.
   * @throws {NetlinkError}
   */
  find(flow: FlowEnds): FoundSocket | undefined {
    const found = this.#ask(flow, flow.remote, flow.remotePort);
    if (found?.state !== TCP_SYN_RECV || found.inode !== 0) return found;
    return this.#ask(flow, unspecifiedLike(flow.local), 0) ?? found;
  }

  /**
   * UDP sockets like one, by family and state. What fits a flow as well as the
   * socket that the system found for it is among them: a connected one fits
   * better than any other, and each family differently.
   * @param localPort of them; absent for all
   * @throws {NetlinkError}
   */
  alike(
    { family, state }: Pick<FoundSocket, "family" | "state">,
    localPort = 0,
  ): readonly NetlinkMessage[] {
    return this.#socket.dump(
      "SOCK_DIAG_BY_FAMILY",
      udpDump(family, { localPort, states: 1 << state }),
    );
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  #ask(
    flow: FlowEnds,
    remote: AddressWords,
    remotePort: number,
  ): FoundSocket | undefined {
    writeQuestion(this.#request, flow, { remote, remotePort });
    const sequence = this.#sequence = (this.#sequence + 1) >>> 0;
    writeU32le(this.#request, nlmsghdr.at.nlmsg_seq, sequence);
    const { call } = this.#libc;
    const { descriptor } = this.#socket;
    const { length } = this.#request;
    if (
      call.sendto(descriptor, this.#request, length, 0, null, 0) !== length
    ) throw this.#failure(this.#libc.errno());
    for (;;) {
      const got = call.recv(descriptor, this.#answer, this.#answer.length, 0);
      if (got < 0) {
        if (this.#libc.errno() === EINTR) continue;
        throw this.#failure(this.#libc.errno());
      }
      if (got < BODY_AT + nlmsgerr.size) continue;
      // An answer to a question that timed out earlier.
      if (readU32le(this.#answer, nlmsghdr.at.nlmsg_seq) !== sequence) continue;
      const type = readU16le(this.#answer, nlmsghdr.at.nlmsg_type);
      if (type === Control.Error) return this.#refused();
      return readSocket(this.#answer, BODY_AT, got);
    }
  }

  #refused(): undefined {
    const code = -(readU32le(this.#answer, BODY_AT + nlmsgerr.at.error) | 0);
    if (code === ENOENT || code === ENODEV) return undefined;
    throw this.#failure(code);
  }

  #failure(code: number): NetlinkError {
    return new NetlinkError(
      "SOCK_DIAG_BY_FAMILY",
      code,
      this.#libc.errorText(code),
    );
  }
}

/** Writes the question for one socket behind a message header. */
export function writeQuestion(
  request: Uint8Array,
  flow: FlowEnds,
  other: { readonly remote: AddressWords; readonly remotePort: number },
): void {
  const { protocol, local, localPort, interfaceIndex = 0 } = flow;
  const { remote, remotePort } = other;
  const four = isMappedIpv4(local);
  const at = BODY_AT + inetDiagReqV2.at.sdiag_family;
  request[at] = four ? AF.INET : AF.INET6;
  request[BODY_AT + inetDiagReqV2.at.sdiag_protocol] = protocol === "tcp"
    ? IPPROTO.TCP
    : IPPROTO.UDP;
  writeU32le(request, BODY_AT + inetDiagReqV2.at.idiag_states, ANY_STATE);
  // The system takes UDP's ends the other way round, «for historical reasons».
  const own = protocol === "tcp";
  const id = BODY_AT + ID_AT;
  const sourcePortAt = id + inetDiagSockid.at.idiag_sport;
  const destinationPortAt = id + inetDiagSockid.at.idiag_dport;
  const sourceAt = id + inetDiagSockid.at.idiag_src;
  const destinationAt = id + inetDiagSockid.at.idiag_dst;
  writeU16be(request, own ? sourcePortAt : destinationPortAt, localPort);
  writeU16be(request, own ? destinationPortAt : sourcePortAt, remotePort);
  writeAddress(request, own ? sourceAt : destinationAt, local);
  writeAddress(request, own ? destinationAt : sourceAt, remote);
  writeU32le(request, id + inetDiagSockid.at.idiag_if, interfaceIndex);
  writeU32le(request, id + inetDiagSockid.at.idiag_cookie, NO_COOKIE);
  writeU32le(request, id + inetDiagSockid.at.idiag_cookie + 4, NO_COOKIE);
}

/** Reads an answer; undefined where it is too short. */
export function readSocket(
  bytes: Uint8Array,
  at: number,
  end: number,
): FoundSocket | undefined {
  if (end - at < inetDiagMsg.size) return undefined;
  return {
    family: bytes[at + inetDiagMsg.at.idiag_family],
    inode: readU32le(bytes, at + inetDiagMsg.at.idiag_inode),
    userId: readU32le(bytes, at + inetDiagMsg.at.idiag_uid),
    state: bytes[at + inetDiagMsg.at.idiag_state],
  };
}

/**
 * A request for all UDP sockets of a family. The kernel skips those of other
 * ports before it looks any closer, which a filter's program would not.
 * @param which their local port, 0 for any; states as bits
 */
export function udpDump(
  family: number,
  which: { readonly localPort: number; readonly states: number },
): RequestWriter {
  const { localPort, states } = which;
  const portAt = ID_AT + inetDiagSockid.at.idiag_sport;
  return new RequestWriter(
    SOCK_DIAG_BY_FAMILY,
    Flag.Request | Flag.Dump,
    inetDiagReqV2.size,
  )
    .u8(inetDiagReqV2.at.sdiag_family, family)
    .u8(inetDiagReqV2.at.sdiag_protocol, IPPROTO.UDP)
    .u32(inetDiagReqV2.at.idiag_states, states)
    .u8(portAt, localPort >>> 8)
    .u8(portAt + 1, localPort & 0xff);
}

/** The local port of a socket of a dump; 0 where there is none. */
export function localPortOf({ body }: NetlinkMessage): number {
  return body.length < inetDiagMsg.size
    ? 0
    : readU16be(body, ANSWER_ID_AT + inetDiagSockid.at.idiag_sport);
}

/** Reads one socket of a dump; undefined where it cannot be the flow's. */
export function readCandidate(
  message: NetlinkMessage,
  flow: FlowEnds,
): Candidate | undefined {
  const { body } = message;
  const found = readSocket(body, 0, body.length);
  if (message.type !== SOCK_DIAG_BY_FAMILY || found === undefined) {
    return undefined;
  }
  const id = (field: keyof typeof inetDiagSockid.at) =>
    ANSWER_ID_AT + inetDiagSockid.at[field];
  const six = body[inetDiagMsg.at.idiag_family] === AF.INET6;
  if (readU16be(body, id("idiag_sport")) !== flow.localPort) return undefined;
  const only6 = six && isMappedIpv4(flow.local) &&
    parseAttributes(body, inetDiagMsg.size).get(INET_DIAG_SKV6ONLY)?.[0] === 1;
  if (only6) return undefined;
  const device = readU32le(body, id("idiag_if"));
  const otherDevice = device !== 0 && flow.interfaceIndex !== undefined &&
    device !== flow.interfaceIndex;
  if (otherDevice) return undefined;
  let fit = six ? 1 : 2;
  const source = addressAt(body, id("idiag_src"), six);
  if (!isAny(source)) {
    if (!equalWords(source, 0, flow.local, 0)) return undefined;
    fit += 4;
  }
  const remotePort = readU16be(body, id("idiag_dport"));
  if (remotePort !== 0) {
    const remote = addressAt(body, id("idiag_dst"), six);
    if (remotePort !== flow.remotePort) return undefined;
    if (!equalWords(remote, 0, flow.remote, 0)) return undefined;
    fit += 8;
  }
  return { ...found, fit: fit + (device === 0 ? 0 : 16) };
}

function isAny(words: AddressWords): boolean {
  return isUnspecified(words) || (isMappedIpv4(words) && words[3] === 0);
}

function writeAddress(b: Uint8Array, at: number, words: AddressWords): void {
  if (!isMappedIpv4(words)) {
    writeWords(b, at, words, 0);
    return;
  }
  writeU32be(b, at, words[3]);
  b.fill(0, at + 4, at + 16);
}

function addressAt(b: Uint8Array, at: number, six: boolean): Int32Array {
  const words = new Int32Array(4);
  if (six) readWords(b, at, words, 0);
  else setMappedIpv4(words, 0, readU32be(b, at));
  return words;
}

function unspecifiedLike(local: AddressWords): Int32Array {
  const words = new Int32Array(4);
  if (isMappedIpv4(local)) setMappedIpv4(words, 0, 0);
  return words;
}
