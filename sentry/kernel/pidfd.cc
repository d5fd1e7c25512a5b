#include "sentry/kernel/pidfd.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include "platform/base/strings.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/vfs/anon.h"

namespace runsc {
namespace {

class PidFd : public File {
 public:
  PidFd(Ref<ThreadGroup> group, uint32_t flags, Ref<const Credentials> creds)
      : File(AnonFilePath("pidfd"), O_RDWR | flags, std::move(creds)), group_(std::move(group)) {}

  ThreadGroup& group() const { return *group_; }

  // read(2) and write(2) on a pidfd are EINVAL, as on every file without them.
  ErrnoOr<size_t> Read(IoContext&, UserOut&) override { return Errno::kInval; }
  ErrnoOr<size_t> Write(IoContext&, UserIn&) override { return Errno::kInval; }
  bool seekable() const override { return false; }

  EventMask Poll(EventMask mask) override {
    return group_->HasExited() ? (EPOLLIN | EPOLLRDNORM) & (mask | EPOLLERR | EPOLLHUP) : 0;
  }
  void AddWaiter(Waiter* w, EventMask mask, bool exclusive) override {
    group_->exit_events().Add(w, mask, exclusive);
  }
  void RemoveWaiter(Waiter* w) override { group_->exit_events().Remove(w); }

  std::string FdInfo() override {
    Task* viewer = Task::Current();
    Tid pid = viewer != nullptr ? group_->PidIn(viewer->pid_ns()) : group_->pid();
    if (group_->HasExited()) pid = -1;
    return StrPrintf("Pid:\t%d\nNSpid:\t%d\n", pid, pid);
  }

 private:
  const Ref<ThreadGroup> group_;
};

}  // namespace

Ref<File> NewPidFd(ThreadGroup& group, uint32_t flags, Ref<const Credentials> creds) {
  return MakeRef<PidFd>(Ref<ThreadGroup>(&group), flags, std::move(creds));
}

Ref<ThreadGroup> ProcessOfPidFd(File& file) {
  auto* pidfd = dynamic_cast<PidFd*>(&file);
  return pidfd == nullptr ? Ref<ThreadGroup>() : Ref<ThreadGroup>(&pidfd->group());
}

}  // namespace runsc
