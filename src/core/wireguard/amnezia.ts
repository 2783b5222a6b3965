/**
 * AmneziaWG's parameters (versions 1.0, 1.5 and 2.0): what they are, their
 * limits, and the message format that follows from them. With the defaults the
 * protocol is WireGuard.
 *
 * | parameters | since | meaning |
 * | --- | --- | --- |
 * | Jc, Jmin, Jmax | 1.0 | junk datagrams before an initiation: count, lengths |
 * | S1, S2 | 1.0 | random bytes before an initiation, a response |
 * | H1..H4 | 1.0 | types of the four messages; since 2.0 each may be a range |
 * | I1..I5 | 1.5 | datagrams before the junk, described by tags |
 * | S3, S4 | 2.0 | random bytes before a cookie reply, a transport message |
 */
import type { MessageFormat } from "./classify.ts";
import {
  MAX_DATAGRAM,
  packetTemplateLength,
  parsePacketTemplate,
} from "./amnezia_packets.ts";
import {
  COOKIE_LENGTH,
  INITIATION_LENGTH,
  RESPONSE_LENGTH,
  TRANSPORT_MINIMUM,
} from "./messages.ts";

/** The values that a message's type may have, both ends included. */
export interface HeaderRange {
  readonly first: number;
  readonly last: number;
}

/** All parameters, under the names that `.conf` files have. */
export interface AmneziaParameters {
  readonly Jc: number;
  readonly Jmin: number;
  readonly Jmax: number;
  readonly S1: number;
  readonly S2: number;
  readonly S3: number;
  readonly S4: number;
  readonly H1: HeaderRange;
  readonly H2: HeaderRange;
  readonly H3: HeaderRange;
  readonly H4: HeaderRange;
  /** Tag texts; empty: no datagram. */
  readonly I1: string;
  readonly I2: string;
  readonly I3: string;
  readonly I4: string;
  readonly I5: string;
}

/** The name of one parameter. */
export type AmneziaParameter = keyof AmneziaParameters;

/** One broken limit. */
export interface AmneziaViolation {
  readonly parameter: AmneziaParameter;
  /** Names the parameter, its value and the limit. */
  readonly message: string;
}

/** WireGuard itself. */
export const PLAIN_WIREGUARD: AmneziaParameters = {
  Jc: 0,
  Jmin: 0,
  Jmax: 0,
  S1: 0,
  S2: 0,
  S3: 0,
  S4: 0,
  H1: { first: 1, last: 1 },
  H2: { first: 2, last: 2 },
  H3: { first: 3, last: 3 },
  H4: { first: 4, last: 4 },
  I1: "",
  I2: "",
  I3: "",
  I4: "",
  I5: "",
};

/** The largest datagram of which AmneziaWG's prefixes leave room for the message. */
const PREFIX_BUDGET = 1280;
const HEADERS = ["H1", "H2", "H3", "H4"] as const;
const TEMPLATES = ["I1", "I2", "I3", "I4", "I5"] as const;
const PREFIXES = [
  ["S1", INITIATION_LENGTH],
  ["S2", RESPONSE_LENGTH],
  ["S3", COOKIE_LENGTH],
  ["S4", TRANSPORT_MINIMUM],
] as const;

/** Reads "5" or "5-10". @returns undefined where it is neither. */
export function parseHeaderRange(text: string): HeaderRange | undefined {
  const match = /^\s*(\d{1,10})\s*(?:-\s*(\d{1,10})\s*)?$/.exec(text);
  if (match === null) return undefined;
  const first = Number(match[1]);
  return { first, last: match[2] === undefined ? first : Number(match[2]) };
}

/** Writes "5" or "5-10". */
export function formatHeaderRange(range: HeaderRange): string {
  return range.first === range.last
    ? `${range.first}`
    : `${range.first}-${range.last}`;
}

/**
 * Checks the limits.
 * @param mtu of the tunnel's interface, bytes.
 * @returns one entry for each violation; empty where all is well.
 */
