#ifndef SENTRY_KERNEL_NAMESPACES_H_
#define SENTRY_KERNEL_NAMESPACES_H_

#include <map>
#include <string>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/auth/credentials.h"

namespace runsc {

class Task;

// pid_namespaces(7). Ids and members are guarded by the kernel's task-tree lock.
class PidNamespace : public RefCounted {
 public:
  PidNamespace(Ref<PidNamespace> parent, Ref<UserNamespace> user_ns);
  const Ref<PidNamespace>& parent() const { return parent_; }
  const Ref<UserNamespace>& user_ns() const { return user_ns_; }
  int depth() const { return depth_; }
  uint64_t inode() const { return inode_; }

 private:
  friend class Kernel;
  friend class TaskBuilder;
  friend class TaskRunner;
  const Ref<PidNamespace> parent_;
  const Ref<UserNamespace> user_ns_;
  const int depth_;
  const uint64_t inode_;
  // Tasks by id; guarded by the task-tree lock.
  std::map<int32_t, Task*> tasks_;
  int32_t last_ = 0;
};

// uts_namespaces(7): host and domain name, at most 64 bytes each.
class UtsNamespace : public RefCounted {
 public:
  UtsNamespace(std::string hostname, std::string domain, Ref<UserNamespace> user_ns);
  Ref<UtsNamespace> Clone(Ref<UserNamespace> user_ns);
  std::string hostname();
  std::string domainname();
  void SetHostname(std::string name);
  void SetDomainname(std::string name);
  const Ref<UserNamespace>& user_ns() const { return user_ns_; }
  uint64_t inode() const { return inode_; }

 private:
  const Ref<UserNamespace> user_ns_;
  const uint64_t inode_;
  Mutex<LockRank::kTask> mu_;
  std::string hostname_ ABSL_GUARDED_BY(mu_);
  std::string domain_ ABSL_GUARDED_BY(mu_);
};

// ipc_namespaces(7); System V objects and message queues come with sentry/ipc.
class IpcNamespace : public RefCounted {
 public:
  explicit IpcNamespace(Ref<UserNamespace> user_ns);
  const Ref<UserNamespace>& user_ns() const { return user_ns_; }
  uint64_t inode() const { return inode_; }

 private:
  const Ref<UserNamespace> user_ns_;
  const uint64_t inode_;
};

// Unique inode number for a namespace, as nsfs gives them (from 4026531840 up).
uint64_t NextNamespaceInode();

}  // namespace runsc

#endif  // SENTRY_KERNEL_NAMESPACES_H_
