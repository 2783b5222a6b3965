/** What one flow waits for: echoes over a kept connection, new connections, new UDP flows. */
import { within } from "../wait.ts";

const QUESTION = new Uint8Array(16).fill(63);

/** Ping-pong of so many bytes over one kept connection to a server that echoes; times in ms. */
export async function tcpEchoTimes(
  argument: {
    readonly address: string;
    readonly port: number;
    readonly size: number;
    readonly count: number;
  },
): Promise<number[]> {
  const { address: hostname, port, size, count } = argument;
  using connection = await Deno.connect({ hostname, port });
  connection.setNoDelay(true);
  const bytes = new Uint8Array(size).fill(97);
  const answer = new Uint8Array(size);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await connection.write(bytes);
    for (let at = 0; at < size;) {
      const length = await connection.read(answer.subarray(at));
      if (length === null) throw new Error("the server ended the connection");
      at += length;
    }
    times.push(performance.now() - start);
  }
  return times;
}

/** Connects so often, one after the other; the time of each in ms. */
export async function tcpConnectTimes(
  argument: {
    readonly address: string;
    readonly port: number;
    readonly count: number;
  },
): Promise<number[]> {
  const { address: hostname, port, count } = argument;
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    using _connection = await Deno.connect({ hostname, port });
    times.push(performance.now() - start);
  }
  return times;
}

/** How a run of new UDP flows went. */
export interface UdpFlowCount {
  /** Flows whose datagram was echoed. */
  readonly answered: number;
  readonly lost: number;
  readonly durationMs: number;
}

/** New UDP flows to an echo server, `together` at a time: a socket and a datagram each. */
export async function udpFlows(
  argument: {
    readonly address: string;
    readonly port: number;
    readonly seconds: number;
    readonly together: number;
    /** Without an answer for so long a flow counts as lost, in ms. */
    readonly timeoutMs: number;
  },
): Promise<UdpFlowCount> {
  const { address: hostname, port, timeoutMs } = argument;
  const to: Deno.NetAddr = { transport: "udp", hostname, port };
  const started = performance.now();
  const deadline = started + argument.seconds * 1000;
  let answered = 0, lost = 0, lastEnd = started;
  const begin = async () => {
    while (performance.now() < deadline) {
      const { socket, answer } = ask(to);
      const got = await within(timeoutMs, answer);
      socket.close();
      if (got === undefined) lost++;
      else {
        answered++;
        lastEnd = performance.now();
      }
    }
  };
  await Promise.all(Array.from({ length: argument.together }, begin));
  return { answered, lost, durationMs: lastEnd - started };
}

/** UDP sockets that stay, each with a flow of its own. */
const held: Deno.DatagramConn[] = [];

/** Opens so many UDP flows that stay, `together` at a time. @returns those whose datagram was echoed. */
export async function udpHold(
  argument: {
    readonly address: string;
    readonly port: number;
    readonly count: number;
    readonly together: number;
    readonly timeoutMs: number;
  },
): Promise<number> {
  const { address: hostname, port, count, timeoutMs } = argument;
  let begun = 0, echoed = 0;
  const begin = async () => {
    while (begun++ < count) {
      const { socket, answer } = ask({ transport: "udp", hostname, port });
      held.push(socket);
      if (await within(timeoutMs, answer) !== undefined) echoed++;
    }
  };
  await Promise.all(Array.from({ length: argument.together }, begin));
  return echoed;
}

/** Closes the UDP sockets that stay. */
export function udpRelease(_argument: null): void {
  for (const socket of held.splice(0)) socket.close();
}

/** A new socket's question; `answer` is undefined where the socket fails. */
function ask(to: Deno.NetAddr) {
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: "0.0.0.0",
    port: 0,
  });
  const answer = socket.send(QUESTION, to)
    .then(() => socket.receive(new Uint8Array(64)))
    .catch(() => undefined);
  return { socket, answer };
}