export function validateAmnezia(
  parameters: AmneziaParameters,
  options: { mtu: number },
): AmneziaViolation[] {
  const violations: AmneziaViolation[] = [];
  const report = (parameter: AmneziaParameter, message: string) => {
    violations.push({ parameter, message: `${parameter} ${message}` });
  };
  checkJunk(parameters, options.mtu, report);
  for (const [name, length] of PREFIXES) {
    const limit = PREFIX_BUDGET - length;
    if (!isWhole(parameters[name], 0, limit)) {
      report(
        name,
        `= ${parameters[name]}: must be a whole number from 0 to ${limit}`,
      );
    }
  }
  if (parameters.S1 + INITIATION_LENGTH === parameters.S2 + RESPONSE_LENGTH) {
    report(
      "S2",
      `= ${parameters.S2}: must not be S1 + 56 = ${parameters.S1 + 56}, ` +
        "else initiations and responses have the same length",
    );
  }
  checkHeaders(parameters, report);
  for (const name of TEMPLATES) {
    const template = parsePacketTemplate(parameters[name]);
    if (typeof template === "string") {
      report(name, `= ${abridge(parameters[name])}: ${template}`);
    } else if (packetTemplateLength(template) > MAX_DATAGRAM) {
      const length = packetTemplateLength(template);
      report(
        name,
        `gives ${length} bytes: a datagram has at most ${MAX_DATAGRAM}`,
      );
    }
  }
  return violations;
}

/** The outside of the messages for valid parameters. */
export function messageFormat(parameters: AmneziaParameters): MessageFormat {
  const { S1, S2, S3, S4, H1, H2, H3, H4 } = parameters;
  return {
    prefix: Int32Array.of(S1, S2, S3, S4),
    headerFirst: Uint32Array.of(H1.first, H2.first, H3.first, H4.first),
    headerLast: Uint32Array.of(H1.last, H2.last, H3.last, H4.last),
  };
}

type Report = (parameter: AmneziaParameter, message: string) => void;

function checkJunk(
  parameters: AmneziaParameters,
  mtu: number,
  report: Report,
): void {
  const { Jc, Jmin, Jmax } = parameters;
  if (!isWhole(Jc, 0, 128)) {
    report(
      "Jc",
      `= ${Jc}: must be a whole number from 1 to 128, or 0 for no junk`,
    );
  }
  if (!isWhole(Jmax, 0, mtu - 1)) {
    report("Jmax", `= ${Jmax}: must be a whole number below the MTU of ${mtu}`);
  }
  if (!isWhole(Jmin, 0, mtu - 1)) {
    report("Jmin", `= ${Jmin}: must be a whole number below the MTU of ${mtu}`);
  } else if (Jmin > Jmax) {
    report("Jmin", `= ${Jmin}: must not be greater than Jmax = ${Jmax}`);
  }
}

function checkHeaders(parameters: AmneziaParameters, report: Report): void {
  for (const [i, name] of HEADERS.entries()) {
    const range = parameters[name];
    const text = formatHeaderRange(range);
    if (
      !isWhole(range.first, 1, 0xffffffff) ||
      !isWhole(range.last, 1, 0xffffffff)
    ) {
      report(
        name,
        `= ${text}: values must be whole numbers from 1 to 4294967295`,
      );
      continue;
    }
    if (range.first > range.last) {
      report(name, `= ${text}: a range must not end before it begins`);
      continue;
    }
    for (const other of HEADERS.slice(0, i)) {
      const { first, last } = parameters[other];
      if (range.first > last || first > range.last) continue;
      report(
        name,
        `= ${text}: must not overlap ${other} = ${
          formatHeaderRange(parameters[other])
        }`,
      );
    }
  }
}

function isWhole(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

function abridge(text: string): string {
  return text.length <= 40 ? text : `${text.slice(0, 37)}...`;
}
