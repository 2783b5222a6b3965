/**
 * What calls on sockets tell the poll sets of their thread. The system's poll
 * knows levels only; an edge begins anew where a call found a socket empty or
 * full, and that the caller of that call hears alone.
 */

/** Who wants to hear of it. */
export interface ReadinessListener {
  /** A read took all there was, or found nothing. */
  emptied(socket: number): void;
  /** A write found no room for all of its bytes. */
  filled(socket: number): void;
  /** The socket is about to be closed; its number may be another's then. */
  closing(socket: number): void;
}

/** Passes it on to all poll sets of a thread. */
export class SocketReadiness implements ReadinessListener {
  readonly #listeners: ReadinessListener[] = [];

  /** Tells this one, too. */
  join(listener: ReadinessListener): void {
    this.#listeners.push(listener);
  }

  /** Tells it no more. */
  leave(listener: ReadinessListener): void {
    const at = this.#listeners.indexOf(listener);
    if (at >= 0) this.#listeners.splice(at, 1);
  }

  emptied(socket: number): void {
    const listeners = this.#listeners;
    for (let i = 0; i < listeners.length; i++) listeners[i].emptied(socket);
  }

  filled(socket: number): void {
    const listeners = this.#listeners;
    for (let i = 0; i < listeners.length; i++) listeners[i].filled(socket);
  }

  closing(socket: number): void {
    const listeners = this.#listeners;
    for (let i = 0; i < listeners.length; i++) listeners[i].closing(socket);
  }
}
