#ifndef SENTRY_KERNEL_NAMESPACES_H_
#define SENTRY_KERNEL_NAMESPACES_H_

#include <map>
#include <string>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/types.h"
#include "sentry/auth/credentials.h"

namespace runsc {

class ProcessGroup;
class Session;
class Task;
class ThreadGroup;

inline constexpr int kMaxPidDepth = 32;
inline constexpr int32_t kPidMax = 4194304;      // /proc/sys/kernel/pid_max
inline constexpr int32_t kReservedPids = 300;    // where allocation starts again after a wrap

// pid_namespaces(7). Ids and members are guarded by the kernel's task-tree lock.
class PidNamespace : public RefCounted {
 public:
  PidNamespace(Ref<PidNamespace> parent, Ref<UserNamespace> user_ns);
  const Ref<PidNamespace>& parent() const { return parent_; }
  const Ref<UserNamespace>& user_ns() const { return user_ns_; }
  int depth() const { return depth_; }
  uint64_t inode() const { return inode_; }
  bool IsAncestorOfOrSame(const PidNamespace& other) const;

  // What an id stands for; an id is free when it has no entry.
  struct Entry {
    Task* task = nullptr;
    ProcessGroup* group = nullptr;
    Session* session = nullptr;
    bool empty() const { return task == nullptr && group == nullptr && session == nullptr; }
  };
  // All of these with the task-tree lock held.
  // Next free id; EAGAIN if none, ENOMEM once init has gone.
  ErrnoOr<Tid> Allocate();
  // Takes `id` itself (clone3(2) set_tid): EEXIST, EINVAL.
  ErrnoOr<Tid> AllocateAt(Tid id);
  Entry& At(Tid id) { return ids_[id]; }
  const Entry* Find(Tid id) const;
  void ReleaseIfFree(Tid id);
  const std::map<Tid, Entry>& ids() const { return ids_; }
  ThreadGroup* init = nullptr;    // reaper; null before the first process and after the last
  bool closed = false;            // init exits: no new ids
  Task* closer = nullptr;         // init's last thread, waiting for the others to go
  size_t tasks = 0;               // living or zombie, descendants' included
  Tid last() const { return last_; }

 private:
  const Ref<PidNamespace> parent_;
  const Ref<UserNamespace> user_ns_;
  const int depth_;
  const uint64_t inode_;
  std::map<Tid, Entry> ids_;
  Tid last_ = 0;
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
  Mutex<LockRank::kUts> mu_;
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
