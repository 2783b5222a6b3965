/** All operations of the agent, by name; each takes one JSON value and gives one. */
import { dnsQuery, dnsServe, dnsServed } from "./dns.ts";
import { icmpEcho, udpError } from "./raw.ts";
import { udpFlood, udpSink } from "./stream.ts";
import { tcpConnect, tcpServe } from "./tcp.ts";
import {
  udpClose,
  udpEcho,
  udpEchoTimes,
  udpOpen,
  udpReceive,
  udpSend,
} from "./udp.ts";

export const operations = {
  dnsQuery,
  dnsServe,
  dnsServed,
  icmpEcho,
  tcpConnect,
  tcpServe,
  udpClose,
  udpEcho,
  udpEchoTimes,
  udpError,
  udpFlood,
  udpOpen,
  udpReceive,
  udpSend,
  udpSink,
};

/** The agent's operations with their types. */
export type AgentOperations = typeof operations;
