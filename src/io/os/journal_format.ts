/**
 * The text of a journal file, read as if a stranger had written it: a file that
 * makes no sense is reported, never thrown over and never half believed.
 */
import { isAbsolute } from "node:path";
import type { JournalEntry } from "../ports.ts";

/** A process among all that ever ran on this machine. */
export interface ProcessIdentity {
  readonly processId: number;
  /** Tells it from another process that had the same id. */
  readonly startTime: string;
  /** The boot that it belongs to, where start times alone don't tell. */
  readonly boot: string;
  /** The namespace that the process id belongs to. */
  readonly processes: string;
  /** The network namespace. */
  readonly network: string;
}

const GUID = /^\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}$/i;

/** What names of firewall rules of ours begin with: «all» is every rule to Windows. */
const OWN_RULE = "sluice ";

/** What a file said. */
export type ParsedJournal =
  | {
    readonly kind: "journal";
    readonly owner: ProcessIdentity;
    /** Entries of all scopes, in the order of their recording. */
    readonly entries: readonly JournalEntry[];
  }
  | { readonly kind: "malformed"; readonly reason: string };

/** Reads a journal file's text. */
export function parseJournal(text: string): ParsedJournal {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return malformed("not JSON");
  }
  if (!isRecord(value)) return malformed("not an object");
  if (value.version !== 1) return malformed("an unknown version");
  const owner = parseOwner(value.owner);
  if (owner === undefined) return malformed("no owner");
  if (!isRecord(value.scopes)) return malformed("no scopes");
  const entries: JournalEntry[] = [];
  for (const scope of Object.values(value.scopes)) {
    if (!Array.isArray(scope)) return malformed("a scope is not a list");
    for (const entry of scope) {
      if (!isEntry(entry)) return malformed("an entry makes no sense");
      entries.push(entry);
    }
  }
  return { kind: "journal", owner, entries };
}

function parseOwner(value: unknown): ProcessIdentity | undefined {
  if (!isRecord(value)) return undefined;
  const { processId, startTime, boot, processes, network } = value;
  return isCount(processId) && isText(startTime) && isText(boot) &&
      isText(processes) && isText(network)
    ? { processId, startTime, boot, processes, network }
    : undefined;
}

function isEntry(value: unknown): value is JournalEntry {
  if (!isRecord(value)) return false;
  switch (value.kind) {
    case "file":
      return isText(value.path) && isAbsolute(value.path);
    case "address":
      return isPlace(value) && isText(value.prefix);
    case "route":
      return isPlace(value) && isText(value.prefix) &&
        (value.metric === undefined || isCount(value.metric));
    case "reverse-path":
      return isPlace(value) && isFilter(value.value);
    case "routing-rule":
      return (value.family === 4 || value.family === 6) &&
        isCount(value.priority) && isCount(value.table);
    case "routing-table":
      return isCount(value.table);
    case "filter-table":
      return isText(value.name) && isText(value.mark);
    case "firewall-rule":
      return isText(value.name) && value.name.startsWith(OWN_RULE);
    case "name-policy":
      return isGuid(value.key);
    case "name-servers":
      return isText(value.interface) && isGuid(value.guid);
    default:
      return false;
  }
}

function isPlace(value: Record<string, unknown>): boolean {
  return isText(value.interface) && isCount(value.index);
}

/** A value that a reverse path filter may have. */
function isFilter(value: unknown): boolean {
  return value === 0 || value === 1 || value === 2;
}

function isGuid(value: unknown): boolean {
  return isText(value) && GUID.test(value);
}

function malformed(reason: string): ParsedJournal {
  return { kind: "malformed", reason };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
