/**
 * AmneziaWG's parameters as they stand in YAML files; their limits are checked
 * by core/wireguard/amnezia.
 */
import { z } from "zod";

const HEADER_HELP =
  "must be a whole number (0 to 4294967295) or a range such as 100000-200000";
const header = z.union([
  z.int({ error: HEADER_HELP }).min(0, HEADER_HELP).max(
    0xffffffff,
    HEADER_HELP,
  ),
  z.string({ error: HEADER_HELP }).regex(
    /^\d{1,10}(?:-\d{1,10})?$/,
    HEADER_HELP,
  ),
], { error: HEADER_HELP });
const junkPacket = z.string({
  error: "must be tags, such as <b 0xc0ff><r 16><t>",
});

/** The section `amnezia`. */
export const amneziaSchema = z.strictObject({
  jc: z.int().optional().meta({
    description:
      "Junk datagrams before each handshake initiation (4 to 12 is usual).",
  }),
  jmin: z.int().optional().meta({
    description: "Least length of a junk datagram in bytes.",
  }),
  jmax: z.int().optional().meta({
    description: "Greatest length of a junk datagram in bytes.",
  }),
  s1: z.int().optional().meta({
    description: "Random bytes before an initiation.",
  }),
  s2: z.int().optional().meta({
    description: "Random bytes before a response.",
  }),
  s3: z.int().optional().meta({
    description: "Random bytes before a cookie reply.",
  }),
  s4: z.int().optional().meta({
    description: "Random bytes before transport data.",
  }),
  h1: header.optional().meta({
    description: "Message type of an initiation: a number or a range x-y.",
  }),
  h2: header.optional().meta({ description: "Message type of a response." }),
  h3: header.optional().meta({
    description: "Message type of a cookie reply.",
  }),
  h4: header.optional().meta({
    description: "Message type of transport data.",
  }),
  i1: junkPacket.optional().meta({
    description: "First datagram sent before the junk, by tags.",
  }),
  i2: junkPacket.optional(),
  i3: junkPacket.optional(),
  i4: junkPacket.optional(),
  i5: junkPacket.optional(),
}).meta({
  description:
    "AmneziaWG parameters. Without them the tunnel is plain WireGuard.",
});
