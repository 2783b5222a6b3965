/** A split tunnel that is told how it stands, and remembers what it was asked. */
import {
  type ClientPort,
  ClientPortError,
  type ClientStatus,
  type ExplainAnswer,
  type ExplainQuestion,
  type FlowView,
  type ReloadAnswer,
} from "../../src/control/client_port.ts";

/** A tunnel `work` that is up and one `home` that is down. */
export const STATUS: ClientStatus = {
  version: "1.2.3",
  processId: 4711,
  config: "/etc/sluice/client.yaml",
  uptimeMs: 3_723_000,
  mode: "running",
  killSwitch: "on",
  interface: "sluice-tun",
  egress4: "eth0",
  rules: 3,
  tunnels: [
    {
      name: "work",
      type: "wireguard",
      state: "up",
      stateMs: 61_000,
      endpoint: "192.0.2.7:51820",
      addresses: ["10.7.0.2"],
      handshakeMs: 12_000,
      flows: 2,
      sentBytes: 2048,
      receivedBytes: 1_500_000,
    },
    {
      name: "home",
      type: "socks5",
      state: "down",
      stateMs: 5000,
      reason: "the proxy refused the connection",
      endpoint: "192.0.2.8:1080",
      addresses: [],
      flows: 0,
      sentBytes: 0,
      receivedBytes: 0,
    },
  ],
  flows: { total: 4, direct: 1, tunnelled: 2, dropped: 1, waiting: 0 },
  problems: ["the resolver 192.0.2.53 does not answer"],
  counters: { "network changes": 1 },
  drops: { "dropped by a rule": 7 },
};

/** A flow by `work`. */
export const FLOW: FlowView = {
  id: "7.1",
  protocol: "tcp",
  local: "10.1.0.2:40000",
  remote: "198.51.100.7:443",
  name: "example.org",
  program: {
    processId: 99,
    name: "curl",
    path: "/usr/bin/curl",
    user: "anna",
  },
  way: "tunnel",
  tunnel: "work",
  by: "rule 1",
  sentBytes: 512,
  receivedBytes: 4096,
  ageMs: 3000,
  idleMs: 1000,
};

/** See the module header. */
export class FakeClientPort implements ClientPort {
  readonly asked: string[] = [];
  state: ClientStatus = STATUS;
  living: FlowView[] = [FLOW];
  /** What `reload` throws. */
  reloadError: Error | undefined;

  status(): ClientStatus {
    return this.state;
  }

  flows(): FlowView[] {
    return this.living;
  }

  explain(question: ExplainQuestion): ExplainAnswer {
    this.asked.push(JSON.stringify(question));
    return {
      program: "curl (/usr/bin/curl), user anna",
      ancestors: ["/usr/bin/bash"],
      destination: `${question.protocol} ${question.address}:${question.port}`,
      explanation: {
        trials: [],
        verdict: {
          way: "tunnel",
          tunnel: "work",
          by: "rule",
          rule: 0,
          cause: "action",
        },
        ifDown: { way: "drop", by: "rule", rule: 0, cause: "tunnel-down" },
      },
    };
  }

  setTunnel(name: string, wanted: "up" | "down"): void {
    if (!this.state.tunnels.some((tunnel) => tunnel.name === name)) {
      throw new ClientPortError(
        `there is no tunnel "${name}"`,
        "sluice status lists them",
      );
    }
    this.asked.push(`${name} ${wanted}`);
  }

  setMode(wanted: "running" | "paused"): void {
    this.asked.push(wanted);
  }

  reload(): Promise<ReloadAnswer> {
    if (this.reloadError !== undefined) return Promise.reject(this.reloadError);
    return Promise.resolve({ result: "taken", lines: ["rule 2 is new"] });
  }
}
