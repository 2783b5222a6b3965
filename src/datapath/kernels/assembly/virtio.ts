/**
 * struct virtio_net_hdr, 10 bytes before each packet of a TUN device with
 * IFF_VNET_HDR (Linux include/uapi/linux/virtio_net.h), little-endian:
 *
 *     0      1         2        4         6           8
 *     | flags | gso_type | hdr_len | gso_size | csum_start | csum_offset |
 */

export const VNET_LENGTH: usize = 10;
/** flags: the checksum field holds the pseudo-header's sum, the rest is to be added. */
export const NEEDS_CSUM: u32 = 1;

export const GSO_NONE: u32 = 0;
export const GSO_TCPV4: u32 = 1;
export const GSO_TCPV6: u32 = 4;
export const GSO_UDP_L4: u32 = 5;
/** Set beside a type where the flow uses ECN. */
export const GSO_ECN: u32 = 0x80;

export const PROTOCOL_TCP: u32 = 6;
export const PROTOCOL_UDP: u32 = 17;

// Offsets in a TCP or UDP header.
export const TCP_SEQUENCE: usize = 4;
export const TCP_ACKNOWLEDGMENT: usize = 8;
export const TCP_DATA_OFFSET: usize = 12;
export const TCP_FLAGS: usize = 13;
export const TCP_WINDOW: usize = 14;
export const TCP_CHECKSUM: usize = 16;
export const TCP_OPTIONS: usize = 20;
export const UDP_LENGTH: usize = 4;
export const UDP_CHECKSUM: usize = 6;
export const UDP_HEADER_LENGTH: u32 = 8;

export const TCP_FIN: u32 = 0x01;
export const TCP_PSH: u32 = 0x08;
export const TCP_ACK: u32 = 0x10;
export const TCP_ECE: u32 = 0x40;
export const TCP_CWR: u32 = 0x80;

// Offsets in an IPv4 and an IPv6 header.
export const IPV4_TOTAL_LENGTH: usize = 2;
export const IPV4_IDENTIFICATION: usize = 4;
export const IPV4_FRAGMENT: usize = 6;
export const IPV4_TTL: usize = 8;
export const IPV4_PROTOCOL: usize = 9;
export const IPV4_CHECKSUM: usize = 10;
export const IPV4_ADDRESSES: usize = 12;
export const IPV6_PAYLOAD_LENGTH: usize = 4;
export const IPV6_NEXT_HEADER: usize = 6;
export const IPV6_HOP_LIMIT: usize = 7;
export const IPV6_ADDRESSES: usize = 8;
export const IPV6_HEADER_LENGTH: u32 = 40;
