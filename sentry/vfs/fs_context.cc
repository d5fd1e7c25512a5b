#include "sentry/vfs/fs_context_list.h"
#include "sentry/vfs/vfs.h"

namespace runsc {

Path::Path() = default;
Path::Path(Ref<Mount> m, Ref<Dentry> d) : mount(std::move(m)), dentry(std::move(d)) {}
Path::Path(const Path&) = default;
Path::Path(Path&&) noexcept = default;
Path& Path::operator=(const Path&) = default;
Path& Path::operator=(Path&&) noexcept = default;
Path::~Path() = default;

namespace {

struct List {
  Mutex<LockRank::kFsContextList> mu;
  FsContext* head ABSL_GUARDED_BY(mu) = nullptr;
};

List& Contexts() {
  static List* list = new List;
  return *list;
}

}  // namespace

void FsContextList::Add(FsContext* c) {
  List& list = Contexts();
  MutexLock l(list.mu);
  c->next_ = list.head;
  if (list.head != nullptr) list.head->prev_ = c;
  list.head = c;
}

void FsContextList::Remove(FsContext* c) {
  List& list = Contexts();
  MutexLock l(list.mu);
  if (c->prev_ != nullptr) {
    c->prev_->next_ = c->next_;
  } else {
    list.head = c->next_;
  }
  if (c->next_ != nullptr) c->next_->prev_ = c->prev_;
}

void FsContextList::ReplacePaths(const Path& from, const Path& to) {
  List& list = Contexts();
  MutexLock l(list.mu);
  // The replaced paths do not hold the last references: `from` does.
  for (FsContext* c = list.head; c != nullptr; c = c->next_) {
    MutexLock cl(c->mu_);
    if (c->root_ == from) c->root_ = to;
    if (c->cwd_ == from) c->cwd_ = to;
  }
}

FsContext::FsContext(Ref<MountNamespace> ns, Path root, Path cwd, uint32_t umask)
    : ns_(std::move(ns)), root_(std::move(root)), cwd_(std::move(cwd)), umask_(umask & 0777) {
  FsContextList::Add(this);
}

FsContext::~FsContext() { FsContextList::Remove(this); }

Ref<FsContext> FsContext::Fork() {
  Ref<MountNamespace> ns;
  Path root, cwd;
  uint32_t mask;
  {
    MutexLock l(mu_);
    ns = ns_;
    root = root_;
    cwd = cwd_;
    mask = umask_;
  }
  return MakeRef<FsContext>(std::move(ns), std::move(root), std::move(cwd), mask);
}

Path FsContext::root() {
  MutexLock l(mu_);
  return root_;
}

Path FsContext::cwd() {
  MutexLock l(mu_);
  return cwd_;
}

void FsContext::SetRoot(Path p) {
  MutexLock l(mu_);
  std::swap(root_, p);
}

void FsContext::SetCwd(Path p) {
  MutexLock l(mu_);
  std::swap(cwd_, p);
}

uint32_t FsContext::umask() {
  MutexLock l(mu_);
  return umask_;
}

uint32_t FsContext::SetUmask(uint32_t mask) {
  MutexLock l(mu_);
  return std::exchange(umask_, mask & 0777);
}

Ref<MountNamespace> FsContext::mount_namespace() {
  MutexLock l(mu_);
  return ns_;
}

void FsContext::SetMountNamespace(Ref<MountNamespace> ns, Path root, Path cwd) {
  MutexLock l(mu_);
  std::swap(ns_, ns);
  std::swap(root_, root);
  std::swap(cwd_, cwd);
}

}  // namespace runsc
