/** The journal of a resolv.conf that was taken over, read as if a stranger had written it. */
import { decodeBase64, encodeBase64 } from "./base64.ts";
import type { FileContent } from "../../io/ports/replaceable_file.ts";

/** What can be put back. */
export type Replaced = Exclude<FileContent, { readonly kind: "other" }>;

/** What was taken over, by whom, and what stands there instead. */
export interface Takeover {
  readonly owner: string;
  readonly path: string;
  readonly original: Replaced;
  readonly ours: Uint8Array;
}

const VERSION = 1;

/** The journal's text. */
export function formatTakeover(takeover: Takeover): string {
  const { owner, path, original, ours } = takeover;
  return JSON.stringify({
    version: VERSION,
    owner,
    path,
    original: original.kind === "file"
      ? { ...original, bytes: encodeBase64(original.bytes) }
      : original,
    ours: encodeBase64(ours),
  }) + "\n";
}

/** @returns undefined for what makes no sense. */
export function parseTakeover(text: string): Takeover | undefined {
  const value = parseObject(text);
  if (value?.version !== VERSION) return undefined;
  const { owner, path } = value;
  const original = readOriginal(value.original);
  const ours = readBytes(value.ours);
  if (typeof owner !== "string" || typeof path !== "string") return undefined;
  if (original === undefined || ours === undefined) return undefined;
  return { owner, path, original, ours };
}

function readOriginal(value: unknown): Replaced | undefined {
  if (!isRecord(value)) return undefined;
  switch (value.kind) {
    case "missing":
      return { kind: "missing" };
    case "link": {
      const { target } = value;
      return typeof target === "string" && target !== ""
        ? { kind: "link", target }
        : undefined;
    }
    case "file": {
      const { mode, userId, groupId } = value;
      const bytes = readBytes(value.bytes);
      if (bytes === undefined || !isCount(mode)) return undefined;
      const ids = { ...idOf("userId", userId), ...idOf("groupId", groupId) };
      return { kind: "file", bytes, mode, ...ids };
    }
    default:
      return undefined;
  }
}

function readBytes(value: unknown): Uint8Array | undefined {
  return typeof value === "string" ? decodeBase64(value) : undefined;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function idOf(key: string, value: unknown): Record<string, number> {
  return isCount(value) ? { [key]: value } : {};
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
