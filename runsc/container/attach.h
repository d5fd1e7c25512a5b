#ifndef RUNSC_CONTAINER_ATTACH_H_
#define RUNSC_CONTAINER_ATTACH_H_

#include <cstdint>
#include <memory>
#include <string>

#include "platform/base/fd.h"
#include "platform/host/error.h"
#include "runsc/control/client.h"

namespace runsc::container {

// Stands in for a process of the sandbox in front of the host: passes signals on to it and gives
// the terminal back as it was found.
class Attachment {
 public:
  // Blocks the signals that are passed on; create it before anything is started, so that none is
  // lost. `terminal`: a terminal on stdin whose job-control signals go to the guest's foreground
  // job; its settings are saved and put back at the end. -1: none.
  static HostOr<std::unique_ptr<Attachment>> Create(int terminal);
  ~Attachment();

  // Passes signals on to `container`'s process `pid` (0: init) until the reply to the kWait
  // request `wait` comes; answers the exit status.
  HostOr<int> Wait(control::Client& client, uint32_t wait, const std::string& container,
                   int32_t pid);

 private:
  struct Saved;
  Attachment();
  void Forward(control::Client& client, const std::string& container, int32_t pid);

  int terminal_ = -1;
  Fd signals_;
  std::unique_ptr<Saved> saved_;
};

// Makes `terminal` the controlling terminal of this process in a new session.
HostStatus TakeTerminal(int terminal);

}  // namespace runsc::container

#endif  // RUNSC_CONTAINER_ATTACH_H_
