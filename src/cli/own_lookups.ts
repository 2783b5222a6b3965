/**
 * Look-ups of our own where the system asks by a service for all programs. That
 * one's questions go as rules say, perhaps into the very tunnel whose other end
 * is looked for; so we ask ourselves, past the capture, whom questions that go
 * direct are asked. Names that those don't know may still be
 * in a file of the host, or of its near network.
 */
import type { Resolver } from "../control/client/client_plan.ts";
import type { HostResolver } from "../control/client/probes.ts";
import {
  type AddressWords,
  formatAddress,
  isMappedIpv4,
  parseAddress,
} from "../core/wire/address.ts";
import { isAnswerTo, RecordType } from "../core/wire/dns.ts";
import { readDnsAddresses } from "../core/wire/dns_addresses.ts";
import { emitQuestion } from "./client_question.ts";

/** What look-ups work with. */
export interface OwnLookupsOptions {
  /** Whom questions that go direct are asked, in this order. */
  readonly resolvers: () => readonly Resolver[];
  /**
   * The host's address on the way to one, so that questions go past the capture;
   * undefined for any.
   */
  readonly source: (words: Int32Array) => AddressWords | undefined;
  /** By the system, for all that is not found otherwise. */
  readonly system: HostResolver;
  /** How long one resolver may take, in ms. */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 2000;
/** A question is asked so often within that time. */
const TRIES = 3;
/** A name of one label is of the near network. */
const DOMAIN_NAME = /^([a-z0-9_-]{1,63}\.)+[a-z0-9-]{1,63}\.?$/i;
const TYPES = [RecordType.A, RecordType.AAAA] as const;

/** Look-ups by our own questions; IPv4 comes first. */
export function ownLookups(options: OwnLookupsOptions): HostResolver {
  const { resolvers, source, system, patienceMs = PATIENCE_MS } = options;
  return async (host) => {
    if (parseAddress(host) === undefined && DOMAIN_NAME.test(host)) {
      for (const resolver of resolvers()) {
        const { words } = resolver;
        const any = isMappedIpv4(words) ? "0.0.0.0" : "::";
        const own = source(words);
        const found = await askResolver(resolver, host, {
          hostname: own === undefined ? any : formatAddress(own),
          patienceMs,
        });
        if (found.length > 0) return found;
      }
    }
    return await system(host);
  };
}

/** @returns the addresses that it knows; none where it does not answer. */
async function askResolver(
  { words, port }: Resolver,
  host: string,
  { hostname, patienceMs }: { hostname: string; patienceMs: number },
): Promise<Int32Array[]> {
  const labels = host.replace(/\.$/, "").split(".");
  const questions = TYPES.map((type) => emitQuestion(labels, type));
  const answers = questions.map((): Int32Array[] | undefined => undefined);
  const socket = openSocket(hostname);
  if (socket === undefined) return [];
  const to = {
    transport: "udp",
    hostname: formatAddress(words),
    port,
  } as const;
  const send = () => {
    questions.forEach((question, i) => {
      if (answers[i] === undefined) socket.send(question, to).catch(() => {});
    });
  };
  const timer = setInterval(send, patienceMs / TRIES);
  const end = setTimeout(() => socket.close(), patienceMs);
  try {
    send();
    while (answers.includes(undefined)) {
      const [bytes] = await socket.receive();
      const i = questions.findIndex((question) => isAnswerTo(bytes, question));
      if (i >= 0) answers[i] = addressesIn(bytes);
    }
    socket.close();
  } catch {
    // Nobody answers there, or not in time.
  } finally {
    clearInterval(timer);
    clearTimeout(end);
  }
  return answers.flatMap((found) => found ?? []);
}

/** Undefined where the address has just gone. */
function openSocket(hostname: string): Deno.DatagramConn | undefined {
  try {
    return Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  } catch {
    return undefined;
  }
}

function addressesIn(bytes: Uint8Array): Int32Array[] {
  const { addresses = [] } = readDnsAddresses(bytes) ?? {};
  return addresses.map(({ words }) => Int32Array.from(words));
}
