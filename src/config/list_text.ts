/**
 * Adds items to a list of a YAML text and removes them. Only the lines of that
 * item change: comments, order and spacing of everything else stay as they
 * are, byte for byte.
 */
import {
  type Document,
  isMap,
  isSeq,
  type Node,
  parseDocument,
  type YAMLSeq,
} from "yaml";

/** An item to be added. */
export interface ListItem {
  /** The key of the list, at the top of the document. */
  readonly key: string;
  /** The item as plain values. */
  readonly value: unknown;
  /** The item as lines of YAML, `- ` before the first. */
  readonly lines: readonly string[];
  /** Where it goes: before the item that is there now; at the end without. */
  readonly index?: number;
}

const DEFAULT_INDENT = "  ";
const EMPTY_LIST = /^[ \t]*\[\s*\]/;

/** The text with one item more. */
export function withItem(text: string, item: ListItem): string {
  const document = parseDocument(text);
  const edited = insertLines(text, document, item);
  const list = document.get(item.key);
  const node = document.createNode(item.value);
  if (isSeq(list)) {
    list.flow = false;
    list.items.splice(item.index ?? list.items.length, 0, node);
  } else document.set(item.key, [node]);
  return confirmed(edited, document);
}

/** The text without the item at an index; undefined where there is none. */
export function withoutItem(
  text: string,
  key: string,
  index: number,
): string | undefined {
  const document = parseDocument(text);
  const list = document.get(key);
  if (!isSeq(list) || list.items[index] === undefined) return undefined;
  const edited = cutLines(text, list, { key, index });
  list.items.splice(index, 1);
  if (list.items.length === 0) list.flow = true;
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
  { key, lines, index }: ListItem,
): string | undefined {
  const end = text.includes("\r\n") ? "\r\n" : "\n";
  const root = document.contents;
  if (!isMap(root)) return undefined;
  const pair = root.items.find((item) => String(item.key) === key);
  if (pair === undefined) {
    const before = text === "" || text.endsWith("\n") ? text : text + end;
    return before + [`${key}:`, ...indented(lines, DEFAULT_INDENT)].join(end) +
      end;
  }
  const list = pair.value;
  if (isSeq(list) && list.items.length > 0) {
    if (list.flow) return undefined;
    const next = index === undefined ? undefined : list.items[index];
    const own = indented(lines, indentOf(text, list)).join(end);
    if (next !== undefined) {
      const at = startWithComments(
        text,
        lineStart(text, (next as Node).range![0]),
      );
      return text.slice(0, at) + own + end + text.slice(at);
    }
    const at = lineEnd(text, lastCharacter(text, list.items.at(-1) as Node));
    return text.slice(0, at) + end + own + text.slice(at);
  }
  // `key:` or `key: []`, perhaps with a comment behind it.
  const keyEnd = (pair.key as Node).range![1];
  const colon = text.indexOf(":", keyEnd) + 1;
  const tail = text.slice(colon);
  const rest = isSeq(list) ? tail.replace(EMPTY_LIST, "") : tail;
  const at = rest.search(/\r?\n|$/);
  return text.slice(0, colon) + rest.slice(0, at).trimEnd() + end +
    indented(lines, DEFAULT_INDENT).join(end) + (rest.slice(at) || end);
}

function indented(lines: readonly string[], indent: string): string[] {
  return lines.map((line) => indent + line);
}

function cutLines(
  text: string,
  list: YAMLSeq,
  { key, index }: { key: string; index: number },
): string | undefined {
  if (list.flow) return undefined;
  const item = list.items[index] as Node;
  const indent = indentOf(text, list).length;
  const from = startWithComments(text, lineStart(text, item.range![0]));
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
  const keyLine = text.slice(0, from).search(
    new RegExp(`^${key}[ \\t]*:`, "m"),
  );
  if (keyLine < 0) return undefined;
  const colon = text.indexOf(":", keyLine) + 1;
  return `${text.slice(0, colon)} []${text.slice(colon, from)}${after}`;
}

/** Comments right above an item are about it. */
function startWithComments(text: string, start: number): number {
  let from = start;
  for (
    let above = lineBefore(text, from);
    above !== undefined;
    above = lineBefore(text, from)
  ) {
    if (!/^\s*#/.test(text.slice(above, from))) break;
    from = above;
  }
  return from;
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
