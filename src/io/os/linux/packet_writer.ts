/** Writing single packets into a TUN interface. Source: tuntap.rst of the kernel. */
import type { Libc } from "../../../../ffi/libc.ts";
import { virtioNetHdr } from "../../../../ffi/linux_layouts.ts";
import { copyBytes } from "../../../core/wire/bytes.ts";
import type {
  PacketWriter,
  PacketWriterAttachment,
} from "../../ports/packet_writer.ts";

const LONGEST_PACKET = 65_535;

/** Makes a writer for the calling thread; the descriptor stays its owner's. */
export function attachPacketWriter(
  libc: Libc,
  attachment: PacketWriterAttachment,
): PacketWriter {
  const { descriptor, vnetHeader } = attachment;
  // A vnet header of zeros asks for nothing.
  const before = vnetHeader ? virtioNetHdr.size : 0;
  const scratch = new Uint8Array(before + LONGEST_PACKET);
  return {
    write(bytes, at, length) {
      if (length > LONGEST_PACKET) return false;
      copyBytes(scratch, before, bytes, at, length);
      return libc.call.write(descriptor, scratch, before + length) ===
        before + length;
    },
  };
}
