// /proc/PID/net: the sockets there are. There are no network interfaces, so most tables have their
// heading only.

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>

#include "platform/base/strings.h"
#include "sentry/fs/proc/kernel_text.h"
#include "sentry/fs/proc/proc_fs.h"
#include "sentry/net/unix/unix_socket.h"

namespace runsc {
namespace {

// As in a line of text: a NUL in an abstract name is shown as '@'.
std::string ShownName(const SocketAddress& address) {
  constexpr size_t kPath = offsetof(sockaddr_un, sun_path);
  if (address.size() <= kPath) return "";
  std::string name = address.substr(kPath);
  if (name[0] != '\0') return " " + name.substr(0, name.find('\0'));
  for (char& c : name) {
    if (c == '\0') c = '@';
  }
  return " " + name;
}

std::string UnixText(Kernel&, PidNamespace&) {
  constexpr unsigned kAcceptsConnections = 0x10000;
  constexpr int kUnconnected = 1, kConnected = 3;
  std::string out = "Num       RefCount Protocol Flags    Type St Inode Path\n";
  for (const UnixSocketInfo& s : ListUnixSockets()) {
    out +=
        StrPrintf("%016llx: %08X %08X %08X %04X %02X %5llu", static_cast<unsigned long long>(s.id),
                  s.connected ? 3 : 2, 0, s.listening ? kAcceptsConnections : 0, s.type,
                  s.connected ? kConnected : kUnconnected, static_cast<unsigned long long>(s.ino));
    out += ShownName(s.local) + "\n";
  }
  return out;
}

std::string SockstatText(Kernel&, PidNamespace&) {
  return StrPrintf(
      "sockets: used %zu\nTCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0\n"
      "UDP: inuse 0 mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\n"
      "FRAG: inuse 0 memory 0\n",
      ListUnixSockets().size());
}

struct Heading {
  const char* name;
  const char* text;
};
constexpr Heading kHeadings[] = {
    {"arp", "IP address       HW type     Flags       HW address            Mask     Device\n"},
    {"dev",
     "Inter-|   Receive                                                |  Transmit\n"
     " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop "
     "fifo colls carrier compressed\n"},
    {"netlink",
     "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"},
    {"packet", "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n"},
    {"raw",
     "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
     "inode ref pointer drops\n"},
    {"route",
     "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
     "                                                       \n"},
    {"tcp",
     "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
     "inode                                                     \n"},
    {"udp",
     "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
     "inode ref pointer drops            \n"},
};

}  // namespace

Ref<SyntheticInode> NewNetDir(const Ref<ProcFs>& fs) {
  Ref<StaticDir> dir = MakeRef<StaticDir>(fs);
  dir->Add("unix", MakeRef<KernelText>(fs, UnixText));
  dir->Add("sockstat", MakeRef<KernelText>(fs, SockstatText));
  for (const Heading& h : kHeadings) dir->Add(h.name, MakeRef<ConstantText>(fs, h.text));
  return dir;
}

}  // namespace runsc
