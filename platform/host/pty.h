#ifndef PLATFORM_HOST_PTY_H_
#define PLATFORM_HOST_PTY_H_

#include <cstdint>
#include <string>

#include "platform/base/fd.h"
#include "platform/host/error.h"

namespace runsc::host {

// A new host pseudo-terminal.
struct Pty {
  Fd master;
  Fd slave;
  std::string name;  // "/dev/pts/N"
};

HostOr<Pty> OpenPty();
// Sets the window size; zero rows or columns are left alone.
HostStatus SetWindowSize(int terminal, uint16_t rows, uint16_t columns);
bool IsTerminal(int fd);

}  // namespace runsc::host

#endif  // PLATFORM_HOST_PTY_H_
