/** AmneziaWG parameters of the scenarios' tunnels. */

/** What both ends must agree on. S4 is odd: no transport size is WireGuard's. */
export const AMNEZIA_SHARED = {
  s1: 61,
  s2: 83,
  s3: 22,
  s4: 13,
  h1: "100000-199999",
  h2: "200000-299999",
  h3: "300000-399999",
  h4: "400000-499999",
} as const;

/** The same, with junk before each handshake. */
export const AMNEZIA = {
  jc: 4,
  jmin: 40,
  jmax: 70,
  ...AMNEZIA_SHARED,
} as const;
