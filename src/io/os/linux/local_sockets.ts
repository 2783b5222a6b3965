/** Unix sockets: in `/run` for root, in the session's directory for a user. */
import { dirname } from "node:path";
import type {
  LocalConnection,
  LocalListener,
  LocalListening,
  LocalSocket,
  LocalSockets,
} from "../../ports/local_sockets.ts";
import { accepted } from "../../accepted.ts";

const CLIENT = "sluice/client.sock";

/** The places of Linux. */
export const linuxLocalSockets: LocalSockets = {
  uapi: (name) => new UnixSocket(`/var/run/wireguard/${name}.sock`),
  client: () => clientPaths().map((path) => new UnixSocket(path)),
  at: (path) => new UnixSocket(path),
};

function clientPaths(): string[] {
  const common = `/run/${CLIENT}`;
  if (Deno.uid() === 0) return [common];
  const session = Deno.env.get("XDG_RUNTIME_DIR");
  return session?.startsWith("/") ? [`${session}/${CLIENT}`, common] : [common];
}

class UnixSocket implements LocalSocket {
  readonly path: string;
  readonly isFile = true;

  constructor(path: string) {
    this.path = path;
  }

  async listen(): Promise<LocalListening> {
    const { path } = this;
    await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const by = await this.#user();
    if (by !== "nobody") return { kind: "in-use", by };
    // The mask, not a later chmod: the socket is never open to others.
    const mask = Deno.umask(0o177);
    try {
      const listener = Deno.listen({ transport: "unix", path });
      return { kind: "listening", listener: new UnixListener(listener, path) };
    } finally {
      Deno.umask(mask);
    }
  }

  connect(): Promise<LocalConnection> {
    return Deno.connect({ transport: "unix", path: this.path });
  }

  /** Whose the path is; a socket that nobody answers on is removed. */
  async #user(): Promise<"nobody" | "program" | "file"> {
    const { path } = this;
    try {
      const { isSocket } = await Deno.lstat(path);
      if (!isSocket) return "file";
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "nobody";
      throw error;
    }
    try {
      const connection = await this.connect();
      connection.close();
      return "program";
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
      await Deno.remove(path);
      return "nobody";
    }
  }
}

class UnixListener implements LocalListener {
  readonly #listener: Deno.UnixListener;
  readonly #path: string;

  constructor(listener: Deno.UnixListener, path: string) {
    this.#listener = listener;
    this.#path = path;
  }

  [Symbol.asyncIterator](): AsyncIterator<LocalConnection> {
    return accepted(this.#listener);
  }

  async close(): Promise<void> {
    this.#listener.close();
    try {
      await Deno.remove(this.#path);
    } catch (error) {
      // Closing the listener may have removed it.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
