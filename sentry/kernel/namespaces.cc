#include "sentry/kernel/namespaces.h"

#include <atomic>

namespace runsc {

uint64_t NextNamespaceInode() {
  static std::atomic<uint64_t> next{4026531840};
  return next.fetch_add(1, std::memory_order_relaxed);
}

PidNamespace::PidNamespace(Ref<PidNamespace> parent, Ref<UserNamespace> user_ns)
    : parent_(std::move(parent)),
      user_ns_(std::move(user_ns)),
      depth_(parent_ ? parent_->depth_ + 1 : 0),
      inode_(NextNamespaceInode()) {}

bool PidNamespace::IsAncestorOfOrSame(const PidNamespace& other) const {
  const PidNamespace* ns = &other;
  while (ns->depth_ > depth_) ns = ns->parent_.get();
  return ns == this;
}

ErrnoOr<Tid> PidNamespace::Allocate() {
  if (closed) return Errno::kNomem;
  Tid id = last_;
  for (int32_t tries = 0; tries < kPidMax; ++tries) {
    id = id + 1 < kPidMax ? id + 1 : kReservedPids;
    if (ids_.count(id) != 0) continue;
    last_ = id;
    return id;
  }
  return Errno::kAgain;
}

ErrnoOr<Tid> PidNamespace::AllocateAt(Tid id) {
  if (id < 1 || id >= kPidMax) return Errno::kInval;
  // Only init may be asked for before there is one.
  if (id != 1 && init == nullptr) return Errno::kInval;
  if (closed) return Errno::kNomem;
  if (ids_.count(id) != 0) return Errno::kExist;
  return id;
}

const PidNamespace::Entry* PidNamespace::Find(Tid id) const {
  auto it = ids_.find(id);
  return it == ids_.end() ? nullptr : &it->second;
}

void PidNamespace::ReleaseIfFree(Tid id) {
  auto it = ids_.find(id);
  if (it != ids_.end() && it->second.empty()) ids_.erase(it);
}

UtsNamespace::UtsNamespace(std::string hostname, std::string domain, Ref<UserNamespace> user_ns)
    : user_ns_(std::move(user_ns)),
      inode_(NextNamespaceInode()),
      hostname_(std::move(hostname)),
      domain_(std::move(domain)) {}

Ref<UtsNamespace> UtsNamespace::Clone(Ref<UserNamespace> user_ns) {
  return MakeRef<UtsNamespace>(hostname(), domainname(), std::move(user_ns));
}

std::string UtsNamespace::hostname() {
  MutexLock l(mu_);
  return hostname_;
}
std::string UtsNamespace::domainname() {
  MutexLock l(mu_);
  return domain_;
}
void UtsNamespace::SetHostname(std::string name) {
  MutexLock l(mu_);
  hostname_ = std::move(name);
}
void UtsNamespace::SetDomainname(std::string name) {
  MutexLock l(mu_);
  domain_ = std::move(name);
}

IpcNamespace::IpcNamespace(Ref<UserNamespace> user_ns)
    : user_ns_(std::move(user_ns)), inode_(NextNamespaceInode()) {}

}  // namespace runsc
