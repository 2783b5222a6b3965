/**
 * Flows of this very process that the capture sees, because their sockets have
 * no mark: look-ups by the system's resolver, and probes. They go direct, or else
 * a tunnel's endpoint could be routed into that tunnel; a probe goes into the
 * tunnel that it is for.
 */

/** Which of our own flows belong to a tunnel. */
export class OwnFlows {
  readonly #pins = new Map<string, string>();

  /**
   * Leads a flow of ours into a tunnel, in whatever state that is. Pin before
   * the first packet is sent, and dispose when the probe is over.
   * @param local IP protocol number and the socket's port, or echo identifier.
   */
  pin(
    local: { readonly protocol: number; readonly port: number },
    tunnel: string,
  ): Disposable {
    const key = `${local.protocol}:${local.port}`;
    this.#pins.set(key, tunnel);
    return {
      [Symbol.dispose]: () => {
        if (this.#pins.get(key) === tunnel) this.#pins.delete(key);
      },
    };
  }

  /** The tunnel that a flow of ours is for; undefined for direct. */
  tunnelOf(protocol: number, localPort: number): string | undefined {
    return this.#pins.get(`${protocol}:${localPort}`);
  }
}
