/**
 * Asks the echo peer past all tunnels, as the client's own sockets go: with its
 * mark, or by the interface that it leaves by. So it learns what has arrived, and
 * from which address direct traffic comes.
 */
import { isMappedIpv4 } from "../core/wire/address.ts";
import { openPlatform } from "../io/platform.ts";
import type { SocketOrigin, StreamSockets } from "../io/ports.ts";
import { CLIENT_MARK } from "./client_mark.ts";
import {
  type Arrival,
  formatQuestion,
  parseArrivals,
  REPORT,
} from "./leaktest_message.ts";

/** What the peer said. */
export interface DirectReport {
  readonly arrivals: readonly Arrival[];
  /** Sources of these questions themselves, where they went direct. */
  readonly sources: readonly string[];
  /** What the user should know of it. */
  readonly note: string | undefined;
}

const ATTEMPTS = 6;
const ANSWER_MS = 300;
const STEP_MS = 20;
const LARGEST_DATAGRAM = 65_536;

/** Asks each of the peer's addresses. */
export async function askDirectly(
  { run, hosts, port, egress }: {
    readonly run: string;
    readonly hosts: readonly Int32Array[];
    readonly port: number;
    /** Names of interfaces that the running client leaves by. */
    readonly egress: Readonly<Record<4 | 6, string | undefined>>;
  },
): Promise<DirectReport> {
  using platform = openPlatform();
  const isMarked = platform.ownPackets === "marked";
  const mayGoPast = platform.readPrivileges().netAdmin;
  const sockets = platform.openStreamSockets();
  const originTo = (words: Int32Array): SocketOrigin =>
    isMarked
      ? { mark: CLIENT_MARK }
      : { interfaceName: egress[isMappedIpv4(words) ? 4 : 6] };
  const answers = await Promise.all(hosts.map(async (words) => ({
    words,
    arrivals: await ask(sockets, {
      words,
      port,
      question: formatQuestion({ run, number: REPORT }),
      origin: mayGoPast ? originTo(words) : {},
    }),
  })));
  const arrivals = answers.flatMap(({ arrivals }) => arrivals);
  const own = arrivals.filter(({ number }) => number === REPORT);
  return {
    arrivals: arrivals.filter(({ number }) => number !== REPORT),
    sources: mayGoPast ? own.map(({ source }) => source) : [],
    note: own.length < hosts.length
      ? "the peer's report did not come: what it prints itself is the truth"
      : mayGoPast
      ? undefined
      : "without an administrator's rights the address of direct traffic is not known: give --direct",
  };
}

interface Question {
  readonly words: Int32Array;
  readonly port: number;
  readonly question: string;
  readonly origin: SocketOrigin;
}

async function ask(
  sockets: StreamSockets,
  { words, port, question, origin }: Question,
): Promise<Arrival[]> {
  const family = isMappedIpv4(words) ? 4 : 6;
  const descriptor = sockets.openDatagram(family, origin);
  if (descriptor < 0) return [];
  const sent = new TextEncoder().encode(question);
  const received = new Uint8Array(LARGEST_DATAGRAM);
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      sockets.sendTo(descriptor, sent, sent.length, words, port);
      for (let waited = 0; waited < ANSWER_MS; waited += STEP_MS) {
        await new Promise((resolve) => setTimeout(resolve, STEP_MS));
        const length = sockets.receiveFrom(
          descriptor,
          received,
          received.length,
        );
        if (length <= 0) continue;
        return parseArrivals(
          new TextDecoder().decode(received.subarray(0, length)),
        );
      }
    }
    return [];
  } finally {
    sockets.close(descriptor);
  }
}
