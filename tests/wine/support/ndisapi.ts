/** Capture on a Windows machine of a test: the stand-in, and the adapter it captures. */
import type { Namespace } from "../../support/lab.ts";
import type { LoggedProcess } from "../../support/process.ts";
import { waitFor } from "../../support/wait.ts";
import { TAP_BRIDGE_PORT } from "../standins/tap_bridge.ts";
import { buildForWindows } from "./standins.ts";

const STANDINS = new URL("../standins/", import.meta.url).pathname;
const STRUCTS =
  new URL("../layouts/headers/ndisapi_structs.h", import.meta.url).pathname;

/**
 * Builds the stand-in. @returns the path of ndisapi.dll, to lie beside deno.exe.
 * @param frame bytes of a frame; others than 1514 are a build for jumbo frames.
 */
export function buildNdisapi(frame = 1514): Promise<string> {
  return buildForWindows({
    name: "ndisapi.dll",
    sources: [`${STANDINS}ndisapi.c`],
    headers: [STRUCTS],
    libraries: ["ws2_32"],
    flags: frame === 1514 ? [] : [`-DMAX_ETHER_FRAME=${frame}`],
  });
}

/** Variables of a machine whose ndisapi.dll is the stand-in. */
export const NDISAPI_ENV = { SLUICE_UNSIGNED_DRIVERS: "allow" } as const;

/** One end of an adapter's line. */
export interface AdapterEnd {
  /** The interface's name. */
  readonly name: string;
  /** Addresses with their prefix lengths. */
  readonly addresses: readonly string[];
}

/** An adapter of a Windows machine. */
export interface AdapterOptions {
  /** The machine's end. */
  readonly host: AdapterEnd;
  /** The other end, in the namespace that the machine is connected to. */
  readonly wire: AdapterEnd & { readonly namespace: Namespace };
}

/** The line between a machine and its network; frames pass unless they are captured. */
export class CapturableLine {
  readonly bridge: LoggedProcess;
  readonly #machine: Namespace;

  private constructor(machine: Namespace, bridge: LoggedProcess) {
    this.#machine = machine;
    this.bridge = bridge;
  }

  /** Makes an adapter of a machine; it ends with the lab. */
  static async start(
    machine: Namespace,
    adapter: AdapterOptions,
  ): Promise<CapturableLine> {
    const config = new URL("../../../deno.json", import.meta.url).pathname;
    const bridge = machine.spawn("tap bridge", [
      Deno.execPath(),
      "run",
      "-A",
      "--no-check",
      "--quiet",
      ...["--config", config],
      `${STANDINS}tap_bridge.ts`,
      String(TAP_BRIDGE_PORT),
      `${adapter.host.name}:${adapter.wire.name}`,
    ], { stdin: "piped" });
    await waitFor(
      "the TAP bridge",
      () => bridge.lines.some((line) => line.startsWith("ready")),
    );
    const line = new CapturableLine(machine, bridge);
    await line.#place(adapter);
    return line;
  }

  /** Has an adapter come, or go: `add HOST:WIRE`, `remove HOST`. */
  async command(text: string): Promise<void> {
    await this.bridge.writeLine(text);
    await waitFor(
      `the TAP bridge to ${text}`,
      () => this.bridge.lines.includes(`done: ${text}`),
    );
  }

  async #place({ host, wire }: AdapterOptions): Promise<void> {
    await this.#machine.ip(
      `link set ${wire.name} netns ${wire.namespace.holderPid}`,
      ...placing(host),
    );
    await wire.namespace.ip(...placing(wire));
  }
}

function placing({ name, addresses }: AdapterEnd): string[] {
  return [
    ...addresses.map((address) =>
      `addr add ${address} dev ${name}${address.includes(":") ? " nodad" : ""}`
    ),
    `link set ${name} up`,
  ];
}
