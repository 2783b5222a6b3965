/**
 * Sends the health probes of tunnels by real sockets. What goes through a
 * packet tunnel is sent without our mark, so that the capture takes it as a
 * program's; it is pinned to its tunnel before the capture asks about it, for
 * that is asked on this thread. Proxies are spoken to as programs' connections
 * speak to them.
 */
import { formatAddress, isMappedIpv4 } from "../core/wire/address.ts";
import { parseDns } from "../core/wire/dns.ts";
import { emitDnsQuestion } from "./client_question.ts";
import { Protocol } from "../core/wire/protocol.ts";
import { HttpConnectHandshake } from "../core/proxy/http_connect.ts";
import type {
  ProxyFailureKind,
  ProxyHandshake,
  ProxyTarget,
} from "../core/proxy/handshake.ts";
import { Socks5Handshake } from "../core/proxy/socks5.ts";
import type { Resolver } from "../control/client/client_plan.ts";
import type { OwnFlows } from "../control/client/own_flows.ts";
import type { ProbeOutcome } from "../control/client/probe_outcome.ts";
import type { Prober, ProbeRequest } from "../control/client/probes.ts";
import { readStreamMessage, writeStreamMessage } from "../io/dns_stream.ts";
import { resolveHost } from "../io/resolve_host.ts";
import type { Platform } from "../io/platform.ts";
import {
  type DialerSetup,
  type EchoProbe,
  SocketError,
  type StreamSockets,
} from "../io/ports.ts";

/** What probes are sent with. */
export interface ClientProberOptions {
  readonly sockets: StreamSockets;
  readonly ownFlows: OwnFlows;
  readonly platform: Pick<Platform, "openEchoProbe">;
}

type ProxyRequest = Extract<ProbeRequest, { kind: "proxy" }>;
type ProxySetup = Exclude<DialerSetup, { kind: "direct" }>;
type PingRequest = Extract<ProbeRequest, { kind: "ping" }>;
type DirectRequest = Exclude<ProbeRequest, { kind: "proxy" }>;

const STEP_MS = 10;
const OK: ProbeOutcome = { kind: "ok" };
const UNSPECIFIED = new Int32Array([0, 0, 0xffff, 0]);
const LOOPBACK = new Int32Array([0, 0, 0xffff, 0x7f000001]);
const HTTPS_PORT = 443;
/** Failures that say that the proxy itself does its work. */
const BEYOND: readonly ProxyFailureKind[] = [
  "refused",
  "host-unreachable",
  "network-unreachable",
  "timed-out",
  "not-permitted",
  "unsupported",
  "proxy-refused",
];

/** A prober; it throws nothing, failures are outcomes. */
export function clientProber(options: ClientProberOptions): Prober {
  return async (request) => {
    const deadline = AbortSignal.timeout(request.timeoutMs);
    try {
      return request.kind === "proxy"
        ? await probeProxy(request, deadline)
        : await probeTunnel(request, deadline, options);
    } catch (error) {
      return deadline.aborted ? failed("no-answer", noAnswer(request)) : failed(
        "system",
        error instanceof Error ? error.message : String(error),
      );
    }
  };
}

function noAnswer(request: ProbeRequest): string {
  const seconds = request.timeoutMs / 1000;
  if (request.kind === "proxy" && request.setup.kind !== "direct") {
    const { host, port } = request.setup.proxy;
    return `the proxy ${host}:${port} gave no answer in ${seconds} s`;
  }
  return `no answer through it in ${seconds} s`;
}

function failed(
  cause: Extract<ProbeOutcome, { kind: "failed" }>["cause"],
  text: string,
): ProbeOutcome {
  return { kind: "failed", cause, text };
}

async function probeTunnel(
  request: DirectRequest,
  deadline: AbortSignal,
  options: ClientProberOptions,
): Promise<ProbeOutcome> {
  switch (request.kind) {
    case "dns":
      return await askResolver(request, deadline, options);
    case "connect":
      return await connectThrough(request, deadline, options);
    case "ping":
      return await pingThrough(request, deadline, options);
  }
}

