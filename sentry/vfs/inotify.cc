#include "sentry/vfs/inotify.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "platform/base/strings.h"
#include "sentry/vfs/anon.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

namespace runsc {
namespace {

using inotify::kMaxInstances;
using inotify::kMaxQueued;
using inotify::kMaxWatches;

// What each user holds of these.
struct Usage {
  size_t instances = 0;
  size_t watches = 0;
};
struct Users {
  Mutex<LockRank::kInotifyUsers> mu;
  std::map<Uid, Usage> usage ABSL_GUARDED_BY(mu);
};

Users& AllUsers() {
  static auto* users = new Users;
  return *users;
}

bool Take(Uid uid, size_t Usage::* what, size_t limit) {
  Users& users = AllUsers();
  MutexLock l(users.mu);
  size_t& held = users.usage[uid].*what;
  if (held >= limit) return false;
  ++held;
  return true;
}

void Put(Uid uid, size_t Usage::* what, size_t count) {
  Users& users = AllUsers();
  MutexLock l(users.mu);
  auto it = users.usage.find(uid);
  it->second.*what -= count;
  if (it->second.instances == 0 && it->second.watches == 0) users.usage.erase(it);
}

// The instance of a watch that stands in InodeWatches, whose lock is held; null if it is on its way
// out, where it waits for that lock.
Ref<Inotify> OwnerOf(const InotifyWatch& w) {
  return w.owner->TryIncRef() ? Ref<Inotify>::Adopt(w.owner) : Ref<Inotify>();
}

// All instances, for what concerns more than one inode.
struct Instances {
  Mutex<LockRank::kInotifyList> mu;
  std::set<Inotify*> all ABSL_GUARDED_BY(mu);
};

Instances& TheInstances() {
  static auto* const instances = new Instances;
  return *instances;
}

}  // namespace

void InodeWatches::Notify(uint32_t event, uint32_t cookie, std::string_view name, bool unlinked) {
  std::vector<Ref<InotifyWatch>> spent;
  std::vector<Ref<Inotify>> owners;  // let go without the lock, which the end of one takes
  MutexLock l(mu_);
  for (size_t i = 0; i < watches_.size();) {
    InotifyWatch& w = *watches_[i];
    uint32_t mask = w.mask.load(std::memory_order_relaxed);
    if ((mask & event & IN_ALL_EVENTS) == 0 || (unlinked && (mask & IN_EXCL_UNLINK) != 0)) {
      ++i;
      continue;
    }
    Ref<Inotify> owner = OwnerOf(w);
    if (owner) owner->Queue({w.wd, event, cookie, std::string(name)});
    if (!owner || (mask & IN_ONESHOT) == 0) {
      ++i;
    } else {
      spent.push_back(std::move(watches_[i]));
      watches_.erase(watches_.begin() + static_cast<ptrdiff_t>(i));
      owner->Forget(spent.back()->wd);
    }
    if (owner) owners.push_back(std::move(owner));
  }
}

void InodeWatches::Removed() {
  std::vector<Ref<InotifyWatch>> gone;
  std::vector<Ref<Inotify>> owners;
  MutexLock l(mu_);
  gone.swap(watches_);
  for (const Ref<InotifyWatch>& w : gone) {
    Ref<Inotify> owner = OwnerOf(*w);
    if (!owner) continue;
    if ((w->mask.load(std::memory_order_relaxed) & IN_DELETE_SELF) != 0) {
      owner->Queue({w->wd, IN_DELETE_SELF, 0, ""});
    }
    owner->Forget(w->wd);
    owners.push_back(std::move(owner));
  }
}

Inotify::Inotify(Path path, uint32_t flags, Ref<const Credentials> creds)
    : File(std::move(path), flags, std::move(creds)) {
  Instances& instances = TheInstances();
  MutexLock l(instances.mu);
  instances.all.insert(this);
}

ErrnoOr<Ref<Inotify>> Inotify::New(uint32_t flags, Ref<const Credentials> creds) {
  if (!Take(creds->euid, &Usage::instances, kMaxInstances)) return Errno::kMfile;
  return Ref<Inotify>::Adopt(new Inotify(AnonFilePath("inotify"), flags, std::move(creds)));
}

Inotify::~Inotify() {
  {
    Instances& instances = TheInstances();
    MutexLock l(instances.mu);
    instances.all.erase(this);
  }
  std::map<int32_t, Ref<InotifyWatch>> watches;
  {
    MutexLock l(mu_);
    watches.swap(watches_);
  }
  for (auto& [wd, watch] : watches) {
    InodeWatches& on = *watch->inode->watches();
    MutexLock l(on.mu_);
    std::erase(on.watches_, watch);
  }
  inotify::g_watch_count.fetch_sub(static_cast<uint32_t>(watches.size()));
  if (!watches.empty()) Put(creds().euid, &Usage::watches, watches.size());
  Put(creds().euid, &Usage::instances, 1);
}

ErrnoOr<int32_t> Inotify::AddWatch(Ref<Inode> inode, uint32_t mask) {
  InodeWatches& on = inode->EnsureWatches();
  MutexLock ol(on.mu_);
  for (const Ref<InotifyWatch>& w : on.watches_) {
    if (w->owner != this) continue;
    if ((mask & IN_MASK_CREATE) != 0) return Errno::kExist;
    uint32_t kept = (mask & IN_MASK_ADD) != 0 ? w->mask.load(std::memory_order_relaxed) : 0;
    w->mask.store(kept | mask, std::memory_order_relaxed);
    return w->wd;
  }
  MutexLock l(mu_);
  if (!Take(creds().euid, &Usage::watches, kMaxWatches)) return Errno::kNospc;
  while (watches_.count(++last_wd_) != 0 || last_wd_ <= 0) {
    if (last_wd_ == INT32_MAX) last_wd_ = 0;
  }
  auto watch = MakeRef<InotifyWatch>(this, std::move(inode), last_wd_, mask);
  watches_[last_wd_] = watch;
  on.watches_.push_back(std::move(watch));
  inotify::g_watch_count.fetch_add(1);
  return last_wd_;
}

Status Inotify::RemoveWatch(int32_t wd) {
  Ref<InotifyWatch> watch;
  {
    MutexLock l(mu_);
    auto it = watches_.find(wd);
    if (it == watches_.end()) return Errno::kInval;
    watch = it->second;
  }
  InodeWatches& on = *watch->inode->watches();
  MutexLock l(on.mu_);
  if (std::erase(on.watches_, watch) == 0) return Errno::kInval;
  Forget(wd);
  return Ok();
}

void Inotify::Forget(int32_t wd) {
  Ref<InotifyWatch> gone;  // let go after the lock
  {
    MutexLock l(mu_);
    auto it = watches_.find(wd);
    if (it == watches_.end()) return;
    gone = std::move(it->second);
    watches_.erase(it);
  }
  inotify::g_watch_count.fetch_sub(1);
  Put(creds().euid, &Usage::watches, 1);
  Queue({wd, IN_IGNORED, 0, ""});
}

void Inotify::ForgetFilesystem(const Filesystem& fs) {
  std::vector<Ref<InotifyWatch>> ending;
  {
    MutexLock l(mu_);
    for (const auto& [wd, watch] : watches_) {
      if (&watch->inode->fs() == &fs) ending.push_back(watch);
    }
  }
  for (const Ref<InotifyWatch>& watch : ending) {
    InodeWatches& on = *watch->inode->watches();
    MutexLock l(on.mu_);
    if (std::erase(on.watches_, watch) == 0) continue;
    Queue({watch->wd, IN_UNMOUNT | (watch->inode->IsDir() ? uint32_t{IN_ISDIR} : 0), 0, ""});
    Forget(watch->wd);
  }
}

void Inotify::Queue(Event e) {
  {
    MutexLock l(mu_);
    if (!events_.empty() && events_.back() == e) return;  // Linux merges equal neighbours
    if (events_.size() == kMaxQueued) {
      events_.push_back({-1, IN_Q_OVERFLOW, 0, ""});
    } else if (events_.size() < kMaxQueued) {
      events_.push_back(std::move(e));
    } else {
      return;
    }
  }
  queue_.Notify(EPOLLIN | EPOLLRDNORM);
  async_.Notify(IoEvent::kIn);
}

size_t Inotify::SizeOf(const Event& e) {
  size_t name =
      e.name.empty() ? 0 : (e.name.size() / sizeof(inotify_event) + 1) * sizeof(inotify_event);
  return sizeof(inotify_event) + name;
}

ErrnoOr<size_t> Inotify::Read(IoContext& io, UserOut& dst) {
  size_t done = 0;
  for (;;) {
    Event e;
    {
      MutexLock l(mu_);
      if (events_.empty()) return done != 0 ? ErrnoOr<size_t>(done) : Errno::kWouldBlock;
      if (SizeOf(events_.front()) > dst.remaining()) {
        return done != 0 ? ErrnoOr<size_t>(done) : Errno::kInval;
      }
      e = std::move(events_.front());
      events_.pop_front();
    }
    size_t size = SizeOf(e);
    char buffer[sizeof(inotify_event) + 272] = {};
    inotify_event head{e.wd, e.mask, e.cookie, static_cast<uint32_t>(size - sizeof(head))};
    memcpy(buffer, &head, sizeof(head));
    memcpy(buffer + sizeof(head), e.name.data(), e.name.size());
    if (TRY(dst.Write(buffer, size)) != size) return Errno::kFault;
    done += size;
  }
}

ErrnoOr<int64_t> Inotify::Ioctl(IoContext& io, const IoctlRequest& request) {
  if (request.command != FIONREAD) return Errno::kNotty;
  int32_t bytes = 0;
  {
    MutexLock l(mu_);
    for (const Event& e : events_) bytes += static_cast<int32_t>(SizeOf(e));
  }
  TRY(request.mem.Put(UserAddr(request.arg), bytes));
  return 0;
}

EventMask Inotify::Poll(EventMask mask) {
  MutexLock l(mu_);
  return events_.empty() ? 0 : mask & (EPOLLIN | EPOLLRDNORM);
}

void Inotify::AddWaiter(Waiter* w, EventMask mask, bool exclusive) {
  queue_.Add(w, mask, exclusive);
}
void Inotify::RemoveWaiter(Waiter* w) { queue_.Remove(w); }

std::string Inotify::FdInfo() {
  std::map<int32_t, Ref<InotifyWatch>> watches;
  {
    MutexLock l(mu_);
    watches = watches_;
  }
  std::string out;
  for (const auto& [wd, w] : watches) {
    ErrnoOr<Attr> attr = w->inode->GetAttr();
    out += StrPrintf("inotify wd:%x ino:%lx sdev:%lx mask:%x ignored_mask:0\n", wd,
                     attr.ok() ? attr->ino : 0, attr.ok() ? attr->dev : 0, w->mask.load());
  }
  return out;
}

namespace inotify {

uint32_t NextCookie() {
  static std::atomic<uint32_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

void DirEvent(Inode& dir, uint32_t event, std::string_view name, bool is_dir, uint32_t cookie) {
  if (!Active()) return;
  InodeWatches* w = dir.watches();
  if (w != nullptr) w->Notify(event | (is_dir ? IN_ISDIR : 0), cookie, name, false);
}

void SelfEvent(Inode& inode, uint32_t event) {
  if (!Active()) return;
  InodeWatches* w = inode.watches();
  if (w != nullptr) w->Notify(event | (inode.IsDir() ? IN_ISDIR : 0), 0, {}, false);
}

void InodeRemoved(Inode& inode) {
  InodeWatches* w = inode.watches();
  if (w != nullptr) w->Removed();
}

void Unmounted(const Filesystem& fs) {
  if (!Active()) return;
  std::vector<Ref<Inotify>> instances;
  {
    Instances& registered = TheInstances();
    MutexLock l(registered.mu);
    for (Inotify* i : registered.all) {
      if (i->TryIncRef()) instances.push_back(Ref<Inotify>::Adopt(i));
    }
  }
  for (const Ref<Inotify>& i : instances) i->ForgetFilesystem(fs);
}

}  // namespace inotify

namespace vfs {
namespace {

void Tell(const Path& path, uint32_t event) {
  Inode* inode = path.dentry->get_inode();
  bool unlinked = path.dentry->IsUnlinked();
  uint32_t full = event | (inode->IsDir() ? IN_ISDIR : 0);
  if (!path.dentry->IsRoot()) {
    Ref<Dentry> parent = path.dentry->parent();
    InodeWatches* above = parent->get_inode()->watches();
    if (above != nullptr) above->Notify(full, 0, path.dentry->name(), unlinked);
  }
  InodeWatches* own = inode->watches();
  if (own != nullptr) own->Notify(full, 0, {}, false);
}

}  // namespace

void NotifyInotify(const Path& path, uint32_t mask) {
  if (inotify::Active()) Tell(path, mask);
}

void NotifyRead(File& file) {
  if (inotify::Active()) Tell(file.path(), IN_ACCESS);
}

void NotifyWritten(File& file) {
  if (inotify::Active()) Tell(file.path(), IN_MODIFY);
}

void NotifyClosed(File& file) {
  if (inotify::Active()) Tell(file.path(), file.writable() ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
}

}  // namespace vfs
}  // namespace runsc
