// boot and gofer: the processes that runsc starts of itself. Their descriptors are placed by
// runsc/sandbox; they are useless when started by hand.
#include <unistd.h>

#include "gofer/server/server.h"
#include "platform/base/log.h"
#include "platform/host/file.h"
#include "runsc/boot/boot.h"
#include "runsc/cli/command.h"
#include "runsc/sandbox/sandbox.h"

namespace runsc::cli {
namespace {

class BootCommand : public Command {
 public:
  const char* arguments() const override { return ""; }
  void Declare(FlagSet& set) override {
    set.Add("id", &id_, "container id, for ps(1) only");
    set.Add("terminal", &terminal_, "descriptor 5 is the controlling terminal");
  }
  HostOr<int> Run(const Flags&, const std::vector<std::string>&) override {
    if (terminal_) close(sandbox::kTerminalFd);
    boot::RunSandbox(Fd(sandbox::kChannelFd), terminal_);
  }

 private:
  std::string id_;
  bool terminal_ = false;
};

class GoferCommand : public Command {
 public:
  const char* arguments() const override { return ""; }
  void Declare(FlagSet& set) override {
    for (bool read_only : {true, false}) {
      set.AddCustom(read_only ? "ro" : "rw", false, "", "host tree to serve",
                    [this, read_only](const std::string& path) {
                      gofer::AttachPoint point;
                      point.source = path;
                      point.read_only = read_only;
                      options_.attach_points.push_back(point);
                      return HostOk();
                    });
    }
    set.Add("no-isolation", &no_isolation_, "stay in the namespaces it was started in");
    set.Add("no-seccomp", &no_seccomp_, "run without a seccomp filter");
  }
  HostOr<int> Run(const Flags&, const std::vector<std::string>&) override {
    options_.connections = {sandbox::kChannelFd};
    options_.isolate = !no_isolation_;
    options_.seccomp = !no_seccomp_;
    std::string error;
    int status = gofer::ServerMain(options_, {sandbox::kLogFd, sandbox::kReportFd}, &error);
    // runsc says it, in one line with what came of it.
    (void)host::WriteAll(sandbox::kReportFd, error);
    return status;
  }

 private:
  gofer::ServerOptions options_;
  bool no_isolation_ = false, no_seccomp_ = false;
};

}  // namespace

std::unique_ptr<Command> NewBoot() { return std::make_unique<BootCommand>(); }
std::unique_ptr<Command> NewGofer() { return std::make_unique<GoferCommand>(); }

}  // namespace runsc::cli
