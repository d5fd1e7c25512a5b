#ifndef GOFER_SERVER_SETUP_H_
#define GOFER_SERVER_SETUP_H_

#include <string>
#include <vector>

#include "gofer/server/ops.h"
#include "gofer/server/server.h"

namespace runsc::gofer {

// Opens what is to be served and, if asked, leaves everything else of the host behind: own
// namespaces, an empty read-only root, only the capabilities that acting on files needs. The
// working directory becomes this process's /proc/self/fd (see FdPath). Empty string, or what
// failed and what to do about it.
std::string Isolate(const ServerOptions& options, Served* served);

// Closes all descriptors but 0-2 and `keep`.
void CloseOthers(std::vector<int> keep);

// Raises the limit of open files as far as allowed; returns it.
uint64_t RaiseFileLimit();

// Allows only the system calls that serving needs, for all threads. Empty, or what failed.
std::string InstallFilter();

}  // namespace runsc::gofer

#endif  // GOFER_SERVER_SETUP_H_
