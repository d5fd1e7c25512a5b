#ifndef GOFER_SERVER_SERVER_H_
#define GOFER_SERVER_SERVER_H_

#include <string>
#include <vector>

#include "platform/base/fd.h"

namespace runsc::gofer {

// One host tree to serve; its index in ServerOptions is how the sentry names it.
struct AttachPoint {
  std::string source;  // absolute host path, symlinks followed; unused with source_fd
  int source_fd = -1;  // or an open directory or file (O_PATH is enough); owned by the caller
  bool read_only = false;
};

struct ServerOptions {
  std::vector<AttachPoint> attach_points;
  // Connected UNIX sockets (SOCK_SEQPACKET), one a client; taken over.
  std::vector<int> connections;
  // Enter own mount, network, IPC and UTS namespaces and an empty root. The caller must have
  // CAP_SYS_ADMIN in its user namespace (rootless: it made one, with CAP_SYS_ADMIN in it).
  bool isolate = true;
  bool seccomp = true;
  // Threads per CPU (each serves one channel); 0: chosen by the number of CPUs.
  int channels_per_cpu = 0;
};

// Runs a gofer in this process (single-threaded until now) until every client hung up. Logs
// through platform/base/log. Returns the exit status: 0, or 1 after a set-up error, whose
// text `*error` then holds. Descriptors other than those in the options, 0-2 and `keep_fds`
// (such as the log) are closed.
int ServerMain(ServerOptions options, const std::vector<int>& keep_fds, std::string* error);

}  // namespace runsc::gofer

#endif  // GOFER_SERVER_SERVER_H_
