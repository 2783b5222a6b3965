/**
 * Adds and removes peers in the text of a server.yaml. Only the lines of that
 * peer change: comments, order and spacing of everything else stay as they
 * are, byte for byte.
 */
import {
  isMap,
  isSeq,
  type Node,
  parseDocument,
  stringify,
  type YAMLSeq,
} from "yaml";
import type { Document } from "yaml";

/** A peer as it is written into the file; absent keys are left out. */
export interface PeerEntry {
  readonly name: string;
  /** Base64. */
  readonly publicKey: string;
  readonly presharedKey?: string;
  /** `address/length`. */
  readonly addresses: readonly string[];
}

const DEFAULT_INDENT = "  ";
const EMPTY_LIST = /^[ \t]*\[\s*\]/;

/** The text with one peer more, at the end of `peers`. */
export function withPeer(text: string, entry: PeerEntry): string {
  const document = parseDocument(text);
  const edited = insertLines(text, document, entry);
  const peers = document.get("peers");
  const node = document.createNode(entry);
  if (isSeq(peers)) {
    peers.flow = false;
    peers.add(node);
  } else document.set("peers", [node]);
  return confirmed(edited, document);
}

/** The text without the peer of that name; undefined where there is none. */
export function withoutPeer(text: string, name: string): string | undefined {
  const document = parseDocument(text);
  const peers = document.get("peers");
  if (!isSeq(peers)) return undefined;
  const index = peers.items.findIndex((item) =>
    nameOf(item) === name.toLowerCase()
  );
  if (index < 0) return undefined;
  const edited = cutLines(text, peers, index);
  peers.items.splice(index, 1);
  if (peers.items.length === 0) peers.flow = true;
  return confirmed(edited, document);
}

/**
 * The edited text where it reads as the edited document does; else, for files
 * in a style that the edit does not know, the document written anew.
 */
function confirmed(edited: string | undefined, document: Document): string {
  if (edited !== undefined) {
    const reread = parseDocument(edited);
    const same =
      JSON.stringify(reread.toJS()) === JSON.stringify(document.toJS());
    if (reread.errors.length === 0 && same) return edited;
  }
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

function insertLines(
  text: string,
  document: Document,
  entry: PeerEntry,
): string | undefined {
  const end = text.includes("\r\n") ? "\r\n" : "\n";
  const root = document.contents;
  if (!isMap(root)) return undefined;
  const pair = root.items.find((item) => String(item.key) === "peers");
  if (pair === undefined) {
    const before = text === "" || text.endsWith("\n") ? text : text + end;
    return before + ["peers:", ...entryLines(entry, DEFAULT_INDENT)].join(end) +
      end;
  }
  const list = pair.value;
  if (isSeq(list) && list.items.length > 0) {
    if (list.flow) return undefined;
    const at = lineEnd(text, lastCharacter(text, list.items.at(-1) as Node));
    const lines = entryLines(entry, indentOf(text, list));
    return text.slice(0, at) + end + lines.join(end) + text.slice(at);
  }
  // `peers:` or `peers: []`, perhaps with a comment behind it.
  const keyEnd = (pair.key as Node).range![1];
  const colon = text.indexOf(":", keyEnd) + 1;
  const tail = text.slice(colon);
  const rest = isSeq(list) ? tail.replace(EMPTY_LIST, "") : tail;
  const at = rest.search(/\r?\n|$/);
  return text.slice(0, colon) + rest.slice(0, at).trimEnd() + end +
    entryLines(entry, DEFAULT_INDENT).join(end) + (rest.slice(at) || end);
}

function entryLines(entry: PeerEntry, indent: string): string[] {
  const scalar = (value: string) =>
    stringify(value, { lineWidth: 0 }).trimEnd();
  const lines = [
    `- name: ${scalar(entry.name)}`,
    `  publicKey: ${scalar(entry.publicKey)}`,
  ];
  if (entry.presharedKey !== undefined) {
    lines.push(`  presharedKey: ${scalar(entry.presharedKey)}`);
  }
  lines.push("  addresses:");
  for (const address of entry.addresses) lines.push(`    - ${scalar(address)}`);
  return lines.map((line) => indent + line);
}

function cutLines(
  text: string,
  list: YAMLSeq,
  index: number,
): string | undefined {
  if (list.flow) return undefined;
  const item = list.items[index] as Node;
  const indent = indentOf(text, list).length;
  let from = lineStart(text, item.range![0]);
  // Comments right above the peer are about it.
  for (
    let above = lineBefore(text, from);
    above !== undefined;
    above = lineBefore(text, from)
  ) {
    if (!/^\s*#/.test(text.slice(above, from))) break;
    from = above;
  }
  let to = afterLine(text, lastCharacter(text, item));
  // So are comments below that stand deeper than the list.
  while (
    /^[ \t]*#/.test(text.slice(to)) &&
    /^[ \t]*/.exec(text.slice(to))![0].length > indent
  ) {
    to = afterLine(text, to);
  }
  let after = text.slice(to);
  // Not two blank lines where one was on either side.
  if (/(^|\n)\r?\n$/.test(text.slice(0, from))) {
    after = after.replace(/^(?:[ \t]*\r?\n)+/, "");
  }
  if (list.items.length > 1) return text.slice(0, from) + after;
  const keyLine = text.slice(0, from).search(/^peers[ \t]*:/m);
  if (keyLine < 0) return undefined;
  const colon = text.indexOf(":", keyLine) + 1;
  return `${text.slice(0, colon)} []${text.slice(colon, from)}${after}`;
}

function nameOf(item: unknown): string | undefined {
  const name = isMap(item) ? item.get("name") : undefined;
  return typeof name === "string" ? name.toLowerCase() : undefined;
}

/** The blanks before the dashes of a list. */
function indentOf(text: string, list: YAMLSeq): string {
  return /^[ \t]*/.exec(text.slice(lineStart(text, list.range![0])))![0];
}

/** Where the last character of a node stands; its range may go on over blank lines. */
function lastCharacter(text: string, node: Node): number {
  return text.slice(0, node.range![1]).trimEnd().length - 1;
}

function lineStart(text: string, at: number): number {
  return text.lastIndexOf("\n", at - 1) + 1;
}

function lineBefore(text: string, start: number): number | undefined {
  return start === 0 ? undefined : lineStart(text, start - 1);
}

/** The offset of the line's end, its `\r` and `\n` not included. */
function lineEnd(text: string, at: number): number {
  const newline = text.indexOf("\n", at);
  if (newline < 0) return text.length;
  return text[newline - 1] === "\r" ? newline - 1 : newline;
}

/** Where the next line begins. */
function afterLine(text: string, at: number): number {
  const newline = text.indexOf("\n", at);
  return newline < 0 ? text.length : newline + 1;
}
