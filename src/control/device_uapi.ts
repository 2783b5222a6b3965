/** WireGuard's configuration protocol on a device: what `wg` shows and sets. */
import type { Device } from "../core/wireguard/device.ts";
import type { PeerInfo } from "../core/wireguard/peer.ts";
import type { AmneziaParameters } from "../core/wireguard/amnezia.ts";
import {
  type UapiChanges,
  UapiErrno,
  UapiError,
  type UapiPeer,
  type UapiPeerChange,
  type UapiPort,
  type UapiState,
} from "./uapi_port.ts";

/** What the protocol works on. */
export interface DeviceUapiOptions {
  readonly device: Device;
  readonly listenPort: number;
  readonly amnezia: AmneziaParameters | undefined;
  readonly now: () => number;
  /** Removes a peer with all that workers keep for it. */
  readonly removePeer: (row: number) => void;
  /** Carries out what the device wants after a change. */
  readonly drain: () => void;
}

const NO_KEY = new Uint8Array(32);

/** See the module header. */
export class DeviceUapi implements UapiPort {
  readonly #options: DeviceUapiOptions;

  constructor(options: DeviceUapiOptions) {
    this.#options = options;
  }

  /** @inheritdoc */
  get(): UapiState {
    const { device, listenPort, amnezia } = this.#options;
    return {
      privateKey: device.privateKey,
      listenPort,
      fwmark: 0,
      amnezia,
      peers: device.peers.rows().map((row) =>
        peerState(device.peers.info(row))
      ),
    };
  }

  /** @inheritdoc */
  set(changes: UapiChanges): void {
    const { device, listenPort, removePeer, drain, now } = this.#options;
    if (
      changes.listenPort !== undefined && changes.listenPort !== listenPort ||
      changes.fwmark !== undefined && changes.fwmark !== 0 ||
      changes.amnezia !== undefined
    ) {
      throw new UapiError(
        UapiErrno.NotSupported,
        "port, mark and AmneziaWG's parameters change by the config file and a restart",
      );
    }
    if (changes.privateKey === "none") {
      throw new UapiError(UapiErrno.NotSupported, "a device needs its key");
    }
    try {
      if (changes.privateKey !== undefined) {
        device.setPrivateKey(changes.privateKey, now());
      }
      if (changes.peers === "replace") {
        for (const row of device.peers.rows()) removePeer(row);
      }
      for (const change of changes.peerChanges) this.#change(change);
    } finally {
      drain();
    }
  }

  #change(change: UapiPeerChange): void {
    const { device, removePeer } = this.#options;
    const known = device.peers.rowOf(change.publicKey);
    if (change.kind === "remove") {
      if (known >= 0) removePeer(known);
      return;
    }
    if (known < 0 && change.kind === "update") return;
    const row = known < 0 ? this.#add(change.publicKey) : known;
    const { presharedKey, endpoint, persistentKeepalive } = change;
    device.peers.update(row, {
      presharedKey: presharedKey === "none" ? NO_KEY : presharedKey,
      endpoint,
      persistentKeepaliveMs: persistentKeepalive === undefined
        ? undefined
        : persistentKeepalive * 1000,
    }, this.#options.now());
    if (change.allowedIps === "replace") device.peers.disallowAll(row);
    for (const { kind, prefix } of change.allowedIpChanges) {
      if (kind === "remove") device.peers.disallow(row, prefix);
      else if (!device.peers.allow(row, prefix)) {
        throw new UapiError(UapiErrno.Io, "no room for more allowed IPs");
      }
    }
  }

  #add(publicKey: Uint8Array): number {
    try {
      return this.#options.device.peers.add(publicKey, {
        now: this.#options.now(),
      });
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new UapiError(UapiErrno.Io, message, { cause });
    }
  }
}

function peerState(info: PeerInfo): UapiPeer {
  const { presharedKey, traffic } = info;
  return {
    publicKey: info.publicKey,
    presharedKey: presharedKey.some((byte) => byte !== 0)
      ? presharedKey
      : undefined,
    endpoint: info.endpoint,
    lastHandshakeMs: info.lastHandshakeWallMs,
    txBytes: traffic.sentBytes,
    rxBytes: traffic.receivedBytes,
    persistentKeepalive: Math.round(info.persistentKeepaliveMs / 1000),
    allowedIps: info.allowedIps,
  };
}
