/**
 * What WireSock adds to WireGuard's `.conf` files: which programs and networks
 * go through the tunnel. The keys stand behind `#@ws:`, so that other programs
 * take them for comments, or bare in older files; most belong into `[Peer]`.
 *
 * As its own interface reads them: github.com/wiresock/WireSockUI, Profile.cs.
 */
import type { ConfigProblem } from "./problems.ts";
import { suggest } from "./suggest.ts";

/** One value of a key. */
export interface WiresockValue {
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

/** What a file says to WireSock, and the rest of it. */
export interface WiresockParts {
  /** The file without those lines; every other keeps its number. */
  readonly text: string;
  readonly allowedApps: readonly WiresockValue[];
  readonly disallowedApps: readonly WiresockValue[];
  /** In place of the peer's AllowedIPs, where there are any. */
  readonly allowedIps: readonly WiresockValue[];
  readonly disallowedIps: readonly WiresockValue[];
  readonly lan: "tunnel" | "bypass";
  readonly warnings: readonly ConfigProblem[];
}

/** Keys that become rules. */
const LISTS = [
  "AllowedApps",
  "DisallowedApps",
  "AllowedIPs",
  "DisallowedIPs",
] as const;
const BYPASS_LAN = "BypassLanTraffic";
/** Keys of WireSock's that sluice has no use for. */
const UNUSED = [
  "VirtualAdapterMode",
  "EnableDefaultGateway",
  "ScriptExecTimeout",
  "Socks5Proxy",
  "Socks5ProxyUsername",
  "Socks5ProxyPassword",
  "Socks5ProxyAllTraffic",
  "Socks5Username",
  "Socks5Password",
  "Jd",
  "Id",
  "Ip",
  "Ib",
];
/** Keys that are written bare, too; AllowedIPs then is WireGuard's own. */
const BARE = [
  ...LISTS.filter((name) => name !== "AllowedIPs"),
  BYPASS_LAN,
  ...UNUSED,
];

const LINE = /^(\s*)(#@ws:)?\s*([A-Za-z0-9]+)\s*=\s*(.*?)\s*$/;

/** Takes WireSock's lines out of a file. */
export function readWiresock(text: string, file: string): WiresockParts {
  const lists: Record<typeof LISTS[number], WiresockValue[]> = {
    AllowedApps: [],
    DisallowedApps: [],
    AllowedIPs: [],
    DisallowedIPs: [],
  };
  const warnings: ConfigProblem[] = [];
  let lan: WiresockParts["lan"] = "tunnel";
  const lines = text.split("\n").map((whole, i) => {
    const match = LINE.exec(whole);
    if (match === null) {
      const marked = /^\s*#@ws:/.test(whole);
      if (marked) {
        warn(i, "", "not a line of WireSock's: write #@ws:Key = value");
      }
      return whole;
    }
    const [, , mark, key, value] = match;
    const known = knownKey(key, mark === undefined ? "bare" : "marked");
    if (known === undefined) {
      if (mark === undefined) return whole;
      warn(i, key, unknownText(key));
      return "";
    }
    const list = LISTS.find((name) => name === known);
    if (list !== undefined) {
      lists[list].push(...values(whole, value, i));
    } else if (known === BYPASS_LAN) {
      if (value.toLowerCase() === "true") lan = "bypass";
    } else warn(i, known, "is WireSock's own and not used by sluice");
    return "";
  });
  return {
    text: lines.join("\n"),
    allowedApps: lists.AllowedApps,
    disallowedApps: lists.DisallowedApps,
    allowedIps: lists.AllowedIPs,
    disallowedIps: lists.DisallowedIPs,
    lan,
    warnings,
  };

  function warn(index: number, path: string, message: string): void {
    warnings.push({ file, line: index + 1, column: 1, path, message });
  }
}

function knownKey(key: string, form: "bare" | "marked"): string | undefined {
  const names = form === "bare" ? BARE : ["AllowedIPs", ...BARE];
  return names.find((name) => name.toLowerCase() === key.toLowerCase());
}

function unknownText(key: string): string {
  const near = suggest(key, [...LISTS, BYPASS_LAN, ...UNUSED]);
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  return `unknown key of WireSock, left out${hint}`;
}

/** The items of a list, each with its column. */
function values(line: string, list: string, index: number): WiresockValue[] {
  const found: WiresockValue[] = [];
  let at = line.indexOf(list, line.indexOf("=") + 1);
  for (const part of list.split(",")) {
    const text = part.trim();
    const blanks = part.length - part.trimStart().length;
    if (text !== "") {
      found.push({ text, line: index + 1, column: at + blanks + 1 });
    }
    at += part.length + 1;
  }
  return found;
}
