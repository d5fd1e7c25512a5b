#include "sentry/vfs/dentry.h"

#include "sentry/vfs/inotify.h"

namespace runsc {

Dentry::Dentry(Ref<Inode> inode, Ref<Dentry> parent, std::string_view name, bool root)
    : inode_(nullptr),
      fs_(inode ? &inode->fs() : parent ? parent->fs_ : nullptr),
      parent_(std::move(parent)),
      name_(name),
      root_(root) {
  inode_.store(inode.release(), std::memory_order_release);
}

Dentry::~Dentry() {
  Inode* inode = inode_.load(std::memory_order_relaxed);
  if (inode == nullptr) return;
  if (IsUnlinked() && inode->watches() != nullptr) {
    ErrnoOr<Attr> attr = inode->GetAttr();
    if (!attr.ok() || attr->nlink == 0 || inode->IsDir()) inotify::InodeRemoved(*inode);
  }
  inode->DecRef();
}

Ref<Dentry> Dentry::NewRoot(Ref<Inode> inode) {
  return Ref<Dentry>::Adopt(new Dentry(std::move(inode), nullptr, "/", true));
}

Ref<Dentry> Dentry::NewDisconnected(Ref<Inode> inode, std::string name) {
  return Ref<Dentry>::Adopt(new Dentry(std::move(inode), nullptr, name, true));
}

Ref<Dentry> Dentry::NewUnlinked(Dentry& dir, Ref<Inode> inode, std::string name,
                                bool linkable) {
  Ref<Dentry> d =
      Ref<Dentry>::Adopt(new Dentry(std::move(inode), Ref<Dentry>(&dir), name, false));
  d->linkable_.store(linkable, std::memory_order_relaxed);
  d->unlinked_.store(true, std::memory_order_relaxed);
  return d;
}

Ref<Dentry> Dentry::parent() const {
  MutexLock l(mu_);
  return parent_ ? parent_ : Ref<Dentry>(const_cast<Dentry*>(this));
}

std::string Dentry::name() const {
  MutexLock l(mu_);
  return name_;
}

bool Dentry::IsBelowOrSame(const Dentry* ancestor) const {
  Ref<Dentry> d(const_cast<Dentry*>(this));
  while (d.get() != ancestor) {
    if (d->IsRoot()) return false;
    d = d->parent();
  }
  return true;
}

void Dentry::OnLastRef() const { DentryCache::Destroy(this); }

}  // namespace runsc
