/** Test vectors of RFC 8439 (ChaCha20 and Poly1305) in hex, by section. */

const hex = (...parts: readonly string[]): Uint8Array<ArrayBuffer> =>
  Uint8Array.fromHex(parts.join(""));

const range = (first: number, length: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length }, (_, i) => first + i);

/** The text of sections 2.4.2 and 2.8.2. */
const SUNSCREEN = new TextEncoder().encode(
  "Ladies and Gentlemen of the class of '99: If I could offer you only one " +
    "tip for the future, sunscreen would be it.",
);

/** ChaCha20: text XOR keystream from block `counter` on. */
export const CHACHA20 = [
  {
    section: "2.3.2",
    key: range(0, 32),
    nonce: hex("000000090000004a00000000"),
    counter: 1,
    text: new Uint8Array(64),
    result: hex(
      "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e",
      "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e",
    ),
  },
  {
    section: "2.4.2",
    key: range(0, 32),
    nonce: hex("000000000000004a00000000"),
    counter: 1,
    text: SUNSCREEN,
    result: hex(
      "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b",
      "f91b65c5524733ab8f593dabcd62b3571639d624e65152ab8f530c359f0861d8",
      "07ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736",
      "5af90bbf74a35be6b40b8eedf2785e42874d",
    ),
  },
  {
    section: "2.6.2",
    key: range(0x80, 32),
    nonce: hex("000000000001020304050607"),
    counter: 0,
    text: new Uint8Array(32),
    result: hex(
      "8ad5a08b905f81cc815040274ab29471a833b637e3fd0da508dbb8e2fdd1a646",
    ),
  },
] as const;

/** Poly1305; those of A.3 reach the carries and the final reduction. */
export const POLY1305 = [
  {
    section: "2.5.2",
    key: hex(
      "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b",
    ),
    message: new TextEncoder().encode("Cryptographic Forum Research Group"),
    tag: hex("a8061dc1305136c6c22b8baf0c0127a9"),
  },
  {
    section: "A.3 #1",
    key: hex("00".repeat(32)),
    message: hex("00".repeat(64)),
    tag: hex("00".repeat(16)),
  },
  {
    section: "A.3 #5",
    key: hex("02", "00".repeat(31)),
    message: hex("ff".repeat(16)),
    tag: hex("03", "00".repeat(15)),
  },
  {
    section: "A.3 #6",
    key: hex("02", "00".repeat(15), "ff".repeat(16)),
    message: hex("02", "00".repeat(15)),
    tag: hex("03", "00".repeat(15)),
  },
  {
    section: "A.3 #7",
    key: hex("01", "00".repeat(31)),
    message: hex("ff".repeat(16), "f0", "ff".repeat(15), "11", "00".repeat(15)),
    tag: hex("05", "00".repeat(15)),
  },
  {
    section: "A.3 #8",
    key: hex("01", "00".repeat(31)),
    message: hex("ff".repeat(16), "fb", "fe".repeat(15), "01".repeat(16)),
    tag: hex("00".repeat(16)),
  },
  {
    section: "A.3 #9",
    key: hex("02", "00".repeat(31)),
    message: hex("fd", "ff".repeat(15)),
    tag: hex("fa", "ff".repeat(15)),
  },
  {
    section: "A.3 #10",
    key: hex("01", "00".repeat(7), "04", "00".repeat(23)),
    message: hex(
      "e33594d7505e43b90000000000000000",
      "3394d7505e4379cd0100000000000000",
      "00".repeat(16),
      "01" + "00".repeat(15),
    ),
    tag: hex("14", "00".repeat(7), "55", "00".repeat(7)),
  },
  {
    section: "A.3 #11",
    key: hex("01", "00".repeat(7), "04", "00".repeat(23)),
    message: hex(
      "e33594d7505e43b90000000000000000",
      "3394d7505e4379cd0100000000000000",
      "00".repeat(16),
    ),
    tag: hex("13", "00".repeat(15)),
  },
] as const;

/** The AEAD of section 2.8.2, with associated data. */
export const AEAD = {
  key: range(0x80, 32),
  nonce: hex("070000004041424344454647"),
  additional: hex("50515253c0c1c2c3c4c5c6c7"),
  text: SUNSCREEN,
  sealed: hex(
    "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6",
    "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36",
    "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc",
    "3ff4def08e4b7a9de576d26586cec64b6116",
  ),
  tag: hex("1ae10b594f09e26a7e902ecbd0600691"),
} as const;
