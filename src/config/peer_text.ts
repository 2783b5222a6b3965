/** Adds and removes peers in the text of a server.yaml; see list_text.ts. */
import { isMap, isSeq, parseDocument, stringify } from "yaml";
import { withItem, withoutItem } from "./list_text.ts";

/** A peer as it is written into the file; absent keys are left out. */
export interface PeerEntry {
  readonly name: string;
  /** Base64. */
  readonly publicKey: string;
  readonly presharedKey?: string;
  /** `address/length`. */
  readonly addresses: readonly string[];
}

/** The text with one peer more, at the end of `peers`. */
export function withPeer(text: string, entry: PeerEntry): string {
  return withItem(text, {
    key: "peers",
    value: entry,
    lines: entryLines(entry),
  });
}

/** The text without the peer of that name; undefined where there is none. */
export function withoutPeer(text: string, name: string): string | undefined {
  const peers = parseDocument(text).get("peers");
  if (!isSeq(peers)) return undefined;
  const index = peers.items.findIndex((item) =>
    nameOf(item) === name.toLowerCase()
  );
  return index < 0 ? undefined : withoutItem(text, "peers", index);
}

function entryLines(entry: PeerEntry): string[] {
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
  return lines;
}

function nameOf(item: unknown): string | undefined {
  const name = isMap(item) ? item.get("name") : undefined;
  return typeof name === "string" ? name.toLowerCase() : undefined;
}
