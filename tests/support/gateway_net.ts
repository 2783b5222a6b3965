/**
 * The network that most scenarios use. The clients' own network and the
 * internet know nothing of each other; the gateway forwards nothing by itself.
 *
 *   client 1 --10.1.1.0/24--+
 *   client 2 --10.1.2.0/24--+ gateway --10.2.0.0/24-- router --198.51.100.0/24-- internet
 *
 * In IPv6 the same are 2001:db8:1:N::/64, 2001:db8:2::/64 and 2001:db8:3::/64.
 * In each network the end nearer to the gateway's side of the drawing has 1.
 */
import type { Lab, Namespace } from "./lab.ts";

/** Addresses of the internet host. */
export const OUTSIDE = {
  first: "198.51.100.10",
  second: "198.51.100.11",
  dns: "198.51.100.53",
  /** In the internet's network, but nobody has it. */
  nobody: "198.51.100.99",
  first6: "2001:db8:3::10",
} as const;

/** The gateway's address that the internet sees. */
export const GATEWAY_OUTSIDE = "10.2.0.1";
/** The router between gateway and internet, on the gateway's side. */
export const ROUTER = "10.2.0.2";

/** One client's place. */
export interface ClientPlace {
  readonly namespace: Namespace;
  /** Its address in its own network. */
  readonly address: string;
  /** The gateway's address in that network. */
  readonly gateway: string;
}

/** The wired network. */
export interface GatewayNet {
  readonly gateway: Namespace;
  readonly router: Namespace;
  readonly internet: Namespace;
  readonly clients: readonly ClientPlace[];
}

/** Makes and wires it with as many clients as asked. */
export async function makeGatewayNet(
  lab: Lab,
  clientCount = 1,
): Promise<GatewayNet> {
  const [gateway, router, internet, ...places] = await Promise.all([
    lab.namespace("gateway"),
    lab.namespace("router"),
    lab.namespace("internet"),
    ...Array.from(
      { length: clientCount },
      (_, i) => lab.namespace(`client${i + 1}`),
    ),
  ]);
  await lab.link(
    {
      namespace: gateway,
      name: "out",
      addresses: ["10.2.0.1/24", "2001:db8:2::1/64"],
    },
    {
      namespace: router,
      name: "in",
      addresses: ["10.2.0.2/24", "2001:db8:2::2/64"],
    },
  );
  await lab.link(
    {
      namespace: router,
      name: "out",
      addresses: ["198.51.100.1/24", "2001:db8:3::1/64"],
    },
    {
      namespace: internet,
      name: "eth0",
      addresses: [
        `${OUTSIDE.first}/24`,
        `${OUTSIDE.second}/24`,
        `${OUTSIDE.dns}/24`,
        `${OUTSIDE.first6}/64`,
      ],
    },
  );
  await router.sysctl("net.ipv4.ip_forward", 1);
  await router.sysctl("net.ipv6.conf.all.forwarding", 1);
  // ICMP errors are what some scenarios are about: none is to be held back.
  await router.sysctl("net.ipv4.icmp_ratelimit", 0);
  await internet.sysctl("net.ipv4.icmp_ratelimit", 0);
  await gateway.ip(
    "route add default via 10.2.0.2",
    "route add ::/0 via 2001:db8:2::2",
  );
  await internet.ip(
    "route add default via 198.51.100.1",
    "route add ::/0 via 2001:db8:3::1",
  );
  const clients = await Promise.all(
    places.map((place, i) => joinClient(lab, gateway, place, i + 1)),
  );
  return { gateway, router, internet, clients };
}

async function joinClient(
  lab: Lab,
  gateway: Namespace,
  namespace: Namespace,
  n: number,
): Promise<ClientPlace> {
  await lab.link(
    {
      namespace: gateway,
      name: `client${n}`,
      addresses: [`10.1.${n}.1/24`, `2001:db8:1:${n}::1/64`],
    },
    {
      namespace,
      name: "eth0",
      addresses: [`10.1.${n}.2/24`, `2001:db8:1:${n}::2/64`],
    },
  );
  return { namespace, address: `10.1.${n}.2`, gateway: `10.1.${n}.1` };
}
