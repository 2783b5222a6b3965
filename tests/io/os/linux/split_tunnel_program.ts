/**
 * Started by tests inside a namespace: does to its network what a line of JSON
 * on standard input says, and answers with a line.
 */
import { openLibc } from "../../../../ffi/libc.ts";
import {
  AF,
  IPPROTO,
  SO,
  SOCK,
  SOL,
} from "../../../../ffi/linux_socket_constants.ts";
import {
  isMappedIpv4,
  parseEndpoint,
  parsePrefix,
} from "../../../../src/core/wire/address.ts";
import type {
  KillSwitchPolicy,
  RoutingRule,
  TableRoute,
} from "../../../../src/io/ports.ts";
import { openHostNetwork } from "../../../../src/io/os/linux/host_network.ts";
import { openJournal } from "../../../../src/io/os/linux/journal.ts";
import { openKillSwitch } from "../../../../src/io/os/linux/kill_switch.ts";
import { openPolicyRouting } from "../../../../src/io/os/linux/policy_routing.ts";
import { writeSocketAddress } from "../../../../src/io/os/linux/socket_address.ts";

/** The mark of packets that are the program's own. */
export const MARK = 0x51;

/** A policy with its networks as text. */
export type PolicyText = Omit<KillSwitchPolicy, "networks"> & {
  readonly networks: readonly string[];
};

/** A route as text: through an interface of that name, or refused. */
export interface RouteText {
  readonly prefix: string;
  readonly through?: string;
  readonly gateway?: string;
}

/** What it can be told. */
export interface Operations {
  engage(
    argument: { policy: PolicyText; removal?: "kernel" | "journal" },
  ): null;
  lift(): null;
  state(): unknown;
  route(
    argument: {
      table: number;
      routes: readonly RouteText[];
      rules: readonly RoutingRule[];
    },
  ): unknown;
  resetRoutes(): null;
  loosen(argument: { interface: string }): unknown;
  reset(): null;
  recover(): readonly string[];
  /** Sends a datagram; the answer is told where one comes in time. */
  send(
    argument: {
      to: string;
      from?: string;
      mark?: number;
      text: string;
      waitMs?: number;
    },
  ): { sent: boolean; answer: string | undefined };
  /** Answers datagrams with what they say. */
  echo(argument: { at: string }): null;
}

function prefixed(text: string) {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new TypeError(`no prefix: ${text}`);
  const { family, words, length } = prefix;
  return { family, words, prefixLength: length };
}

function serve(directory: string): Operations {
  const libc = openLibc();
  const journal = openJournal({ directories: [directory] });
  const network = openHostNetwork({ libc, journal });
  const routing = openPolicyRouting({ libc, journal });
  let killSwitch = openKillSwitch({ libc, journal, mark: MARK });

  function tableRoute(text: RouteText): TableRoute {
    const { prefix, through, gateway } = text;
    if (through === undefined) {
      return { ...prefixed(prefix), way: { kind: "unreachable" } };
    }
    const index = network.interfaceIndex(through)!;
    return {
      ...prefixed(prefix),
      way: {
        kind: "interface",
        index,
        ...(gateway === undefined ? {} : {
          gateway:
            prefixed(`${gateway}/${gateway.includes(":") ? 128 : 32}`).words,
        }),
      },
    };
  }

  function socketFor(
    at: string,
  ): { descriptor: number; address: Uint8Array<ArrayBuffer> } {
    const end = parseEndpoint(at)!;
    const family = isMappedIpv4(end.words) ? 4 : 6;
    const descriptor = libc.call.socket(
      family === 4 ? AF.INET : AF.INET6,
      SOCK.DGRAM | SOCK.CLOEXEC,
      IPPROTO.UDP,
    );
    const address = new Uint8Array(32);
    const words = Int32Array.from(end.words);
    const length = writeSocketAddress(address, 0, family, words, 0, end.port);
    return { descriptor, address: address.slice(0, length) };
  }

  return {
    engage({ policy, removal }) {
      if (removal !== undefined) {
        killSwitch = openKillSwitch({ libc, journal, mark: MARK, removal });
      }
      killSwitch.engage({
        ...policy,
        networks: policy.networks.map(prefixed),
      });
      return null;
    },
    lift() {
      killSwitch.lift();
      return null;
    },
    state: () => killSwitch.state(),
    route: ({ table, routes, rules }) =>
      routing.apply({ table, rules, routes: routes.map(tableRoute) }),
    resetRoutes() {
      routing.reset();
      return null;
    },
    loosen: (argument) =>
      network.loosen(network.interfaceIndex(argument.interface)!),
    reset() {
      network.reset();
      return null;
    },
    recover: () => network.recover(),
    send({ to, from, mark, text, waitMs = 0 }) {
      const { descriptor, address } = socketFor(to);
      if (mark !== undefined) {
        const value = Uint8Array.of(mark, 0, 0, 0);
        libc.call.setsockopt(descriptor, SOL.SOCKET, SO.MARK, value, 4);
      }
      if (from !== undefined) {
        const bound = socketFor(from);
        libc.call.close(bound.descriptor);
        libc.call.bind(descriptor, bound.address, bound.address.length);
      }
      const bytes = new TextEncoder().encode(text);
      const sent = libc.call.sendto(
        descriptor,
        bytes,
        bytes.length,
        0,
        address,
        address.length,
      ) === bytes.length;
      const set = new Uint8Array(8);
      new DataView(set.buffer).setInt32(0, descriptor, true);
      set[4] = 1;
      let answer: string | undefined;
      if (waitMs > 0 && libc.call.poll(set, 1, waitMs) === 1) {
        const buffer = new Uint8Array(2048);
        const length = libc.call.recv(descriptor, buffer, buffer.length, 0);
        answer = length < 0
          ? undefined
          : new TextDecoder().decode(buffer.subarray(0, length));
      }
      libc.call.close(descriptor);
      return { sent, answer };
    },
    echo({ at }) {
      const { host, port } = splitEnd(at);
      const socket = Deno.listenDatagram({
        transport: "udp",
        hostname: host,
        port,
      });
      void (async () => {
        for await (const [bytes, from] of socket) {
          // Refused by the kill switch: nobody is answered.
          await socket.send(bytes, from).catch(() => {});
        }
      })();
      return null;
    },
  };
}

function splitEnd(at: string): { host: string; port: number } {
  const colon = at.lastIndexOf(":");
  const host = at.slice(0, colon).replace(/^\[|\]$/g, "");
  return { host, port: Number(at.slice(colon + 1)) };
}

if (import.meta.main) {
  const operations = serve(Deno.args[0]);
  console.log(JSON.stringify({ ready: true }));
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
  let rest = "";
  for await (const chunk of lines) {
    rest += chunk;
    for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
      const { operation, argument } = JSON.parse(rest.slice(0, end));
      rest = rest.slice(end + 1);
      const name = operation as keyof Operations;
      try {
        const result = operations[name](argument as never) ?? null;
        console.log(JSON.stringify({ result }));
      } catch (error) {
        console.log(JSON.stringify({ error: String(error) }));
      }
    }
  }
}
