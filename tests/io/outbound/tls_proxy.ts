/** An HTTP proxy that is spoken to by TLS, and certificates for it. */
import { runCommand } from "../../support/process.ts";
import type { Certificate } from "../../vectors/certificates.ts";

/** Makes a certificate for `proxy.test` and an address. */
export async function makeCertificate(
  address = "127.0.0.1",
): Promise<Certificate> {
  const { stdout } = await runCommand([
    ...["openssl", "req", "-x509", "-nodes", "-days", "2"],
    ...["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
    ...["-subj", "/CN=proxy.test", "-keyout", "-"],
    ...["-addext", `subjectAltName=DNS:proxy.test,IP:${address}`],
  ]);
  const at = stdout.indexOf("-----BEGIN CERTIFICATE-----");
  return { key: stdout.slice(0, at), certificate: stdout.slice(at) };
}

/** The proxy; connects to whatever it is asked for. */
export class TlsProxy implements Disposable {
  readonly port: number;
  readonly #listener: Deno.TlsListener;
  readonly #connections = new Set<Deno.Conn>();

  /** Starts it on loopback. */
  constructor({ certificate, key }: Certificate) {
    this.#listener = Deno.listenTls({
      hostname: "127.0.0.1",
      port: 0,
      cert: certificate,
      key,
    });
    this.port = this.#listener.addr.port;
    void this.#serve();
  }

  /** Connections on both sides that stand. */
  get count(): number {
    return this.#connections.size;
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    for (const connection of this.#connections) connection.close();
    this.#connections.clear();
  }

  async #serve(): Promise<void> {
    for (;;) {
      const client = await this.#listener.accept().catch((error) => {
        // A handshake may fail; only the end of the listener ends this.
        if (error instanceof Deno.errors.BadResource) return undefined;
        if (error instanceof Deno.errors.Interrupted) return undefined;
        throw error;
      });
      if (client === undefined) return;
      this.#connections.add(client);
      void this.#tunnel(client).catch(() => {}).finally(() =>
        this.#close(client)
      );
    }
  }

  async #tunnel(client: Deno.TlsConn): Promise<void> {
    const room = new Uint8Array(4096);
    const count = await client.read(room) ?? 0;
    const request = new TextDecoder().decode(room.subarray(0, count));
    const [, hostname, port] =
      /^CONNECT ([^ ]+):(\d+) HTTP\/1\.1\r\n/.exec(request) ?? [];
    const say = (text: string) => client.write(new TextEncoder().encode(text));
    const outside = await Deno.connect({ hostname, port: Number(port) }).catch(
      () => undefined,
    );
    if (outside === undefined) {
      await say("HTTP/1.1 502 Bad Gateway\r\n\r\n");
      return;
    }
    this.#connections.add(outside);
    try {
      await say("HTTP/1.1 200 Connection established\r\n\r\n");
      await Promise.all([forward(client, outside), forward(outside, client)]);
    } finally {
      this.#close(outside);
    }
  }

  #close(connection: Deno.Conn): void {
    if (this.#connections.delete(connection)) connection.close();
  }
}

/** Copies to the end, and passes the end on. */
async function forward(
  from: Deno.Conn,
  to: Deno.Conn & { closeWrite(): Promise<void> },
): Promise<void> {
  const room = new Uint8Array(65_536);
  for (;;) {
    const count = await from.read(room);
    if (count === null) break;
    for (let at = 0; at < count;) {
      at += await to.write(room.subarray(at, count));
    }
  }
  await to.closeWrite();
}
