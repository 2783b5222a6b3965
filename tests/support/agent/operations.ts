/** All operations of the agent, by name; each takes one JSON value and gives one. */
import { crowdServe, crowdServed } from "./crowd_server.ts";
import { crowdShort } from "./crowd_short.ts";
import { crowdClose, crowdEcho, crowdOpen } from "./crowd_stay.ts";
import { dnsQuery, dnsServe, dnsServed } from "./dns.ts";
import {
  tcpConnectTimes,
  tcpEchoTimes,
  udpFlows,
  udpHold,
  udpRelease,
} from "./latency.ts";
import { icmpEcho, udpError } from "./raw.ts";
import { udpFlood, udpSink } from "./stream.ts";
import { synFlood } from "./syn_flood.ts";
import { tcpConnect, tcpServe } from "./tcp.ts";
import {
  streamAccept,
  streamClose,
  streamFill,
  streamFinish,
  streamListen,
  streamOpen,
  streamReceive,
  streamReset,
  streamSend,
} from "./tcp_stream.ts";
import {
  udpClose,
  udpEcho,
  udpEchoTimes,
  udpOpen,
  udpReceive,
  udpSend,
} from "./udp.ts";

export const operations = {
  crowdClose,
  crowdEcho,
  crowdOpen,
  crowdServe,
  crowdServed,
  crowdShort,
  dnsQuery,
  dnsServe,
  dnsServed,
  icmpEcho,
  streamAccept,
  streamClose,
  streamFill,
  streamFinish,
  streamListen,
  streamOpen,
  streamReceive,
  streamReset,
  streamSend,
  synFlood,
  tcpConnect,
  tcpConnectTimes,
  tcpEchoTimes,
  tcpServe,
  udpClose,
  udpEcho,
  udpEchoTimes,
  udpError,
  udpFlood,
  udpFlows,
  udpHold,
  udpOpen,
  udpReceive,
  udpRelease,
  udpSend,
  udpSink,
};

/** The agent's operations with their types. */
export type AgentOperations = typeof operations;
