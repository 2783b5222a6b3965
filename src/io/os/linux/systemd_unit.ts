/**
 * A task as a systemd service with the rights that it needs and no others.
 * Source: systemd.service(5), systemd.exec(5), systemd.syntax(7).
 */
import type { StartupTask } from "../../ports/startup_tasks.ts";

/** What each mode uses of the rights of root. */
const CAPABILITIES: Record<StartupTask["mode"], readonly string[]> = {
  // Interfaces and routes, raw sockets, low ports, files of other users.
  server: [
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_NET_BIND_SERVICE",
    "CAP_DAC_READ_SEARCH",
  ],
  // And: whose a socket is, which is asked of /proc of all users' programs.
  client: [
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_NET_BIND_SERVICE",
    "CAP_DAC_READ_SEARCH",
    "CAP_SYS_PTRACE",
    "CAP_KILL",
  ],
};

/** What of the system each mode writes to, besides its own folder. */
const WRITES: Record<StartupTask["mode"], readonly string[]> = {
  server: [],
  client: ["/etc"], // resolv.conf, which is replaced as a whole
};

/** The unit file. */
export function formatUnit(task: StartupTask): string {
  const capabilities = CAPABILITIES[task.mode].join(" ");
  const writes = [task.directory, ...WRITES[task.mode]].map(quotePath);
  // A private one would hide what it is to run or to read.
  const ownTmp = [task.program, task.directory, ...task.arguments]
    .every((path) => !/^\/(?:var\/)?tmp\//.test(`${path}/`));
  return `[Unit]
Description=${escapeSpecifiers(task.description)}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=${[task.program, ...task.arguments].map(quoteArgument).join(" ")}
WorkingDirectory=${escapeSpecifiers(task.directory)}
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2
KillSignal=SIGTERM
TimeoutStopSec=20
LimitNOFILE=1048576
RuntimeDirectory=sluice
RuntimeDirectoryPreserve=yes

CapabilityBoundingSet=${capabilities}
AmbientCapabilities=${capabilities}
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=${writes.join(" ")} -/run
ProtectHome=read-only
PrivateTmp=${ownTmp ? "yes" : "no"}
DevicePolicy=closed
DeviceAllow=/dev/net/tun rw
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
UMask=0077

[Install]
WantedBy=multi-user.target
`;
}

/** The command line of a unit file; undefined where it has none. */
export function unitCommand(unit: string): string | undefined {
  return /^ExecStart=(.*)$/m.exec(unit)?.[1];
}

/** `%` begins a specifier of systemd's. */
function escapeSpecifiers(text: string): string {
  return text.replaceAll("%", "%%");
}

/** An argument of a command line: as it is where nothing in it has a meaning. */
function quoteArgument(text: string): string {
  const escaped = escapeSpecifiers(text).replaceAll("$", "$$$$");
  if (/^[\w@%+=:,./$-]+$/.test(escaped)) return escaped;
  return `"${
    escaped.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll(
      "\n",
      "\\n",
    )
  }"`;
}

/** A path in a list of paths. */
function quotePath(path: string): string {
  const escaped = escapeSpecifiers(path);
  return /[\s"'\\]/.test(escaped)
    ? `"${escaped.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`
    : escaped;
}
