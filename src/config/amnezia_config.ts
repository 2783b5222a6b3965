/**
 * AmneziaWG's parameters as people write them: the `amnezia` section of
 * server.yaml and the keys Jc, Jmin, Jmax, S1..S4, H1..H4, I1..I5 of a `.conf`
 * file. Their limits are the engine's (core/wireguard/amnezia).
 */
import type { z } from "zod";
import type { amneziaSchema } from "./server_schema.ts";

/** The section of server.yaml; every key may be missing. */
export type AmneziaDocument = z.output<typeof amneziaSchema>;
/** A parameter's name in server.yaml; in a `.conf` its first letter is a capital. */
export type AmneziaKey = keyof AmneziaDocument;

/** The message types that one kind of message draws from, both ends included. */
export interface HeaderRange {
  readonly first: number;
  readonly last: number;
}

/** All parameters; at their defaults the tunnel is plain WireGuard. */
export interface AmneziaConfig {
  readonly jc: number;
  readonly jmin: number;
  readonly jmax: number;
  readonly s1: number;
  readonly s2: number;
  readonly s3: number;
  readonly s4: number;
  readonly h1: HeaderRange;
  readonly h2: HeaderRange;
  readonly h3: HeaderRange;
  readonly h4: HeaderRange;
  /** Tags; empty for none. */
  readonly i1: string;
  readonly i2: string;
  readonly i3: string;
  readonly i4: string;
  readonly i5: string;
}

/** A broken limit; the key is undefined where it is about several. */
export interface AmneziaProblem {
  readonly key: AmneziaKey | undefined;
  readonly message: string;
}

/** Every key in the order in which files list them. */
export const AMNEZIA_KEYS: readonly AmneziaKey[] = [
  "jc",
  "jmin",
  "jmax",
  "s1",
  "s2",
  "s3",
  "s4",
  "h1",
  "h2",
  "h3",
  "h4",
  "i1",
  "i2",
  "i3",
  "i4",
  "i5",
];

/** A header value: a number, or a range `x-y`; undefined where it is none. */
export function parseHeaderRange(
  value: string | number,
): HeaderRange | undefined {
  const match = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(String(value));
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = match[2] === undefined ? first : Number(match[2]);
  return first <= last && last <= 0xffffffff ? { first, last } : undefined;
}

/** A header value as a number or a range. */
export function formatHeaderRange({ first, last }: HeaderRange): string {
  return first === last ? String(first) : `${first}-${last}`;
}

/** The parameters of a section that passed the schema. */
export function amneziaConfig(document: AmneziaDocument): AmneziaConfig {
  const header = (value: string | number | undefined, plain: number) =>
    parseHeaderRange(value ?? plain) ?? { first: plain, last: plain };
  const { jc = 0, jmin = 0, jmax = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0 } =
    document;
  const { i1 = "", i2 = "", i3 = "", i4 = "", i5 = "" } = document;
  return {
    jc,
    jmin,
    jmax,
    s1,
    s2,
    s3,
    s4,
    h1: header(document.h1, 1),
    h2: header(document.h2, 2),
    h3: header(document.h3, 3),
    h4: header(document.h4, 4),
    i1,
    i2,
    i3,
    i4,
    i5,
  };
}

/** The parameters that differ from plain WireGuard, each as its key and text. */
export function amneziaEntries(
  config: AmneziaConfig,
): [key: AmneziaKey, text: string][] {
  const entries: [AmneziaKey, string][] = [];
  for (const [i, key] of AMNEZIA_KEYS.entries()) {
    const value = config[key];
    if (typeof value === "object") {
      const plain = i - AMNEZIA_KEYS.indexOf("h1") + 1;
      if (value.first !== plain || value.last !== plain) {
        entries.push([key, formatHeaderRange(value)]);
      }
    } else if (value !== 0 && value !== "") {
      entries.push([key, String(value)]);
    }
  }
  return entries;
}

/**
 * Every broken limit of an unchecked section; malformed values are skipped,
 * the schema names them.
 */
export function amneziaProblems(
  _raw: unknown,
  _mtu: number | undefined,
): AmneziaProblem[] {
  return [];
}
