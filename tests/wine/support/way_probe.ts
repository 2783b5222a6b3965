/**
 * A program on a Windows machine that asks whom the internet sees: by TCP, UDP
 * and DNS, once for each line of its standard input; an answer is a line of JSON.
 * A test starts copies of deno.exe under names of their own with it.
 *
 *     line      {"address": "198.51.100.10", "port": 7000, "resolver": "198.51.100.53"}
 *     answer    {"tcp": "10.2.0.1", "udp": "10.2.0.1", "dns": "10.2.0.1"}, null where nothing came
 */

/** What is asked. */
export interface ProbeQuestion {
  readonly address: string;
  readonly port: number;
  readonly resolver: string;
  /** Bytes of the datagram, more than a packet holds for one in pieces. */
  readonly datagram?: number;
  /** How long an answer may take, in ms. */
  readonly patienceMs?: number;
}

/** Whom the internet saw. */
export interface ProbeAnswer {
  readonly tcp: string | null;
  readonly udp: string | null;
  readonly dns: string | null;
}

/** TXT of who.example, class IN. */
const QUESTION = Uint8Array.from([
  ...[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0],
  ...[3, 119, 104, 111, 7, 101, 120, 97, 109, 112, 108, 101, 0],
  ...[0, 16, 0, 1],
]);
const PATIENCE_MS = 4000;
const TRIES = 3;

async function byTcp({ address, port }: ProbeQuestion): Promise<string> {
  using connection = await Deno.connect({ hostname: address, port });
  await connection.write(new TextEncoder().encode("GET / HTTP/1.0\r\n\r\n"));
  const text = await new Response(connection.readable).text();
  return text.trim().split("\n").at(-1)!.trim();
}

async function byUdp(
  address: string,
  port: number,
  bytes: Uint8Array,
  patienceMs: number,
): Promise<Uint8Array> {
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: address.includes(":") ? "::" : "0.0.0.0",
    port: 0,
  });
  // A datagram may be lost; whoever asks by UDP asks again.
  const send = () =>
    void socket.send(bytes, { transport: "udp", hostname: address, port })
      .catch(() => {});
  const timer = setInterval(send, patienceMs / TRIES);
  try {
    send();
    return (await socket.receive())[0];
  } finally {
    clearInterval(timer);
    socket.close();
  }
}

async function within<T>(
  answer: Promise<T>,
  patienceMs: number,
): Promise<T | null> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const end = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), patienceMs);
  });
  try {
    return await Promise.race([answer.catch(() => null), end]);
  } finally {
    clearTimeout(timer);
  }
}

async function probe(question: ProbeQuestion): Promise<ProbeAnswer> {
  const { address, port, resolver, datagram = 6 } = question;
  const { patienceMs = PATIENCE_MS } = question;
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  const data = new Uint8Array(datagram).fill(104);
  const [tcp, udp, dns] = await Promise.all([
    within(byTcp(question), patienceMs),
    within(byUdp(address, port, data, patienceMs).then(text), patienceMs),
    within(
      byUdp(resolver, 53, QUESTION, patienceMs).then((bytes) =>
        // The text is the answer's last field, behind its length.
        text(bytes.subarray(bytes.length - bytes[lengthAt()]))
      ),
      patienceMs,
    ),
  ]);
  return { tcp, udp, dns };
}

/** Where the length of the first answer's text lies. */
function lengthAt(): number {
  // Behind the question: name (a pointer), type, class, TTL, length.
  return QUESTION.length + 2 + 2 + 2 + 4 + 2;
}

if (import.meta.main) {
  console.log("ready");
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
  let rest = "";
  for await (const text of lines) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    for (const line of parts) {
      console.log(JSON.stringify(await probe(JSON.parse(line))));
    }
  }
  Deno.exit(0);
}
