#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "platform/host/pty.h"

namespace runsc::host {

HostOr<Pty> OpenPty() {
  Pty pty;
  pty.master.Reset(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pty.master.ok()) return SysError("cannot open /dev/ptmx for a terminal");
  int unlock = 0;
  unsigned number = 0;
  if (ioctl(pty.master.get(), TIOCSPTLCK, &unlock) < 0 ||
      ioctl(pty.master.get(), TIOCGPTN, &number) < 0) {
    return SysError("cannot unlock the new terminal");
  }
  pty.name = "/dev/pts/" + std::to_string(number);
  // TIOCGPTPEER opens the peer of this master whatever is mounted on /dev/pts.
  pty.slave.Reset(ioctl(pty.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pty.slave.ok()) return SysError("cannot open the new terminal %s", pty.name.c_str());
  return pty;
}

HostStatus SetWindowSize(int terminal, uint16_t rows, uint16_t columns) {
  if (rows == 0 || columns == 0) return HostOk();
  winsize size{rows, columns, 0, 0};
  if (ioctl(terminal, TIOCSWINSZ, &size) < 0) return SysError("cannot set the terminal's size");
  return HostOk();
}

bool IsTerminal(int fd) { return isatty(fd) == 1; }

}  // namespace runsc::host
