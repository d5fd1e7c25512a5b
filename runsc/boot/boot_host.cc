#include "runsc/boot/boot.h"

#include "runsc/boot/platforms.h"
#include "runsc/boot/sandbox_server.h"
#include "runsc/filters/filters.h"

namespace runsc::boot {
namespace {
class NoKernel : public SandboxBackend {
 public:
  HostOr<control::BootReply> Boot(const control::BootRequest& r) override {
    PlatformChoice choice = TRY(ChoosePlatform(r.platform));
    if (r.seccomp) {
      TRY(filters::Install(filters::SentryRules(choice.factory->name), {r.trap_violations}));
    }
    return control::BootReply{choice.factory->name, choice.reason};
  }
  HostStatus Create(ContainerConfig, ContainerFiles) override { return HostOk(); }
  HostOr<int32_t> Start(const std::string&) override { return TextError("no kernel yet"); }
  HostOr<int32_t> Exec(const control::ExecRequest&, std::array<Fd, 3>) override {
    return TextError("no kernel yet");
  }
  HostStatus Signal(const control::SignalRequest&) override { return TextError("no kernel yet"); }
  HostOr<control::ProcessesReply> Processes(const std::string&) override {
    return TextError("no kernel yet");
  }
};
}  // namespace

int RunSandbox(Fd channel, bool has_terminal) {
  SandboxServer server(has_terminal);
  NoKernel backend;
  return server.Run(&backend, std::move(channel));
}

}  // namespace runsc::boot
