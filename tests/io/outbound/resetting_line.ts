/** A TCP line to a server on loopback that can be broken off by resets. */
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import type { Socket } from "node:net";

/** The line; listens on a port of its own. */
export class ResettingLine implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(port: number) {
    this.#server = createServer((near) => {
      const far = connect({ host: "127.0.0.1", port });
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on("error", () => socket.destroy());
        socket.once("close", () => this.#sockets.delete(socket));
      }
      near.pipe(far).pipe(near);
    });
  }

  /** @param port where the server listens. */
  static async start(port: number): Promise<ResettingLine> {
    const line = new ResettingLine(port);
    const listening = Promise.withResolvers<void>();
    line.#server.listen(0, "127.0.0.1", () => listening.resolve());
    await listening.promise;
    return line;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Resets all connections, on both sides. */
  resetAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.resetAll();
    const closed = Promise.withResolvers<void>();
    this.#server.close(() => closed.resolve());
    await closed.promise;
  }
}
