/**
 * Packets as a Linux kernel wrote them to a TUN device, with what they say.
 * 10.8.0.1 and 2001:db8::1 are the kernel's own addresses; long payloads count
 * upwards from 0.
 */

/** Reads hex digits; space between them and comments from «;» are ignored. */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/;.*/g, "").replace(/\s+/g, "");
  return Uint8Array.from(
    { length: digits.length / 2 },
    (_, i) => parseInt(digits.slice(i * 2, i * 2 + 2), 16),
  );
}

/** Writes bytes as hex digits. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}

/** Bytes first, first + 1, ... modulo 256. */
export function counting(length: number, first = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => first + i);
}

/** Byte strings one after the other. */
export function concat(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** A packet and its line of text. */
export interface Sample {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly text: string;
}

export const TCP4_SYN: Sample = {
  name: "TCP SYN over IPv4, with options",
  bytes: hex(`
    45 00 003c           ; version 4, IHL 5; type of service; total length 60
    cd1a 4000            ; identification; DF
    40 06 598f           ; TTL 64; TCP; header checksum
    0a080001 0a080002    ; 10.8.0.1 -> 10.8.0.2
    aff8 01bb            ; ports 45048 -> 443
    fab6389f 00000000    ; sequence; acknowledgment
    a0 02 faf0           ; data offset 10; SYN; window
    4745 0000            ; checksum; urgent pointer
    020405b4 0402        ; MSS 1460; SACK permitted
    080a 04230888 00000000 ; timestamps
    01 03030a            ; no-op; window scale
  `),
  text: "TCP 10.8.0.1:45048 -> 10.8.0.2:443 SYN 60 bytes",
};

export const TCP6_SYN: Sample = {
  name: "TCP SYN over IPv6",
  bytes: hex(`
    6 00 974bb           ; version 6; traffic class; flow label
    0028 06 40           ; payload length 40; TCP; hop limit 64
    20010db8000000000000000000000001
    20010db8000000000000000000000002
    a7a4 01bb 89224ad0 00000000
    a0 02 fd20 15c2 0000
    020405a0 0402 080a b71fa547 00000000 01 03030a
  `),
  text: "TCP [2001:db8::1]:42916 -> [2001:db8::2]:443 SYN 80 bytes",
};

export const UDP4_DNS: Sample = {
  name: "DNS query over IPv4",
  bytes: hex(`
    45 00 0039 3ec1 4000 40 11 e7e0 0a080001 0a080002
    e19a 0035            ; ports 57754 -> 53
    0025 8e86            ; length 37; checksum
    abcd 0100 0001 0000 0000 0000 ; a query with one question
    07 6578616d706c65 03 636f6d 00 0001 0001 ; example.com, A, IN
  `),
  text: "UDP 10.8.0.1:57754 -> 10.8.0.2:53 57 bytes",
};

export const UDP4_NO_CHECKSUM: Sample = {
  name: "UDP over IPv4 without checksum",
  bytes: hex(`
    45 00 0020 3ef8 4000 40 11 e7c2 0a080001 0a080002
    99dd 0007 000c 0000  ; checksum 0: none
    6e6f636b
  `),
  text: "UDP 10.8.0.1:39389 -> 10.8.0.2:7 32 bytes",
};

export const UDP4_OPTIONS: Sample = {
  name: "UDP over IPv4 with a router alert",
  bytes: hex(`
    46 00 0025 3f7f 4000 40 11 5232 0a080001 0a080002
    94 04 0000           ; IHL 6: router alert (RFC 2113)
    81d2 04d2 000d 2a3e 616c657274
  `),
  text: "UDP 10.8.0.1:33234 -> 10.8.0.2:1234 37 bytes",
};

export const UDP4_FRAGMENT_FIRST: Sample = {
  name: "first fragment of a UDP datagram of 1600 bytes over IPv4",
  bytes: concat(
    hex(`
      45 00 05dc 3f13
      2000               ; more fragments, offset 0
      40 11 01ec 0a080001 0a080002
      8949 0009 0648 f076 ; length 1608, more than this fragment holds
    `),
    counting(1472),
  ),
  text: "UDP 10.8.0.1:35145 -> 10.8.0.2:9 fragment 3f13 at 0 1500 bytes",
};

export const UDP4_FRAGMENT_LATER: Sample = {
  name: "last fragment of the same datagram",
  bytes: concat(
    hex("45 00 0094 3f13 00b9 40 11 267b 0a080001 0a080002 ; offset 185 * 8"),
    counting(128, 1472),
  ),
  text: "UDP 10.8.0.1 -> 10.8.0.2 fragment 3f13 at 1480 148 bytes",
};

export const UDP6: Sample = {
  name: "UDP over IPv6",
  bytes: hex(`
    60042e51 0011 11 40
    20010db8000000000000000000000001
    20010db8000000000000000000000002
    b6f0 14e9 0011 3e09 68656c6c6f2c207636
  `),
  text: "UDP [2001:db8::1]:46832 -> [2001:db8::2]:5353 57 bytes",
};

export const UDP6_EXTENSIONS: Sample = {
  name: "UDP over IPv6 behind hop-by-hop and destination options",
  bytes: hex(`
    600b8550 001b 00 40  ; next header: hop-by-hop
    20010db8000000000000000000000001
    20010db8000000000000000000000002
    3c 00 0502 0000 0100 ; next: destination options; 8 bytes; router alert; PadN
    11 00 0104 00000000  ; next: UDP; 8 bytes; PadN
    89b4 04d2 000b 3c64 657874
  `),
  text: "UDP [2001:db8::1]:35252 -> [2001:db8::2]:1234 67 bytes",
};

export const UDP6_FRAGMENT_FIRST: Sample = {
  name: "first fragment of a UDP datagram of 1600 bytes over IPv6",
  bytes: concat(
    hex(`
      600f2c1e 05b0 2c 40 ; next header: fragment
      20010db8000000000000000000000001
      20010db8000000000000000000000002
      11 00 0001 b0fbd790 ; next: UDP; offset 0, more; identification
      c710 0009 0648 6b4d
    `),
    counting(1440),
  ),
  text:
    "UDP [2001:db8::1]:50960 -> [2001:db8::2]:9 fragment b0fbd790 at 0 1496 bytes",
};

export const UDP6_FRAGMENT_LATER: Sample = {
  name: "last fragment of the same datagram over IPv6",
  bytes: concat(
    hex(`
      600f2c1e 00a8 2c 40
      20010db8000000000000000000000001
      20010db8000000000000000000000002
      11 00 05a8 b0fbd790 ; offset 1448, no more
    `),
    counting(160, 1440),
  ),
  text: "UDP 2001:db8::1 -> 2001:db8::2 fragment b0fbd790 at 1448 208 bytes",
};

export const ICMP4_ECHO: Sample = {
  name: "ICMP echo request",
  bytes: hex(`
    45 00 002c 66b0 4000 40 01 c00e 0a080001 0a080002
    08 00 6906           ; echo request; checksum
    4bad 0001            ; identifier; sequence
    6162636465666768696a6b6c6d6e6f70
  `),
  text: "ICMP 10.8.0.1 -> 10.8.0.2 echo request id 19373 seq 1 44 bytes",
};

export const ICMP6_ECHO: Sample = {
  name: "ICMPv6 echo request",
  bytes: hex(`
    600a801b 0018 3a 40
    20010db8000000000000000000000001
    20010db8000000000000000000000002
    80 00 953d 4bae 0001 6162636465666768696a6b6c6d6e6f70
  `),
  text:
    "ICMPv6 2001:db8::1 -> 2001:db8::2 echo request id 19374 seq 1 64 bytes",
};

export const ICMP6_ROUTER_SOLICITATION: Sample = {
  name: "ICMPv6 router solicitation",
  bytes: hex(`
    60000000 0008 3a ff
    fe80000000000000edb7cb5c22853763
    ff020000000000000000000000000002
    85 00 6a3a 00000000
  `),
  text: "ICMPv6 fe80::edb7:cb5c:2285:3763 -> ff02::2 type 133 code 0 48 bytes",
};

/** Whole packets and fragments; every checksum is right. */
export const SAMPLES: readonly Sample[] = [
  TCP4_SYN,
  TCP6_SYN,
  UDP4_DNS,
  UDP4_NO_CHECKSUM,
  UDP4_OPTIONS,
  UDP4_FRAGMENT_FIRST,
  UDP4_FRAGMENT_LATER,
  UDP6,
  UDP6_EXTENSIONS,
  UDP6_FRAGMENT_FIRST,
  UDP6_FRAGMENT_LATER,
  ICMP4_ECHO,
  ICMP6_ECHO,
  ICMP6_ROUTER_SOLICITATION,
];

/** A packet that the kernel answered, and its answer. */
export interface Exchange {
  readonly name: string;
  readonly asked: Uint8Array;
  readonly answered: Uint8Array;
}

/** TCP segments to a closed port, and the resets for them. */
export const RESETS: readonly Exchange[] = [
  {
    name: "SYN",
    asked: hex(`
      45 00 0028 4242 4000 40 06 e47b 0a080002 0a080001
      9c40 0051 01020304 00000000 50 02 03e8 f750 0000
    `),
    answered: hex(`
      45 00 0028 0000 4000 40 06 26be 0a080001 0a080002
      0051 9c40 00000000 01020305 50 14 0000 fb25 0000
    `),
  },
  {
    name: "ACK",
    asked: hex(`
      45 00 0028 4242 4000 40 06 e47b 0a080002 0a080001
      9c40 0051 01020304 0a0b0c0d 50 10 03e8 e12a 0000
    `),
    answered: hex(`
      45 00 0028 0000 4000 40 06 26be 0a080001 0a080002
      0051 9c40 0a0b0c0d 00000000 50 04 0000 e924 0000
    `),
  },
  {
    name: "SYN and FIN with data that wraps the sequence",
    asked: hex(`
      45 00 002f 4242 4000 40 06 e474 0a080002 0a080001
      9c40 0051 fffffffe 00000000 50 03 03e8 6a22 0000 61626364656667
    `),
    answered: hex(`
      45 00 0028 0000 4000 40 06 26be 0a080001 0a080002
      0051 9c40 00000000 00000007 50 14 0000 ff25 0000
    `),
  },
  {
    name: "data",
    asked: hex(`
      45 00 002f 4242 4000 40 06 e474 0a080002 0a080001
      9c40 0051 01020304 0a0b0c0d 50 18 03e8 4fee 0000 61626364656667
    `),
    answered: hex(`
      45 00 0028 0000 4000 40 06 26be 0a080001 0a080002
      0051 9c40 0a0b0c0d 00000000 50 04 0000 e924 0000
    `),
  },
  {
    name: "SYN over IPv6",
    asked: hex(`
      60000000 0014 06 40
      20010db8000000000000000000000002
      20010db8000000000000000000000001
      9c40 0051 01020304 00000000 50 02 03e8 afee 0000
    `),
    answered: hex(`
      6008ed7a 0014 06 40
      20010db8000000000000000000000001
      20010db8000000000000000000000002
      0051 9c40 00000000 01020305 50 14 0000 b3c3 0000
    `),
  },
  {
    name: "ACK over IPv6",
    asked: hex(`
      60000000 0014 06 40
      20010db8000000000000000000000002
      20010db8000000000000000000000001
      9c40 0051 01020304 0a0b0c0d 50 10 03e8 99c8 0000
    `),
    answered: hex(`
      6008ed7a 0014 06 40
      20010db8000000000000000000000001
      20010db8000000000000000000000002
      0051 9c40 0a0b0c0d 00000000 50 04 0000 a1c2 0000
    `),
  },
];

/** A RST, which gets no answer. */
export const TCP4_RST: Uint8Array = hex(
  "45 00 0028 4242 4000 40 06 e47b 0a080002 0a080001 9c40 0051 01020304 00000000 50 04 03e8 f74e 0000",
);

/** UDP datagrams to a closed port, and the ICMP errors for them. */
export const UNREACHABLES: readonly Exchange[] = [
  {
    name: "over IPv4",
    asked: hex(`
      45 00 0027 4242 4000 40 11 e471 0a080002 0a080001
      9c40 0052 0013 bd54 68656c6c6f20776f726c64
    `),
    answered: hex(`
      45 c0 0043 67b1 0000 40 01 fe36 0a080001 0a080002
      03 03 1134 00000000 ; port unreachable, about:
      45 00 0027 4242 4000 40 11 e471 0a080002 0a080001
      9c40 0052 0013 bd54 68656c6c6f20776f726c64
    `),
  },
  {
    name: "over IPv4, cut to 576 bytes",
    asked: concat(
      hex(`
        45 00 03a0 4242 4000 40 11 e0f8 0a080002 0a080001
        9c40 0052 038c 345d
      `),
      counting(900),
    ),
    answered: concat(
      hex(`
        45 c0 0240 67bb 0000 40 01 fc2f 0a080001 0a080002
        03 03 9bf1 00000000 ; port unreachable, about:
        45 00 03a0 4242 4000 40 11 e0f8 0a080002 0a080001
        9c40 0052 038c 345d
      `),
      counting(520),
    ),
  },
  {
    name: "over IPv6",
    asked: hex(`
      60000000 0013 11 40
      20010db8000000000000000000000002
      20010db8000000000000000000000001
      9c40 0052 0013 75f2 68656c6c6f20776f726c64
    `),
    answered: hex(`
      600fc5c2 0043 3a 40
      20010db8000000000000000000000001
      20010db8000000000000000000000002
      01 04 31da 00000000 ; port unreachable, about:
      60000000 0013 11 40
      20010db8000000000000000000000002
      20010db8000000000000000000000001
      9c40 0052 0013 75f2 68656c6c6f20776f726c64
    `),
  },
  {
    name: "over IPv6, cut to 1280 bytes",
    asked: concat(
      hex(`
        60000000 0580 11 40
        20010db8000000000000000000000002
        20010db8000000000000000000000001
        9c40 0052 0580 598a
      `),
      counting(1400),
    ),
    answered: concat(
      hex(`
        600fc5c2 04d8 3a 40
        20010db8000000000000000000000001
        20010db8000000000000000000000002
        01 04 068a 00000000 ; port unreachable, about:
        60000000 0580 11 40
        20010db8000000000000000000000002
        20010db8000000000000000000000001
        9c40 0052 0580 598a
      `),
      counting(1184),
    ),
  },
];
