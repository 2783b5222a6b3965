/**
 * A small authoritative DNS server (RFC 1035) for the outside, and a client that
 * asks over UDP or TCP. The zone is `test.`; one name is too big for UDP.
 */
import * as dnsPacket from "dns-packet";
import { within } from "../wait.ts";
import { accepted } from "../../../src/io/accepted.ts";

const TTL_SECONDS = 60;
const NEGATIVE_TTL_SECONDS = 30;
const UDP_LIMIT = 512;

/** How often each question ("A host.test udp") was answered. */
const served = new Map<string, number>();

type Answer = { type: string; name: string; ttl: number; data: unknown };

function zone(
  addresses: Record<string, string>,
  type: string,
  name: string,
): Answer[] {
  const key = name.toLowerCase();
  if (key === "big.test" && type === "TXT") {
    return Array.from({ length: 40 }, (_, i) => ({
      type,
      name,
      ttl: TTL_SECONDS,
      data: `${i} `.padEnd(100, "x"),
    }));
  }
  const address = addresses[key];
  if (address === undefined || (type === "AAAA") !== address.includes(":")) {
    return [];
  }
  if (type !== "A" && type !== "AAAA") return [];
  return [{ type, name, ttl: TTL_SECONDS, data: address }];
}

// deno-lint-ignore no-explicit-any -- the library's types are looser than its values
type Message = any;

function reply(
  query: Message,
  addresses: Record<string, string>,
  transport: "udp" | "tcp",
): Uint8Array {
  const question = query.questions[0];
  const key = `${question.type} ${question.name} ${transport}`;
  served.set(key, (served.get(key) ?? 0) + 1);
  const answers = zone(addresses, question.type, question.name);
  const known = question.name.toLowerCase() in addresses || answers.length > 0;
  const authority = {
    type: "SOA",
    name: "test",
    ttl: NEGATIVE_TTL_SECONDS,
    data: {
      mname: "ns.test",
      rname: "root.test",
      serial: 1,
      refresh: 3600,
      retry: 600,
      expire: 86400,
      minimum: NEGATIVE_TTL_SECONDS,
    },
  };
  const message = {
    type: "response",
    id: query.id,
    flags: dnsPacket.AUTHORITATIVE_ANSWER |
      (query.flags & dnsPacket.RECURSION_DESIRED),
    rcode: known ? "NOERROR" : "NXDOMAIN",
    questions: query.questions,
    answers,
    authorities: answers.length > 0 ? [] : [authority],
  } as Message;
  const bytes = encode(message, known);
  if (transport === "tcp" || bytes.length <= UDP_LIMIT) return bytes;
  const truncated = {
    ...message,
    answers: [],
    flags: message.flags | dnsPacket.TRUNCATED_RESPONSE,
  };
  return encode(truncated, known);
}

function encode(message: Message, known: boolean): Uint8Array {
  const bytes = new Uint8Array(dnsPacket.encode(message));
  if (!known) bytes[3] |= 3; // the library writes no response code
  return bytes;
}

/** Serves the zone by UDP and TCP until the agent ends. */
export function dnsServe(
  argument: {
    readonly address: string;
    readonly addresses: Record<string, string>;
  },
): void {
  const { address: hostname, addresses } = argument;
  const udp = Deno.listenDatagram({ transport: "udp", hostname, port: 53 });
  const tcp = Deno.listen({ hostname, port: 53 });
  void (async () => {
    for await (const [bytes, from] of udp) {
      await udp.send(
        reply(dnsPacket.decode(bytes as Message), addresses, "udp"),
        from,
      )
        .catch(() => 0);
    }
  })();
  void (async () => {
    for await (const connection of accepted(tcp)) {
      void serveTcp(connection, addresses).catch(() => {});
    }
  })();
}

async function serveTcp(
  connection: Deno.TcpConn,
  addresses: Record<string, string>,
): Promise<void> {
  using _closed = connection;
  while (true) {
    const query = await readFramed(connection);
    if (!query) return;
    await writeFramed(
      connection,
      reply(dnsPacket.decode(query as Message), addresses, "tcp"),
    );
  }
}

async function readFramed(
  connection: Deno.TcpConn,
): Promise<Uint8Array | undefined> {
  const header = await readExactly(connection, 2);
  return header && await readExactly(connection, header[0] << 8 | header[1]);
}

async function readExactly(
  connection: Deno.TcpConn,
  n: number,
): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(n);
  for (let at = 0; at < n;) {
    const got = await connection.read(bytes.subarray(at));
    if (got === null) return undefined;
    at += got;
  }
  return bytes;
}

async function writeFramed(
  connection: Deno.TcpConn,
  bytes: Uint8Array,
): Promise<void> {
  const framed = new Uint8Array(2 + bytes.length);
  framed[0] = bytes.length >> 8;
  framed[1] = bytes.length & 255;
  framed.set(bytes, 2);
  for (let at = 0; at < framed.length;) {
    at += await connection.write(framed.subarray(at));
  }
}

/** How often each question was answered so far, e.g. {"A host.test udp": 2}. */
export function dnsServed(_argument: null): Record<string, number> {
  return Object.fromEntries(served);
}

/** What a server answered. */
export interface DnsAnswer {
  readonly code: string;
  readonly truncated: boolean;
  readonly answers: readonly string[];
  readonly timeMs: number;
}

/** Asks one question; null where no answer comes in time. */
export async function dnsQuery(
  argument: {
    readonly server: string;
    readonly name: string;
    readonly type: "A" | "AAAA" | "TXT";
    readonly transport: "udp" | "tcp";
    readonly timeoutMs: number;
  },
): Promise<DnsAnswer | null> {
  const { server: hostname, name, type, timeoutMs } = argument;
  const query = new Uint8Array(dnsPacket.encode({
    type: "query",
    id: crypto.getRandomValues(new Uint16Array(1))[0],
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type, name }],
  } as Message));
  const start = performance.now();
  const ask = argument.transport === "udp" ? askUdp : askTcp;
  const bytes = await within(timeoutMs, ask(hostname, query));
  if (!bytes) return null;
  const message = dnsPacket.decode(bytes as Message) as Message;
  return {
    code: message.rcode,
    truncated: message.flag_tc,
    answers: message.answers.map((answer: Answer) => String(answer.data)),
    timeMs: performance.now() - start,
  };
}

async function askUdp(
  hostname: string,
  query: Uint8Array,
): Promise<Uint8Array> {
  using socket = closing(
    Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port: 0 }),
  );
  await socket.value.send(query, { transport: "udp", hostname, port: 53 });
  const [bytes] = await socket.value.receive(new Uint8Array(65536));
  return bytes;
}

function closing<T extends { close(): void }>(
  value: T,
): Disposable & { readonly value: T } {
  return { value, [Symbol.dispose]: () => value.close() };
}

async function askTcp(
  hostname: string,
  query: Uint8Array,
): Promise<Uint8Array | undefined> {
  using connection = await Deno.connect({ hostname, port: 53 });
  await writeFramed(connection, query);
  return await readFramed(connection);
}
