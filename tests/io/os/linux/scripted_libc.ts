/** The C library with a sendmmsg that tests tell what to do. */
import type { Libc } from "../../../../ffi/libc.ts";

/** What a scripted sendmmsg does with one call. */
export type Script = (
  call: { trains: number; messages: number; first: boolean },
) =>
  | { errno: number }
  | { take: number };

/** The C library with a sendmmsg that fails by script and else is the true one. */
export function scriptedLibc(
  libc: Libc,
  script: Script,
): Libc & { calls: number } {
  let errno = 0;
  const scripted: Libc & { calls: number } = {
    ...libc,
    calls: 0,
    errno: () => errno || libc.errno(),
    call: {
      ...libc.call,
      poll: () => 1,
      sendmmsg(descriptor, array, count, flags): number {
        errno = 0;
        const vector = array as Uint8Array<ArrayBuffer>;
        const header = new DataView(vector.buffer, vector.byteOffset);
        // A control length of 24 is one UDP_SEGMENT.
        const trains = Number(header.getBigUint64(40, true)) > 0 ? 1 : 0;
        const answer = script({
          trains,
          messages: count,
          first: scripted.calls++ === 0,
        });
        if ("errno" in answer) {
          errno = answer.errno;
          return -1;
        }
        return libc.call.sendmmsg(
          descriptor,
          vector,
          Math.min(count, answer.take),
          flags,
        );
      },
    },
  };
  return scripted;
}

/** The true call, undisturbed. */
export const ALL = { take: 1024 };
