/** A WireGuard device over tables of its own, for tests of what drives one. */
import { AllowedIps } from "../../src/core/wireguard/allowed_ips.ts";
import { Device } from "../../src/core/wireguard/device.ts";
import { PeerTable } from "../../src/core/wireguard/peer_table.ts";
import { SessionTable } from "../../src/core/wireguard/session_table.ts";
import { nodePrimitives } from "../core/wireguard/node_primitives.ts";
import { Random } from "../core/wireguard/hex.ts";

/** How large the tables are. */
export interface DeviceTablesOptions {
  readonly peers?: number;
  readonly prefixNodes?: number;
}

/** A device, its tables, its clock. */
export class DeviceTables {
  readonly peers: PeerTable;
  readonly sessions: SessionTable;
  readonly allowedIps: AllowedIps;
  readonly device: Device;
  now = 1000;

  constructor(seed: number, options: DeviceTablesOptions = {}) {
    const { peers = 8, prefixNodes = 64 } = options;
    const random = new Random(seed);
    const slots = 4 * peers;
    const nodes = { nodes: prefixNodes };
    this.peers = new PeerTable(
      new SharedArrayBuffer(PeerTable.byteLength(peers)),
      peers,
    );
    this.sessions = new SessionTable(
      new SharedArrayBuffer(SessionTable.byteLength(slots)),
      slots,
    );
    this.allowedIps = new AllowedIps(
      new SharedArrayBuffer(AllowedIps.byteLength(nodes)),
      nodes,
    );
    this.device = new Device({
      privateKey: random.bytes(32),
      peers: this.peers,
      sessions: this.sessions,
      allowedIps: this.allowedIps,
      primitives: nodePrimitives,
      random: random.fill,
      wallTime: () => 1_700_000_000_000 + this.now,
    });
  }

  /** All that the device wants done, by kind. */
  outputs(): string[] {
    const kinds: string[] = [];
    for (;;) {
      const output = this.device.poll();
      if (output === undefined) return kinds;
      kinds.push(output.kind);
    }
  }
}
