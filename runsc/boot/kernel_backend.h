#ifndef RUNSC_BOOT_KERNEL_BACKEND_H_
#define RUNSC_BOOT_KERNEL_BACKEND_H_

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "gofer/client/client.h"
#include "platform/api/platform.h"
#include "platform/memory/memory_file.h"
#include "runsc/boot/backend.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/vfs/vfs.h"
#include "syscalls/table/server.h"

namespace runsc::boot {

// The sandbox's real side: the kernel on the chosen platform.
class KernelBackend final : public SandboxBackend, public ExitListener,
                            public gofer::DeathListener {
 public:
  explicit KernelBackend(ExitSink* sink) : sink_(sink) {}
  ~KernelBackend() override;

  HostOr<control::BootReply> Boot(const control::BootRequest& request) override;
  HostStatus Create(ContainerConfig config, ContainerFiles files) override;
  HostOr<int32_t> Start(const std::string& container) override;
  HostOr<int32_t> Exec(const control::ExecRequest& request, std::array<Fd, 3> stdio) override;
  HostStatus Signal(const control::SignalRequest& request) override;
  HostOr<control::ProcessesReply> Processes(const std::string& container) override;

  void OnExit(ThreadGroup& group, ExitStatus status) override;
  void OnGoferDeath(std::string_view reason) override;

 private:
  struct Container {
    ContainerConfig config;
    std::unique_ptr<gofer::Client> gofer;
    std::array<Fd, 3> stdio;   // until Start
    Ref<FsContext> fs;
    Ref<UtsNamespace> uts;
    Ref<ThreadGroup> init;
  };

  HostOr<Container*> Find(const std::string& id);
  HostOr<Ref<ThreadGroup>> Launch(Container& container, const ProcessConfig& process,
                                  std::array<Fd, 3> stdio);
  HostOr<Ref<ThreadGroup>> Target(const control::SignalRequest& request);

  ExitSink* const sink_;
  std::unique_ptr<MemoryFile> memory_;
  std::unique_ptr<platform::Platform> platform_;
  std::unique_ptr<ProgramLoader> loader_;
  TableServer syscalls_;
  std::atomic<bool> process_ended_{false};  // some process that runsc started has exited
  std::unique_ptr<Kernel> kernel_;
  std::map<std::string, Container> containers_;
};

}  // namespace runsc::boot

#endif  // RUNSC_BOOT_KERNEL_BACKEND_H_
