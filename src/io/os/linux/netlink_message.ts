/**
 * Netlink messages: writing and reading, without a socket.
 * Source: RFC 3549, section 2.2; linux/netlink.h.
 *
 *     +--------+------+-------+----------+---------+----------------+------------+
 *     | length | type | flags | sequence | port id | body by type   | attributes |
 *     |   u32  |  u16 |  u16  |    u32   |   u32   | padded to 4    | see below  |
 *     +--------+------+-------+----------+---------+----------------+------------+
 *
 *     attribute: | length u16 | type u16 | payload, padded to 4 |
 *
 * Integers are in the host's order, which is little-endian on every machine
 * that we support; addresses are in network order. Lengths are checked as if a
 * stranger had sent them.
 */
import { nlattr, nlmsgerr, nlmsghdr } from "../../../../ffi/linux_layouts.ts";
import {
  readU16le,
  readU32le,
  writeU16le,
  writeU32le,
} from "../../../core/wire/bytes.ts";

/** Message types that belong to netlink itself. */
export const Control = { Noop: 1, Error: 2, Done: 3, Overrun: 4 } as const;

/** Message flags. */
export const Flag = {
  Request: 0x1,
  /** The message is one of several; Done ends them. */
  Multi: 0x2,
  Acknowledge: 0x4,
  /** What was dumped changed meanwhile: ask again. */
  DumpInterrupted: 0x10,
  /** The error's attributes follow the error (in an acknowledgement). */
  AcknowledgeAttributes: 0x200,
  /** The request's body is left out (in an acknowledgement). */
  Capped: 0x100,
  Dump: 0x300,
  Replace: 0x100,
  Exclusive: 0x200,
  Create: 0x400,
} as const;

const NLMSGERR_ATTR_MSG = 1;
/** The two high bits say «nested» and «network order». */
const TYPE_MASK = 0x3fff;

/** One message as received. */
export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** What follows the header, a view into the buffer. */
  readonly body: Uint8Array;
}

/** What a buffer held; `whole` is false where its end made no sense. */
export interface ParsedMessages {
  readonly messages: readonly NetlinkMessage[];
  readonly whole: boolean;
}

/** Builds one request; offsets of body fields count from the body's start. */
export class RequestWriter {
  #bytes = new Uint8Array(256);
  #length = nlmsghdr.size;

  constructor(type: number, flags: number, bodyLength: number) {
    writeU16le(this.#bytes, nlmsghdr.at.nlmsg_type, type);
    writeU16le(this.#bytes, nlmsghdr.at.nlmsg_flags, flags);
    this.#reserve(bodyLength);
  }

  /** Sets a byte of the body. */
  u8(at: number, value: number): this {
    this.#bytes[nlmsghdr.size + at] = value;
    return this;
  }

  /** Sets four bytes of the body. */
  u32(at: number, value: number): this {
    writeU32le(this.#bytes, nlmsghdr.size + at, value);
    return this;
  }

  /** Adds an attribute. */
  attribute(type: number, payload: Uint8Array): this {
    const at = this.#reserve(nlattr.size + payload.length);
    writeU16le(
      this.#bytes,
      at + nlattr.at.nla_len,
      nlattr.size + payload.length,
    );
    writeU16le(this.#bytes, at + nlattr.at.nla_type, type);
    this.#bytes.set(payload, at + nlattr.size);
    return this;
  }

  /** Adds an attribute with one integer. */
  attributeU32(type: number, value: number): this {
    const payload = new Uint8Array(4);
    writeU32le(payload, 0, value);
    return this.attribute(type, payload);
  }

  /** The finished message. */
  finish(sequence: number): Uint8Array<ArrayBuffer> {
    writeU32le(this.#bytes, nlmsghdr.at.nlmsg_len, this.#length);
    writeU32le(this.#bytes, nlmsghdr.at.nlmsg_seq, sequence);
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(length: number): number {
    const at = this.#length;
    this.#length = at + align4(length);
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(this.#length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    return at;
  }
}

/** Reads the messages in a buffer up to the first one that makes no sense. */
export function parseMessages(bytes: Uint8Array): ParsedMessages {
  const messages: NetlinkMessage[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + nlmsghdr.size > bytes.length) return { messages, whole: false };
    const length = readU32le(bytes, at + nlmsghdr.at.nlmsg_len);
    if (length < nlmsghdr.size || length > bytes.length - at) {
      return { messages, whole: false };
    }
    messages.push({
      type: readU16le(bytes, at + nlmsghdr.at.nlmsg_type),
      flags: readU16le(bytes, at + nlmsghdr.at.nlmsg_flags),
      sequence: readU32le(bytes, at + nlmsghdr.at.nlmsg_seq),
      body: bytes.subarray(at + nlmsghdr.size, at + length),
    });
    at += align4(length);
  }
  return { messages, whole: true };
}

/**
 * Reads the attributes from `at` on: payloads by type, the last of equal types
 * winning. What follows a malformed attribute is left out.
 */
export function parseAttributes(
  body: Uint8Array,
  at: number,
): ReadonlyMap<number, Uint8Array> {
  const attributes = new Map<number, Uint8Array>();
  while (at + nlattr.size <= body.length) {
    const length = readU16le(body, at + nlattr.at.nla_len);
    if (length < nlattr.size || at + length > body.length) break;
    const type = readU16le(body, at + nlattr.at.nla_type) & TYPE_MASK;
    attributes.set(type, body.subarray(at + nlattr.size, at + length));
    at += align4(length);
  }
  return attributes;
}

/** An attribute's integer; undefined where it is absent or too short. */
export function attributeU32(
  attributes: ReadonlyMap<number, Uint8Array>,
  type: number,
): number | undefined {
  const payload = attributes.get(type);
  return payload === undefined || payload.length < 4
    ? undefined
    : readU32le(payload, 0);
}

/** An attribute's text up to its NUL; undefined where it is absent. */
export function attributeText(
  attributes: ReadonlyMap<number, Uint8Array>,
  type: number,
): string | undefined {
  const payload = attributes.get(type);
  if (payload === undefined) return undefined;
  const end = payload.indexOf(0);
  return new TextDecoder().decode(end < 0 ? payload : payload.subarray(0, end));
}

/** What an Error or Done message says. */
export interface NetlinkOutcome {
  /** 0, or the errno. */
  readonly code: number;
  /** The kernel's own words about the error, where it has some. */
  readonly detail: string | undefined;
}

/** Reads an Error or Done message; undefined where it is too short. */
export function parseOutcome(
  message: NetlinkMessage,
): NetlinkOutcome | undefined {
  const { body, type } = message;
  if (body.length < (type === Control.Done ? 4 : nlmsgerr.size)) {
    return undefined;
  }
  const code = 0 - (readU32le(body, nlmsgerr.at.error) | 0);
  if (type === Control.Done) return { code, detail: undefined };
  if ((message.flags & Flag.AcknowledgeAttributes) === 0) {
    return { code, detail: undefined };
  }
  const requestLength = readU32le(
    body,
    nlmsgerr.at.msg + nlmsghdr.at.nlmsg_len,
  );
  const capped = (message.flags & Flag.Capped) !== 0 || code === 0;
  const at = nlmsgerr.at.msg +
    (capped ? nlmsghdr.size : align4(requestLength));
  const attributes = parseAttributes(body, at);
  return { code, detail: attributeText(attributes, NLMSGERR_ATTR_MSG) };
}

function align4(length: number): number {
  return (length + 3) & ~3;
}
