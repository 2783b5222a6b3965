/*
 * A stand-in in front of ws2_32.dll. Under Wine IP_UNICAST_IF has no effect on
 * TCP, for Linux takes it for datagrams alone, and IPV6_UNICAST_IF has none at
 * all. Here a socket with one of them sends from an address of that interface;
 * the machine's namespace has rules by which such packets leave by it, as
 * Windows does by itself (the strong host model). Sockets of both families are
 * left alone: bound to an address of one they would lose the other.
 */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <iphlpapi.h>
#include <netioapi.h>
#include <string.h>

#ifndef IP_UNICAST_IF
#define IP_UNICAST_IF 31
#endif
#ifndef IPV6_UNICAST_IF
#define IPV6_UNICAST_IF 31
#endif
#define SOCKETS 65536

/* Interface that a socket is to leave by; 0 where routes say. By its handle. */
static volatile LONG leaves_by[SOCKETS];

static volatile LONG *entry(SOCKET s) { return &leaves_by[(s >> 2) % SOCKETS]; }

static int is_any(const struct sockaddr *name) {
  if (name->sa_family == AF_INET)
    return ((const struct sockaddr_in *)name)->sin_addr.s_addr == 0;
  return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)name)->sin6_addr);
}

static int is_usable(const SOCKADDR_INET *address, int family) {
  if (address->si_family != family) return 0;
  return family == AF_INET || !IN6_IS_ADDR_LINKLOCAL(&address->Ipv6.sin6_addr);
}

/* An address of the interface, port 0. Returns its length, 0 where it has none. */
static int source_of(DWORD index, int family, SOCKADDR_INET *out) {
  MIB_UNICASTIPADDRESS_TABLE *table;
  int length = 0;
  if (GetUnicastIpAddressTable(AF_UNSPEC, &table) != NO_ERROR) return 0;
  for (ULONG i = 0; i < table->NumEntries && length == 0; i++) {
    const MIB_UNICASTIPADDRESS_ROW *row = &table->Table[i];
    if (row->InterfaceIndex != index || !is_usable(&row->Address, family)) continue;
    *out = row->Address;
    if (family == AF_INET6) {
      out->Ipv6.sin6_scope_id = 0;
      length = sizeof out->Ipv6;
    } else {
      length = sizeof out->Ipv4;
    }
  }
  FreeMibTable(table);
  return length;
}

/* Whether the option means nothing to the system for such a socket. */
static int needs_source(SOCKET s, int *family) {
  WSAPROTOCOL_INFOW info;
  int length = sizeof info;
  if (getsockopt(s, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &length) != 0) return 0;
  *family = info.iAddressFamily;
  if (info.iAddressFamily == AF_INET) return info.iSocketType == SOCK_STREAM;
  DWORD only = 0;
  length = sizeof only;
  if (getsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, (char *)&only, &length) != 0) return 0;
  return only != 0;
}

/* Binds a socket that nobody has bound, where it is to leave by an interface. */
static void bind_to_source(SOCKET s) {
  LONG index = *entry(s);
  int family;
  if (index == 0 || !needs_source(s, &family)) return;
  SOCKADDR_INET address;
  int length = sizeof address;
  if (getsockname(s, (struct sockaddr *)&address, &length) == 0) return;
  length = source_of(index, family, &address);
  if (length != 0) bind(s, (struct sockaddr *)&address, length);
}

int WINAPI standin_setsockopt(SOCKET s, int level, int option, const char *value, int length) {
  int is4 = level == IPPROTO_IP && option == IP_UNICAST_IF;
  int is6 = level == IPPROTO_IPV6 && option == IPV6_UNICAST_IF;
  if ((is4 || is6) && length == 4) {
    DWORD index;
    memcpy(&index, value, 4);
    *entry(s) = is4 ? (LONG)ntohl(index) : (LONG)index;
  }
  return is6 ? 0 : setsockopt(s, level, option, value, length);
}

int WINAPI standin_bind(SOCKET s, const struct sockaddr *name, int length) {
  LONG index = *entry(s);
  int family;
  SOCKADDR_INET address;
  if (index == 0 || !is_any(name) || !needs_source(s, &family)) return bind(s, name, length);
  int own = source_of(index, family, &address);
  if (own == 0) return bind(s, name, length);
  if (family == AF_INET)
    address.Ipv4.sin_port = ((const struct sockaddr_in *)name)->sin_port;
  else
    address.Ipv6.sin6_port = ((const struct sockaddr_in6 *)name)->sin6_port;
  return bind(s, (struct sockaddr *)&address, own);
}

int WINAPI standin_connect(SOCKET s, const struct sockaddr *name, int length) {
  bind_to_source(s);
  return connect(s, name, length);
}

int WINAPI standin_sendto(SOCKET s, const char *bytes, int count, int flags,
                          const struct sockaddr *to, int length) {
  bind_to_source(s);
  return sendto(s, bytes, count, flags, to, length);
}

int WINAPI standin_WSASendMsg(SOCKET s, LPWSAMSG message, DWORD flags, LPDWORD sent,
                              LPWSAOVERLAPPED overlapped,
                              LPWSAOVERLAPPED_COMPLETION_ROUTINE routine) {
  bind_to_source(s);
  return WSASendMsg(s, message, flags, sent, overlapped, routine);
}

int WINAPI standin_closesocket(SOCKET s) {
  *entry(s) = 0;
  return closesocket(s);
}