/** By the system's program, which has the right to, where that takes an identifier. */
async function pingThrough(
  request: PingRequest,
  deadline: AbortSignal,
  { ownFlows, platform }: ClientProberOptions,
): Promise<ProbeOutcome> {
  const { tunnel, words } = request;
  const [identifier] = crypto.getRandomValues(new Uint16Array(1));
  const isIpv4 = isMappedIpv4(words);
  const protocol = isIpv4 ? Protocol.Icmp : Protocol.Icmpv6;
  using _pin = ownFlows.pin({ protocol, port: identifier }, tunnel);
  using probe = platform.openEchoProbe(isIpv4 ? 4 : 6);
  return probe === undefined
    ? await pingByProgram(request, identifier, deadline)
    : await pingOurselves(probe, { words, identifier }, deadline);
}

async function pingOurselves(
  probe: EchoProbe,
  { words, identifier }: { words: Int32Array; identifier: number },
  deadline: AbortSignal,
): Promise<ProbeOutcome> {
  if (!probe.send(words, identifier)) {
    return failed("system", "the system does not send a ping");
  }
  while (!deadline.aborted) {
    if (probe.isAnswered(identifier)) return OK;
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
  return failed(
    "beyond",
    `${formatAddress(words)} does not answer pings through it`,
  );
}

async function pingByProgram(
  { words, timeoutMs }: PingRequest,
  identifier: number,
  deadline: AbortSignal,
): Promise<ProbeOutcome> {
  const address = formatAddress(words);
  const seconds = Math.ceil(timeoutMs / 1000);
  const ping = new Deno.Command("ping", {
    args: [
      ...["-n", "-q", "-c", "1", "-W", String(seconds)],
      ...["-e", String(identifier), address],
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    signal: deadline,
  });
  const { code, stderr } = await ping.output().catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error("this probe takes the system's program ping: install it");
  });
  if (code === 0) return OK;
  const [reason] = new TextDecoder().decode(stderr).trim().split("\n");
  return reason === ""
    ? failed("beyond", `${address} does not answer pings through it`)
    : failed("system", reason);
}

async function askResolver(
  { tunnel, server, name }: Extract<DirectRequest, { kind: "dns" }>,
  deadline: AbortSignal,
  { ownFlows }: ClientProberOptions,
): Promise<ProbeOutcome> {
  const isIpv4 = isMappedIpv4(server.words);
  using socket = disposable(Deno.listenDatagram({
    transport: "udp",
    hostname: isIpv4 ? "0.0.0.0" : "::",
    port: 0,
  }));
  const { port } = socket.value.addr as Deno.NetAddr;
  using _pin = ownFlows.pin({ protocol: Protocol.Udp, port }, tunnel);
  const question = emitDnsQuestion(name);
  deadline.addEventListener("abort", () => socket[Symbol.dispose]());
  await socket.value.send(question, {
    transport: "udp",
    hostname: formatAddress(server.words),
    port: server.port,
  });
  for (;;) {
    const [answer] = await socket.value.receive();
    if (isAnswer(answer, question)) return OK;
  }
}

async function connectThrough(
  { tunnel, target }: Extract<DirectRequest, { kind: "connect" }>,
  deadline: AbortSignal,
  { sockets, ownFlows }: ClientProberOptions,
): Promise<ProbeOutcome> {
  const words = await resolveHost(target.host);
  const descriptor = sockets.connect(words, target.port);
  if (descriptor < 0) return failed("system", sockets.errorText(descriptor));
  const port = sockets.localPort(descriptor);
  using _pin = ownFlows.pin({ protocol: Protocol.Tcp, port }, tunnel);
  try {
    while (!deadline.aborted) {
      const result = sockets.connectResult(descriptor);
      if (result === 0) return OK;
      if (result !== -SocketError.InProgress) {
        const text = `${target.host}:${target.port} through it: ${
          sockets.errorText(result)
        }`;
        return failed("beyond", text);
      }
      await new Promise((resolve) => setTimeout(resolve, STEP_MS));
    }
    return failed("beyond", `${target.host}:${target.port} does not answer`);
  } finally {
    sockets.close(descriptor);
  }
}

