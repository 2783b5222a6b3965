/**
 * Tells whoever asks from which address it sees him: TCP (an HTTP answer), UDP
 * (a datagram), DNS by both (TXT and A of any name). One argument: JSON with `address`,
 * `port` and `dnsPort`.
 */
import { DNS_HEADER_LENGTH, parseDns } from "../../src/core/wire/dns.ts";
import { emitDnsAnswer } from "../../src/core/wire/dns_emit.ts";
import {
  readStreamMessage,
  writeStreamMessage,
} from "../../src/io/dns_stream.ts";
import { accepted } from "../../src/io/accepted.ts";

const TXT = 16;
const A = 1;
const { address, port, dnsPort } = JSON.parse(Deno.args[0]);
const encoder = new TextEncoder();

async function serveTcp(): Promise<void> {
  for await (
    const connection of accepted(Deno.listen({ hostname: address, port }))
  ) {
    const { hostname } = connection.remoteAddr as Deno.NetAddr;
    const answer = encoder.encode(
      `HTTP/1.0 200 OK\r\ncontent-length: ${
        hostname.length + 1
      }\r\n\r\n${hostname}\n`,
    );
    connection.read(new Uint8Array(1024))
      .then(() => connection.write(answer))
      .then(() => connection.closeWrite())
      .then(() => connection.read(new Uint8Array(1024)))
      .catch(() => {})
      .finally(() => connection.close());
  }
}

async function serveUdp(
  at: number,
  answer: (bytes: Uint8Array, source: string) => Uint8Array | undefined,
): Promise<void> {
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: address,
    port: at,
  });
  for await (const [bytes, from] of socket) {
    const reply = answer(bytes, (from as Deno.NetAddr).hostname);
    if (reply !== undefined) await socket.send(reply, from).catch(() => {});
  }
}

/** TXT says who asked; A leads here. */
function answerDns(bytes: Uint8Array, source: string): Uint8Array | undefined {
  const message = parseDns(bytes);
  if (message === undefined || message.response) return undefined;
  console.log(`question ${message.name} from ${source}`);
  const data = message.type === TXT
    ? Uint8Array.of(source.length, ...encoder.encode(source))
    : message.type === A && !address.includes(":")
    ? Uint8Array.from(address.split(".").map(Number))
    : undefined;
  return emitDnsAnswer(message, {
    responseCode: 0,
    answers: data === undefined
      ? []
      : [{ nameAt: DNS_HEADER_LENGTH, type: message.type, ttl: 60, data }],
  });
}

async function serveDnsTcp(): Promise<void> {
  const listener = Deno.listen({ hostname: address, port: dnsPort });
  for await (const connection of accepted(listener)) {
    const { hostname } = connection.remoteAddr as Deno.NetAddr;
    void (async () => {
      for (;;) {
        const question = await readStreamMessage(connection);
        const answer = question && answerDns(question, hostname);
        if (answer === undefined) break;
        await writeStreamMessage(connection, answer);
      }
    })().catch(() => {}).finally(() => connection.close());
  }
}

void serveTcp();
void serveDnsTcp();
void serveUdp(port, (_bytes, source) => encoder.encode(`${source}\n`));
void serveUdp(dnsPort, answerDns);
console.log("listening");
