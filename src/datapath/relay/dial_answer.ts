/**
 * What a client hears of a dial that failed: what it would have heard from the
 * destination, or from a router on the way, without a relay between.
 */
import * as icmp from "../../core/wire/icmp.ts";
import {
  emitError4,
  emitError6,
  MAX_ERROR_6,
} from "../../core/wire/icmp_error.ts";
import * as icmpv6 from "../../core/wire/icmpv6.ts";
import { emitReset } from "../../core/wire/tcp.ts";
import type { DialFailureKind } from "../../io/ports/dialer.ts";

/** The forms that an answer takes. */
type Answer = "reset" | "silence" | {
  readonly code4: number;
  readonly code6: number;
};

/**
 * Proxies' own troubles end the client's attempt at once, since another one
 * would meet the same. What may pass by itself is answered by silence: then the
 * client's system tries again, later and later.
 */
const ANSWERS: Readonly<Record<DialFailureKind, Answer>> = {
  "refused": "reset",
  "reset": "reset",
  "host-unreachable": {
    code4: icmp.Unreachable.Host,
    code6: icmpv6.Unreachable.Address,
  },
  "network-unreachable": {
    code4: icmp.Unreachable.Network,
    code6: icmpv6.Unreachable.NoRoute,
  },
  "unsupported": {
    code4: icmp.Unreachable.Network,
    code6: icmpv6.Unreachable.NoRoute,
  },
  "not-permitted": {
    code4: icmp.Unreachable.AdministrativelyProhibited,
    code6: icmpv6.Unreachable.AdministrativelyProhibited,
  },
  "timed-out": "silence",
  "system": "silence",
  "no-descriptor": "silence",
  "proxy-unreachable": "reset",
  "proxy-closed": "reset",
  "proxy-garbage": "reset",
  "proxy-auth": "reset",
  "proxy-refused": "reset",
};

/** Who answers: the source of ICMP errors, absent where there is none in a family. */
export interface AnswerSource {
  readonly address4: number | undefined;
  /** Four address words. */
  readonly address6: Int32Array | undefined;
}

/** Bytes that an answer may need. */
export const ANSWER_LENGTH = MAX_ERROR_6;

/**
 * Writes the packet that answers a SYN whose dial failed.
 * @param out {@linkcode ANSWER_LENGTH} bytes
 * @param syn the client's own SYN, a whole IP packet
 * @returns bytes written; 0 where silence is the answer
 */
export function emitDialAnswer(
  out: Uint8Array,
  syn: Uint8Array,
  kind: DialFailureKind,
  source: AnswerSource,
): number {
  const answer = ANSWERS[kind];
  if (answer === "silence") return 0;
  if (answer !== "reset") {
    const { address4, address6 } = source;
    if (syn[0] >>> 4 === 4 && address4 !== undefined) {
      const type = icmp.Type.DestinationUnreachable;
      const { code4 } = answer;
      return emitError4(out, 0, address4, type, code4, 0, syn, 0, syn.length);
    }
    if (syn[0] >>> 4 === 6 && address6 !== undefined) {
      const type = icmpv6.Type.DestinationUnreachable;
      const { code6 } = answer;
      return emitError6(out, 0, address6, type, code6, 0, syn, 0, syn.length);
    }
  }
  return emitReset(out, 0, syn, 0);
}