async function probeProxy(
  request: ProxyRequest,
  deadline: AbortSignal,
): Promise<ProbeOutcome> {
  const { setup, ask } = request;
  if (setup.kind === "direct") return OK;
  let connection: Deno.Conn;
  try {
    connection = await connectTo(setup, deadline);
  } catch (error) {
    if (deadline.aborted) throw error;
    const { host, port } = setup.proxy;
    const reason = error instanceof Error ? error.message : String(error);
    return failed(
      error instanceof Deno.errors.ConnectionRefused ? "refused" : "no-answer",
      `the proxy ${host}:${port} can't be reached: ${reason}`,
    );
  }
  using owned = disposable(connection);
  deadline.addEventListener("abort", () => owned[Symbol.dispose]());
  const handshake = handshakeOf(setup, ask);
  await shakeHands(connection, handshake);
  if (handshake.failure !== undefined) {
    return judgeFailure(handshake.failure, ask.kind);
  }
  if (ask.kind !== "dns") return OK;
  const question = emitDnsQuestion(ask.name);
  await writeStreamMessage(connection, question);
  const answer = await readStreamMessage(connection);
  return answer !== undefined && isAnswer(answer, question)
    ? OK
    : failed("beyond", `the resolver ${placeText(ask.server)} does not answer`);
}

async function connectTo(
  { proxy, ...setup }: ProxySetup,
  signal: AbortSignal,
): Promise<Deno.Conn> {
  const place = { hostname: formatAddress(proxy.words), port: proxy.port };
  const connection = await Deno.connect({ ...place, signal });
  const tls = setup.kind === "http" ? setup.tls : undefined;
  if (tls === undefined) return connection;
  return await Deno.startTls(connection, {
    hostname: tls.serverName,
    ...(tls.authorities === undefined ? {} : { caCerts: [tls.authorities] }),
  });
}

function handshakeOf(
  setup: ProxySetup,
  ask: ProxyRequest["ask"],
): ProxyHandshake {
  const { credentials } = setup;
  const target = targetOf(ask);
  if (setup.kind === "socks5") {
    return new Socks5Handshake({
      target: target ?? { words: UNSPECIFIED, port: 0 },
      command: target === undefined ? "udp-associate" : "connect",
      credentials,
    });
  }
  // HTTP has no greeting: what the proxy says to a place of its own tells
  // whether it takes us for one of its users, be it a refusal of that place.
  return new HttpConnectHandshake({
    target: target ?? { words: LOOPBACK, port: HTTPS_PORT },
    credentials,
  });
}

function targetOf(ask: ProxyRequest["ask"]): ProxyTarget | undefined {
  switch (ask.kind) {
    case "greet":
      return undefined;
    case "connect":
      return {
        words: UNSPECIFIED,
        port: ask.target.port,
        name: ask.target.host,
      };
    case "dns":
      return ask.server;
  }
}

async function shakeHands(
  connection: Deno.Conn,
  handshake: ProxyHandshake,
): Promise<void> {
  // A byte at a time: what follows the handshake is not its own.
  const byte = new Uint8Array(1);
  while (handshake.state === "talking") {
    if (handshake.output.length > 0) {
      handshake.sent(await connection.write(handshake.output));
    } else if (await connection.read(byte) === null) handshake.closed();
    else handshake.receive(byte, 0, 1);
  }
}

function judgeFailure(
  { kind, text }: { readonly kind: ProxyFailureKind; readonly text: string },
  ask: ProxyRequest["ask"]["kind"],
): ProbeOutcome {
  if (kind === "proxy-auth") return failed("credentials", text);
  // A proxy that gives no association has taken us for one of its users.
  if (BEYOND.includes(kind)) {
    return ask === "greet" ? OK : failed("beyond", text);
  }
  return failed("refused", text);
}

function isAnswer(answer: Uint8Array, question: Uint8Array): boolean {
  return parseDns(answer)?.response === true &&
    answer[0] === question[0] && answer[1] === question[1];
}

function placeText({ words, port }: Resolver): string {
  return `${formatAddress(words)} port ${port}`;
}

function disposable<Value extends { close(): void }>(
  value: Value,
): { readonly value: Value } & Disposable {
  return {
    value,
    [Symbol.dispose]: () => {
      try {
        value.close();
      } catch {
        // Closed already.
      }
    },
  };
}
