/** What the demo asks by ICMP and UDP; each gives a row of its table. */
import { TUNNEL } from "../../tests/support/sluice.ts";
import { type Demo, NET, PORTS } from "./place.ts";
import { type Row, rowOfTimes } from "./table.ts";

/** The stream, in the largest datagrams that the tunnel takes whole: 84 MB at 334 Mbit/s. */
const STREAM = { size: 1392, count: 60_000, perSecond: 30_000 } as const;
/** A busy machine loses datagrams of such a rate; fewer than this are a fault. */
const STREAM_SHARE = 0.25;

export async function ping(
  demo: Demo,
  what: string,
  address: string,
): Promise<Row> {
  const { sent, answers } = await demo.client.call("icmpEcho", {
    address,
    identifier: 4711,
    count: 100,
  });
  return rowOfTimes(
    `ping ${what}`,
    address,
    sent,
    answers.map((answer) => answer.timeMs),
  );
}

export async function dns(demo: Demo, transport: "udp" | "tcp"): Promise<Row> {
  const times: number[] = [];
  const sent = 20;
  for (let i = 0; i < sent; i++) {
    const answer = await demo.client.call("dnsQuery", {
      server: TUNNEL.gateway,
      name: "host.test",
      type: "A",
      transport,
      timeoutMs: 2000,
    });
    if (answer?.answers[0] === NET.host) times.push(answer.timeMs);
  }
  return rowOfTimes(
    `DNS by ${transport.toUpperCase()}`,
    `${TUNNEL.gateway}:53`,
    sent,
    times,
  );
}

export async function udpEcho(demo: Demo, size: number): Promise<Row> {
  const { sent, times } = await demo.client.call("udpEchoTimes", {
    address: NET.host,
    port: PORTS.echo,
    size,
    count: 200,
    timeoutMs: 1000,
  });
  return rowOfTimes(
    `UDP echo, ${size} bytes`,
    `${NET.host}:${PORTS.echo}`,
    sent,
    times,
  );
}

export async function udpStream(demo: Demo): Promise<Row> {
  const counted = demo.sink.call("udpSink", {
    address: NET.host,
    port: PORTS.sink,
    idleMs: 300,
    timeoutMs: 5000,
  });
  const sent = await demo.client.call("udpFlood", {
    address: NET.host,
    port: PORTS.sink,
    ...STREAM,
  });
  const { datagrams, bytes, durationMs } = await counted;
  return {
    what: "UDP stream",
    to: `${NET.host}:${PORTS.sink}`,
    sent: sent.datagrams,
    back: datagrams,
    timesMs: [],
    megabitsPerSecond: durationMs > 0 ? bytes * 8 / durationMs / 1000 : 0,
    held: datagrams >= sent.datagrams * STREAM_SHARE,
  };
}
