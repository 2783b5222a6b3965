/**
 * A WireGuard handshake from fixed keys, computed from the paper by a Go
 * program with golang.org/x/crypto (published in ausimian/wagyu,
 * test/support/golden_vectors.ex). No preshared key; each keepalive is its
 * sender's first transport message.
 */
import { hex } from "./hex.ts";

/** All byte strings of the transcript. */
export const TRANSCRIPT = {
  initiatorPrivate: hex(
    "30f840b57759f1b03f2881d249d8440535438013bb60c4e3ca186eec5baa6543",
  ),
  initiatorPublic: hex(
    "6de814225a4cea710ede659be1cae9968700fe06ded3cb48017012fda4a6d72a",
  ),
  initiatorEphemeralPrivate: hex(
    "182b58c93fad2340de69fb6d0552da2e49076dd4234cebb83bec468a55ec7158",
  ),
  initiatorIndex: 0x11223344,
  responderPrivate: hex(
    "d029badf266e850d35eba96e36f9e4715915c2fdc87b4acdddeae3a18f02cb42",
  ),
  responderPublic: hex(
    "d3a425474ec8108b84396bcd7e6359173967a977a5f1683cd63d8a48508ad03b",
  ),
  responderEphemeralPrivate: hex(
    "e8edd8b94e9e711507abccf605273ce332f67e122a9572e79d2e07b0ba7bd45d",
  ),
  responderIndex: 0x55667788,
  timestamp: hex("400000006553f10a05000000"),
  initiation: hex(`
    01000000 44332211
    6753afd63220b4bc669fc51be6a98c4ca498dc9f07cfa599ccb1ab60585ebf26
    ff4daeda1210129a7ae289f2e08f2d67ed6b3a29d9036cb70c1fefb746ef6812
    2d380bc41954fe0663c66a116b36156f
    32eac6f967e7188dc05c671220d9bcb24061d5e7461c776abe65f759
    12946c06a2130e38f001eeef43fca8f1
    00000000000000000000000000000000`),
  response: hex(`
    02000000 88776655 44332211
    9fecf3a3b59f4db692fc60bd80be4db76e002477fea089cf63780509e3b0fd01
    bbbc7e06808d05e4a8c65bd79edc09e5
    2d38a7e43a219f4ff72f6cc2b7f930c6
    00000000000000000000000000000000`),
  initiatorKeepalive: hex(
    "04000000 88776655 0000000000000000 c4bfa7e570337f89d91edf4828f132e4",
  ),
  responderKeepalive: hex(
    "04000000 44332211 0000000000000000 885cbca697398d78d5f38da2cb2c92dc",
  ),
} as const;
