/**
 * Structs that point to each other, as C has them: pieces of one buffer whose
 * address is known before they are written.
 */
import type { Layout } from "../../../../ffi/layout.ts";

const ALIGNMENT = 8;

/** A piece: its bytes, and where C finds them. */
export interface Piece {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  readonly address: bigint;
}

/** Gives out pieces, all kept until it is let go. */
export class StructMemory {
  readonly #kept: Uint8Array<ArrayBuffer>[] = [];

  /** A zeroed struct. */
  struct(layout: Layout): Piece {
    return this.piece(layout.size);
  }

  /** So many zeroed bytes. */
  piece(byteLength: number): Piece {
    const rounded = Math.max(ALIGNMENT, byteLength);
    const bytes = new Uint8Array(new ArrayBuffer(rounded));
    this.#kept.push(bytes);
    const pointer = Deno.UnsafePointer.of(bytes);
    return {
      bytes,
      view: new DataView(bytes.buffer),
      address: BigInt(Deno.UnsafePointer.value(pointer)),
    };
  }

  /** A copy of bytes. */
  copy(bytes: Uint8Array): Piece {
    const piece = this.piece(bytes.length);
    piece.bytes.set(bytes);
    return piece;
  }
}
