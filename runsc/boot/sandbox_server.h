#ifndef RUNSC_BOOT_SANDBOX_SERVER_H_
#define RUNSC_BOOT_SANDBOX_SERVER_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "platform/base/fd.h"
#include "platform/base/mutex.h"
#include "runsc/boot/backend.h"
#include "runsc/control/server.h"

namespace runsc::boot {

// The sandbox's side of the control protocol: keeps track of containers, waits and exec sessions,
// and leaves the work to the backend. One thread runs it; only OnProcessExit is called by others.
class SandboxServer : public control::Handler, public ExitSink {
 public:
  // `has_terminal`: signals of the controlling terminal go to its foreground job.
  explicit SandboxServer(bool has_terminal) : has_terminal_(has_terminal) {}

  // Serves `channel` (the boot channel) until the sandbox ends; answers its exit status. Must be
  // called before other threads exist.
  int Run(SandboxBackend* backend, Fd channel);

  void OnRequest(control::PeerId peer, control::Frame frame) override;
  void OnHangup(control::PeerId peer) override;
  void OnHostSignal(int signal) override;
  void OnWake() override;
  void OnProcessExit(const std::string& container, int32_t pid, int32_t status) override;

 private:
  using ProcessId = std::pair<std::string, int32_t>;
  struct Container {
    bool started = false;
    int32_t init = 0;
  };
  struct Waiter {
    control::PeerId peer;
    uint32_t sequence;
  };
  struct Exit {
    ProcessId process;
    int32_t status;
  };

  // What a request is answered with at once; nullopt: later.
  using Answer = HostOr<std::optional<std::string>>;
  Answer Dispatch(control::PeerId peer, control::Frame& frame);
  Answer Boot(const control::Frame& frame);
  Answer Create(control::Frame& frame);
  Answer Adopt(control::Frame& frame);
  Answer Start(const control::Frame& frame);
  Answer Wait(control::PeerId peer, const control::Frame& frame);
  Answer Signal(const control::Frame& frame);
  Answer Exec(control::PeerId peer, control::Frame& frame);
  Answer Processes(const control::Frame& frame);
  Answer State();
  Answer Stop();

  HostOr<Container*> Find(const std::string& id);
  void Finish(const Exit& exit);
  void EndSandbox(int32_t status);

  const bool has_terminal_;
  SandboxBackend* backend_ = nullptr;
  std::unique_ptr<control::Server> server_;
  control::PeerId boot_peer_ = 0;
  bool booted_ = false;
  bool adopted_ = false;
  std::string platform_;
  Fd exit_file_;
  std::string root_;  // the first container; the sandbox ends with it
  std::map<std::string, Container> containers_;
  std::multimap<ProcessId, Waiter> waiters_;
  std::multimap<control::PeerId, ProcessId> attached_;
  std::set<ProcessId> sessions_;  // exec's processes whose end has not been seen
  // Statuses nobody has asked for yet, oldest first, bounded.
  std::vector<Exit> finished_;
  int exit_status_ = 128;

  Mutex<LockRank::kControl> mu_;
  std::vector<Exit> exits_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc::boot

#endif  // RUNSC_BOOT_SANDBOX_SERVER_H_
