/**
 * A stream below TLS that keeps a socket's errors: TLS that gets Node's socket
 * itself tells a reset as an ordinary end.
 */
import { Duplex } from "node:stream";

/** The socket's bytes, ends and errors as a plain stream; destroying it destroys the socket. */
export function streamOver(socket: Duplex): Duplex {
  const stream = new Duplex({
    allowHalfOpen: true,
    read: () => void socket.resume(),
    write: (chunk, _encoding, done) => void socket.write(chunk, done),
    final: (done) => void socket.end(() => done()),
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
  socket.pause();
  socket.on("data", (chunk) => {
    if (!stream.push(chunk)) socket.pause();
  });
  socket.on("end", () => stream.push(null));
  socket.on("error", (error) => stream.destroy(error));
  return stream;
}
