/**
 * DNS servers asked by UDP and TCP (RFC 1035 section 4.2). Each UDP question
 * has a socket of its own, so that its port is as unpredictable as its id (RFC
 * 5452), and takes answers from the server alone.
 */
import { isAnswerTo } from "../../core/wire/dns.ts";
import { readStreamMessage, writeStreamMessage } from "../dns_stream.ts";

/** A DNS server. */
export interface DnsServerAddress {
  /** An IP address as text. */
  readonly hostname: string;
  readonly port: number;
}

/** More than an upstream may send by UDP: our queries name a limit of 1232. */
const DATAGRAM_ROOM = 4096;

/** Asks the servers of a list. */
export class DnsUpstreamSockets {
  readonly #servers: readonly DnsServerAddress[];

  constructor(servers: readonly DnsServerAddress[]) {
    this.#servers = servers;
  }

  /** How many servers there are. */
  get count(): number {
    return this.#servers.length;
  }

  /**
   * Asks one server once.
   * @param message a well-formed query.
   * @returns the first answer with its id and question; undefined where none came.
   */
  async ask(
    upstream: number,
    transport: "udp" | "tcp",
    message: Uint8Array,
    timeoutMs: number,
  ): Promise<Uint8Array | undefined> {
    const server = this.#servers[upstream];
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), timeoutMs);
    try {
      return transport === "udp"
        ? await askUdp(server, message, timeout.signal)
        : await askTcp(server, message, timeout.signal);
    } catch {
      return undefined; // the time was over, or the system refused
    } finally {
      clearTimeout(timer);
    }
  }
}

async function askUdp(
  server: DnsServerAddress,
  message: Uint8Array,
  timeout: AbortSignal,
): Promise<Uint8Array> {
  const hostname = server.hostname.includes(":") ? "::" : "0.0.0.0";
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  using _closed = closing(socket, timeout);
  await socket.send(message, { transport: "udp", ...server });
  const room = new Uint8Array(DATAGRAM_ROOM);
  for (;;) {
    const [answer, from] = await socket.receive(room);
    if (isFrom(from, server) && isAnswerTo(answer, message)) return answer;
  }
}

async function askTcp(
  server: DnsServerAddress,
  message: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const connection = await Deno.connect({ ...server, signal });
  using _closed = closing(connection, signal);
  await writeStreamMessage(connection, message);
  for (;;) {
    const answer = await readStreamMessage(connection);
    if (answer === undefined || isAnswerTo(answer, message)) return answer;
  }
}

function isFrom(from: Deno.Addr, server: DnsServerAddress): boolean {
  return from.transport === "udp" && from.port === server.port &&
    from.hostname === server.hostname;
}

/** Closes a socket when the time is over or the block ends, whichever is first. */
function closing(socket: { close(): void }, timeout: AbortSignal): Disposable {
  let open = true;
  const close = () => {
    if (open) socket.close();
    open = false;
  };
  if (timeout.aborted) close();
  timeout.addEventListener("abort", close, { once: true });
  return {
    [Symbol.dispose]() {
      timeout.removeEventListener("abort", close);
      close();
    },
  };
}
