/**
 * Node's sockets over descriptors, and a stream below TLS that keeps a socket's
 * errors: TLS that gets the socket itself tells a reset as an ordinary end.
 */
import { Socket } from "node:net";
import { Duplex } from "node:stream";

/** A socket over a connected descriptor, which it owns from then on. */
export function openSocket(fd: number): Socket {
  return new Socket({
    fd,
    readable: true,
    writable: true,
    allowHalfOpen: true,
  });
}

/** The socket's bytes, ends and errors as a plain stream; destroying it destroys the socket. */
export function streamOver(socket: Socket): Duplex {
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
