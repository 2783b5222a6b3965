/**
 * DNS servers asked by UDP and TCP (RFC 1035 section 4.2). Each UDP question
 * has a socket of its own, so that its port is as unpredictable as its id (RFC
 * 5452), and takes answers from the server alone.
 */
import { readStreamMessage, writeStreamMessage } from "../dns_stream.ts";

/** A DNS server. */
export interface DnsServerAddress {
  /** An IP address as text. */
  readonly hostname: string;
  readonly port: number;
}

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
   * @returns the first answer with the question's id; undefined where none came.
   */
  ask(
    upstream: number,
    transport: "udp" | "tcp",
    message: Uint8Array,
    timeoutMs: number,
  ): Promise<Uint8Array | undefined> {
    const server = this.#servers[upstream];
    return transport === "udp"
      ? askUdp(server, message, timeoutMs)
      : askTcp(server, message, timeoutMs);
  }
}

async function askUdp(
  server: DnsServerAddress,
  message: Uint8Array,
  timeoutMs: number,
): Promise<Uint8Array | undefined> {
  const hostname = server.hostname.includes(":") ? "::" : "0.0.0.0";
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  const timer = setTimeout(() => socket.close(), timeoutMs);
  try {
    await socket.send(message, { transport: "udp", ...server });
    for (;;) {
      const [answer, from] = await socket.receive();
      const sender = from as Deno.NetAddr;
      if (
        sender.hostname === server.hostname && sender.port === server.port &&
        answer[0] === message[0] && answer[1] === message[1]
      ) return answer;
    }
  } catch {
    return undefined; // closed by the timer, or refused by the system
  } finally {
    clearTimeout(timer);
    try {
      socket.close();
    } catch {
      // The timer has closed it.
    }
  }
}

async function askTcp(
  server: DnsServerAddress,
  message: Uint8Array,
  timeoutMs: number,
): Promise<Uint8Array | undefined> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    using connection = await Deno.connect({ ...server, signal });
    const abort = () => connection.close();
    signal.addEventListener("abort", abort, { once: true });
    try {
      await writeStreamMessage(connection, message);
      return await readStreamMessage(connection);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  } catch {
    return undefined;
  }
}
