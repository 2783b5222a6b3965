/**
 * The datagrams that AmneziaWG sends before an initiation: I1..I5, described by
 * tags, then junk of random bytes.
 *
 * | tag | bytes |
 * | --- | --- |
 * | `<b 0xHEX>` | these |
 * | `<r n>` | n random ones |
 * | `<rd n>` | n random digits |
 * | `<rc n>` | n random letters |
 * | `<t>` | Unix time in seconds, 4, big-endian |
 * | `<c>` | number of such packets sent so far, 4, big-endian |
 */
import { readU32le, writeU32be } from "../wire/bytes.ts";
import type { RandomFill } from "./primitives.ts";

/** The most bytes that a UDP datagram over IPv4 carries. */
export const MAX_DATAGRAM = 65_507;

/** One tag. */
export type PacketTag =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "random" | "digits" | "letters"; readonly length: number }
  | { readonly kind: "time" }
  | { readonly kind: "counter" };

/** The tags of one datagram, in order. */
export type PacketTemplate = readonly PacketTag[];

const DIGITS = "0123456789";
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LENGTH_TAGS = { r: "random", rd: "digits", rc: "letters" } as const;

/**
 * Reads tags.
 * @returns the template (no tags for an empty text), or what is wrong.
 */
export function parsePacketTemplate(text: string): PacketTemplate | string {
  const tags: PacketTag[] = [];
  let rest = text.trim();
  while (rest !== "") {
    const match = /^<\s*([a-z]+)\s*([^<>]*?)\s*>\s*/.exec(rest);
    if (match === null) {
      return `expected a tag such as <b 0xff> or <r 16> at "${start(rest)}"`;
    }
    const tag = parseTag(match[1], match[2]);
    if (typeof tag === "string") return tag;
    tags.push(tag);
    rest = rest.slice(match[0].length);
  }
  return tags;
}

/** The length of a template's datagram in bytes. */
export function packetTemplateLength(template: PacketTemplate): number {
  return template.reduce((sum, tag) => sum + tagLength(tag), 0);
}

/** What the tags of a datagram draw from. */
export interface PacketSources {
  readonly random: RandomFill;
  readonly wallMs: number;
  readonly counter: number;
}

/** Makes a template's datagram. */
export function fillPacketTemplate(
  template: PacketTemplate,
  sources: PacketSources,
): Uint8Array {
  const packet = new Uint8Array(packetTemplateLength(template));
  let at = 0;
  for (const tag of template) {
    const end = at + tagLength(tag);
    fillTag(tag, packet.subarray(at, end), sources);
    at = end;
  }
  return packet;
}

/** Junk: `count` datagrams of random bytes, each `least` to `most` long. */
export function junkPackets(
  random: RandomFill,
  options: { count: number; least: number; most: number },
): Uint8Array[] {
  const packets: Uint8Array[] = [];
  const draw = new Uint8Array(4);
  for (let i = 0; i < options.count; i++) {
    random(draw);
    const span = options.most - options.least + 1;
    const packet = new Uint8Array(options.least + readU32le(draw, 0) % span);
    random(packet);
    packets.push(packet);
  }
  return packets;
}

function parseTag(name: string, argument: string): PacketTag | string {
  if (name === "b") {
    const hex = /^0x((?:[0-9a-fA-F]{2})+)$/.exec(argument);
    if (hex === null) {
      return `<b ${
        start(argument)
      }>: expected 0x and an even number of hex digits`;
    }
    const bytes = Uint8Array.from(
      hex[1].match(/../g) ?? [],
      (pair) => parseInt(pair, 16),
    );
    return { kind: "bytes", bytes };
  }
  if (name === "t" || name === "c") {
    if (argument !== "") {
      return `<${name} ${start(argument)}>: takes no argument`;
    }
    return { kind: name === "t" ? "time" : "counter" };
  }
  if (name === "r" || name === "rd" || name === "rc") {
    const length = /^\d{1,5}$/.test(argument) ? Number(argument) : -1;
    if (length < 0 || length > MAX_DATAGRAM) {
      return `<${name} ${
        start(argument)
      }>: expected a length from 0 to ${MAX_DATAGRAM}`;
    }
    return { kind: LENGTH_TAGS[name], length };
  }
  return `<${start(name)}>: unknown tag; there are b, r, rd, rc, t and c`;
}

function tagLength(tag: PacketTag): number {
  switch (tag.kind) {
    case "bytes":
      return tag.bytes.length;
    case "time":
    case "counter":
      return 4;
    default:
      return tag.length;
  }
}

function fillTag(
  tag: PacketTag,
  out: Uint8Array,
  sources: PacketSources,
): void {
  switch (tag.kind) {
    case "bytes":
      return out.set(tag.bytes);
    case "time":
      return writeU32be(out, 0, Math.floor(sources.wallMs / 1000) % 2 ** 32);
    case "counter":
      return writeU32be(out, 0, sources.counter % 2 ** 32);
    case "random":
      return sources.random(out);
    case "digits":
      return fillCharacters(out, DIGITS, sources.random);
    case "letters":
      return fillCharacters(out, LETTERS, sources.random);
  }
}

function fillCharacters(
  out: Uint8Array,
  alphabet: string,
  random: RandomFill,
): void {
  random(out);
  for (let i = 0; i < out.length; i++) {
    out[i] = alphabet.charCodeAt(out[i] % alphabet.length);
  }
}

function start(text: string): string {
  return text.length <= 24 ? text : `${text.slice(0, 21)}...`;
}
